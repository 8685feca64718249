"""The embedded data: scikit-learn's 1,797 handwritten digits as two ordinary sources, the same bytes everywhere.

Classification: the scans as images, in class folders. Detection: scenes composed from them, as Pascal VOC.
Both share one split of the scans, so that no scan of a test image was seen in training.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
1998 (CC BY 4.0), bundled with scikit-learn as 8x8 images of 17 grey levels.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from visionloop.core.images import ImageArray
from visionloop.data.samples import SPLITS, Split

SCAN_SIZE = 32
SCENE_SIZE = 128
NUM_SCENES: dict[Split, int] = {"train": 640, "val": 80, "test": 120}
_SEED = 20_261_120
_MIN_INK = 0.25
# Of every ten scans of a class: seven to train, one to val, two to test, in the order of the source.
_TURNS: tuple[Split, ...] = ("train", "train", "test", "train", "train", "val", "train", "train", "test", "train")

Grey = npt.NDArray[np.float64]
Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels, half open."""
Scene = tuple[ImageArray, list[tuple[str, Box]]]
"""uint8 [128,128,3], and for each digit its class name and tight box."""


def generate(root: Path) -> None:
    """Write `root/classification` and `root/detection`."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    scans, labels = bunch.images / 16.0, bunch.target
    splits = split_scans(labels)
    _write_scans(root / "classification", scans, labels, splits)
    for split in SPLITS:
        members = np.flatnonzero(np.array(splits) == split)
        _write_scenes(root / "detection", split, scans[members], labels[members])


def split_scans(labels: npt.NDArray[np.int64]) -> list[Split]:
    """The split of each scan: stratified, and fixed by the scan's rank inside its class."""
    seen: dict[int, int] = {}
    splits: list[Split] = []
    for label in labels.tolist():
        rank = seen[label] = seen.get(label, -1) + 1
        splits.append(_TURNS[rank % len(_TURNS)])
    return splits


def _write_scans(root: Path, scans: Grey, labels: npt.NDArray[np.int64], splits: list[Split]) -> None:
    for index, (scan, label, split) in enumerate(zip(scans, labels.tolist(), splits, strict=True)):
        folder = root / split / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        _save(scan_picture(scan), folder / f"{index:04d}.png")


def scan_picture(scan: Grey) -> Image.Image:
    """A scan [8,8] in [0,1] as a grey picture of 32 x 32 pixels."""
    return Image.fromarray((_enlarge(scan, SCAN_SIZE) * 255).round().astype(np.uint8))


def _enlarge(scan: Grey, size: int) -> Grey:
    """A scan [8,8] in [0,1] as [size,size], smooth."""
    picture = Image.fromarray((scan * 255).round().astype(np.uint8))
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC), np.float64) / 255.0


def _write_scenes(root: Path, split: Split, scans: Grey, labels: npt.NDArray[np.int64]) -> None:
    numbers = range(NUM_SCENES[split])
    rngs = (np.random.default_rng((_SEED, SPLITS.index(split), number)) for number in numbers)
    write_scenes(root, split, (compose_scene(rng, scans, labels) for rng in rngs))


