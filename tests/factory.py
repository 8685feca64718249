"""Tiny data made on the fly: sources of every layout, canonical datasets, trained learners."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from visionloop.data.prepare import prepare
from visionloop.data.requirements import Requirements
from visionloop.data.samples import Dataset
from visionloop.data.settings import DataSettings, SourceSettings

COLOURS = {"blue": (40, 60, 220), "green": (40, 200, 60), "red": (220, 50, 40)}


def noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return rng.integers(90, 150, (height, width, 3), dtype=np.uint8)


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def make_folder_source(root: Path, *, per_class: int = 12, splits: tuple[str, ...] = (), side: int = 32) -> Path:
    """`<split>/<class>/<n>.png`: the class is the image's colour."""
    rng = np.random.default_rng(3)
    for split in splits or ("",):
        for name, colour in COLOURS.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(per_class):
                array = noise(rng, side, side) // 3 + np.array(colour, np.uint8) // 2
                (folder / f"{number}.png").write_bytes(png(array.astype(np.uint8)))
    return root


def voc_xml(objects: list[tuple[str, tuple[float, float, float, float]]], size: tuple[int, int]) -> str:
    """Boxes as VOC writes them: from 1, last pixel included."""
    items = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for name, (x1, y1, x2, y2) in objects
    )
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{items}</annotation>"


def make_voc_source(root: Path, *, num_images: int = 24, splits: bool = True, side: int = 64) -> Path:
    """One or two coloured rectangles on noise; the class is the colour."""
    rng = np.random.default_rng(5)
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    stems = [f"im{number:03d}" for number in range(num_images)]
    for number, stem in enumerate(stems):
        array = noise(rng, side, side)
        objects = []
        for slot in range(1 + number % 2):
            name = list(COLOURS)[(number + slot) % 3]
            width, height = rng.integers(16, 26, 2)
            x1 = int(rng.integers(0, side // 2 - 26 + 1)) + slot * side // 2
            y1 = int(rng.integers(0, side - height))
            array[y1 : y1 + height, x1 : x1 + width] = COLOURS[name]
            objects.append((name, (x1, y1, x1 + int(width), y1 + int(height))))
        (root / "JPEGImages" / f"{stem}.png").write_bytes(png(array))
        (root / "Annotations" / f"{stem}.xml").write_text(voc_xml(objects, (side, side)))
    if splits:
        parts = {"train": stems[: num_images // 2], "val": stems[num_images // 2 : -6], "test": stems[-6:]}
        for split, members in parts.items():
            (root / "ImageSets/Main" / f"{split}.txt").write_text("\n".join(members) + "\n")
    return root


def pack(root: Path, archive: Path) -> Path:
    """The folder as .zip or .tar.gz, below a folder of its own name."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as target:
            for path in files:
                target.write(path, f"{root.name}/{path.relative_to(root)}")
    else:
        with tarfile.open(archive, "w:gz") as target:
            for path in files:
                target.add(path, f"{root.name}/{path.relative_to(root)}")
    return archive


FOLDER_NEEDS = Requirements(min_classes=2, boxes=False, one_label=True)
VOC_NEEDS = Requirements(min_classes=1, boxes=True, one_label=False)


def make_dataset(folder: Path, kind: str) -> Dataset:
    """A canonical dataset of the kind `folder` or `voc`."""
    if kind == "voc":
        make_voc_source(folder / "source")
    else:
        make_folder_source(folder / "source")
    settings = DataSettings(source=SourceSettings(kind=kind, path="source", name="tiny"))  # type: ignore[arg-type]
    needs = VOC_NEEDS if kind == "voc" else FOLDER_NEEDS
    return prepare(settings, needs, folder / "dataset", root=folder).dataset
