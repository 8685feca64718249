"""The pictures of the web page in README and docs, taken from a running service with the demo's models.

python -m pipelines.tour URL [FOLDER]     such as http://127.0.0.1:3000; docs/images by default
"""

from __future__ import annotations

import io
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from pipelines.stage import guarded
from pipelines.web import WEB, install, node_environment, node_folder
from visionloop.core.errors import ConfigError
from visionloop.core.files import write_bytes
from visionloop.data.digits import compose_scene, split_scans

IMAGES = WEB.parent / "docs/images"
MAX_BYTES = 250_000
_NUM_SCENES = 60
_FILM = (640, 480)
_FILM_FRAMES = 60


def main() -> None:
    """Take them all, make them small, put them into the folder.

    Raises:
        ConfigError: no address is given, Chromium is missing, or a picture could not be taken.
    """
    url, folder = [*sys.argv[1:], ""][0], Path([*sys.argv[2:], str(IMAGES)][0])
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not url or not chromium:
        raise ConfigError(
            "no service to look at" if chromium else "no Chromium",
            where="command line" if chromium else "PATH, or the variable CHROMIUM",
            expected="the address of a running service, and Chromium",
            action="make serve, then: python -m pipelines.tour http://127.0.0.1:3000",
        )
    install()
    with TemporaryDirectory() as name:
        scenes, shots = Path(name) / "scenes", Path(name) / "shots"
        write_scenes(scenes)
        environment = {
            **node_environment(),
            "VISIONLOOP_URL": url,
            "CHROMIUM": chromium,
            "TOUR_SCENES": str(scenes),
            "SCREENSHOTS": str(shots),
            "PLAYWRIGHT_OUTPUT": str(Path(name) / "results"),
        }
        command = [str(node_folder() / "node"), "node_modules/@playwright/test/cli.js", "test", "tour.spec.ts"]
        done = subprocess.run(command, cwd=WEB, env=environment)
        for shot in sorted(shots.glob("web-*.png")):
            print(f"{folder / shot.name}: {shrink(shot, folder / shot.name) / 1000:.0f} kB")
    if done.returncode != 0:
        raise ConfigError(
            "not every picture could be taken",
            where=url,
            expected="a service with the demo's models, and nothing else at work",
            action="see above",
        )


def shrink(source: Path, target: Path) -> int:
    """Write a picture with 256 colours of its own, which a page of flat colours does not miss; its size in bytes.

    Raises:
        ConfigError: it is still too large for a repository.
    """
    buffer = io.BytesIO()
    with Image.open(source) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    data = buffer.getvalue()
    if len(data) > MAX_BYTES:
        raise ConfigError(
            f"a picture has {len(data)} bytes",
            where=source.name,
            expected=f"at most {MAX_BYTES}",
            action="show less in it, or a smaller window, in web/e2e/tour.spec.ts",
        )
    write_bytes(target, data)
    return len(data)


def write_scenes(folder: Path) -> None:
    """Scenes of digits that no model was trained with, and a film of the first for the camera."""
    from sklearn.datasets import load_digits

    folder.mkdir(parents=True)
    bunch: Any = load_digits()
    unseen = np.flatnonzero(np.array(split_scans(bunch.target)) == "test")
    scans, labels = bunch.images[unseen] / 16.0, bunch.target[unseen]
    for number in range(_NUM_SCENES):
        scene, _ = compose_scene(np.random.default_rng((5, number)), scans, labels)
        Image.fromarray(scene).save(folder / f"scene-{number:02d}.png")
    with Image.open(folder / "scene-00.png") as first:
        frames = b"".join(_frame(first, index) for index in range(_FILM_FRAMES))
    (folder / "film.mjpeg").write_bytes(frames)


def _frame(scene: Image.Image, index: int) -> bytes:
    """The scene, large, swaying from side to side as in an unsteady hand."""
    width, height = _FILM
    background = scene.resize((1, 1), Image.Resampling.BOX).resize(_FILM)
    large = scene.resize((height, height), Image.Resampling.BICUBIC)
    sway = round(30 * math.sin(2 * math.pi * index / _FILM_FRAMES))
    background.paste(large, ((width - height) // 2 + sway, 0))
    buffer = io.BytesIO()
    background.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(guarded(main))