def write_scenes(root: Path, split: Split, scenes: Iterable[Scene]) -> None:
    """Write scenes as a split of a Pascal VOC source."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / name).mkdir(parents=True, exist_ok=True)
    stems = []
    for number, (scene, objects) in enumerate(scenes):
        stem = f"{split}_{number:04d}"
        _save(Image.fromarray(scene), root / "JPEGImages" / f"{stem}.png")
        (root / "Annotations" / f"{stem}.xml").write_text(_annotation(stem, objects))
        stems.append(stem)
    (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))


def _save(picture: Image.Image, path: Path) -> None:
    # The level is fixed because another one gives other bytes; the lock fixes Pillow and its deflate.
    picture.save(path, "PNG", compress_level=6)


def compose_scene(
    rng: np.random.Generator,
    scans: Grey,
    labels: npt.NDArray[np.int64],
    *,
    tilt: tuple[float, float] = (-12.0, 12.0),
) -> Scene:
    """A scene of two to six digits.

    Args:
        rng: Decides everything.
        scans: [N,8,8] in [0,1].
        labels: [N].
        tilt: Least and most degrees by which a digit is turned, counter-clockwise.
    """
    scene = _background(rng)
    objects: list[tuple[str, Box]] = []
    for _ in range(int(rng.integers(2, 7))):
        index = int(rng.integers(len(scans)))
        ink = _turned(rng, scans[index], int(rng.integers(26, 57)), tilt)
        box = _place(rng, ink, [other for _, other in objects])
        if box is None:
            continue
        x1, y1, x2, y2 = box
        patch = scene[y1:y2, x1:x2]
        alpha = _crop(ink)[:, :, None]
        scene[y1:y2, x1:x2] = patch * (1 - alpha) + _ink_colour(rng, patch) * alpha
        objects.append((str(labels[index]), box))
    return np.clip(scene, 0, 255).round().astype(np.uint8), objects


def _background(rng: np.random.Generator) -> Grey:
    """Plain, a gradient, or a grain, in a muted colour."""
    base = rng.uniform(40, 215, 3)
    scene = np.broadcast_to(base, (SCENE_SIZE, SCENE_SIZE, 3)).copy()
    kind = int(rng.integers(3))
    if kind == 1:
        angle, ramp = rng.uniform(0, 2 * np.pi), np.linspace(-1, 1, SCENE_SIZE)
        slope = np.cos(angle) * ramp[None, :] + np.sin(angle) * ramp[:, None]
        scene += slope[:, :, None] * rng.uniform(-30, 30, 3)
    elif kind == 2:
        coarse = rng.normal(0, 1, (16, 16))
        grain = Image.fromarray((coarse * 20 + 128).clip(0, 255).astype(np.uint8))
        smooth = np.asarray(grain.resize((SCENE_SIZE, SCENE_SIZE), Image.Resampling.BICUBIC), np.float64) - 128
        scene += smooth[:, :, None] * rng.uniform(0.5, 1.0)
    return scene + rng.normal(0, 3, scene.shape)


def _turned(rng: np.random.Generator, scan: Grey, size: int, tilt: tuple[float, float]) -> Grey:
    picture = Image.fromarray((_enlarge(scan, size) * 255).astype(np.uint8))
    turned = picture.rotate(float(rng.uniform(*tilt)), Image.Resampling.BICUBIC, expand=True)
    # Bicubic edges smear; a steeper ramp gives strokes that end.
    return np.clip((np.asarray(turned, np.float64) / 255.0 - 0.15) * 1.5, 0.0, 1.0)


def _crop(ink: Grey) -> Grey:
    rows = np.flatnonzero((ink > _MIN_INK).any(axis=1))
    columns = np.flatnonzero((ink > _MIN_INK).any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _place(rng: np.random.Generator, ink: Grey, others: list[Box]) -> Box | None:
    """A box for the ink that covers at most a fifth of any other box or itself, if twenty tries find one."""
    height, width = _crop(ink).shape
    for _ in range(20):
        x1 = int(rng.integers(0, SCENE_SIZE - width + 1))
        y1 = int(rng.integers(0, SCENE_SIZE - height + 1))
        box = (x1, y1, x1 + width, y1 + height)
        if all(_overlap(box, other) <= 0.2 for other in others):
            return box
    return None


def _overlap(a: Box, b: Box) -> float:
    """Intersection over the smaller of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def _ink_colour(rng: np.random.Generator, patch: Grey) -> Grey:
    """A colour whose brightness lies at least 90 levels from the patch's mean."""
    mean = float(patch.mean())
    colour = rng.uniform(0, 255, 3)
    wanted = mean + 110 if mean < 128 else mean - 110
    return np.clip(colour - colour.mean() + wanted, 0, 255) if abs(colour.mean() - mean) < 90 else colour


def _annotation(stem: str, objects: list[tuple[str, Box]]) -> str:
    items = "".join(
        f"  <object>\n    <name>{name}</name>\n    <difficult>0</difficult>\n    <bndbox>\n"
        f"      <xmin>{x1 + 1}</xmin>\n      <ymin>{y1 + 1}</ymin>\n      <xmax>{x2}</xmax>\n      <ymax>{y2}</ymax>\n"
        f"    </bndbox>\n  </object>\n"
        for name, (x1, y1, x2, y2) in objects
    )
    side = SCENE_SIZE
    size = f"  <size>\n    <width>{side}</width>\n    <height>{side}</height>\n    <depth>3</depth>\n  </size>\n"
    return f"<annotation>\n  <filename>{stem}.png</filename>\n{size}{items}</annotation>\n"
