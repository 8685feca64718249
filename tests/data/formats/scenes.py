"""The scenes of `make_voc_source` in other formats, and what becomes of them."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.factory import COLOURS, FOLDER_NEEDS, VOC_NEEDS
from visionloop.data.prepare import PrepareResult, prepare
from visionloop.data.samples import Sample
from visionloop.data.settings import CheckSettings, DataSettings, SourceSettings

NAMES = sorted(COLOURS)
SIDE = 64
Boxes = list[tuple[str, tuple[float, float, float, float]]]
Scenes = dict[str, tuple[str, Boxes]]
"""Stem to split and boxes (x1, y1, x2, y2)."""


def run(root: Path, kind: str, path: str = "source", *, boxes: bool = True, tolerated: float = 0.2) -> PrepareResult:
    source = SourceSettings(kind=kind, path=path, name="tiny", one_based=kind == "voc")  # type: ignore[arg-type]
    settings = DataSettings(source=source, check=CheckSettings(max_unreadable_fraction=tolerated))
    return prepare(settings, VOC_NEEDS if boxes else FOLDER_NEEDS, root / "dataset", root=root)


def rules(result: PrepareResult) -> list[tuple[str, str]]:
    return [(item.rule, item.severity) for item in result.findings]


def content(result: PrepareResult) -> dict[str, Any]:
    """Split and objects by the image's hash."""

    def of(sample: Sample) -> Any:
        # Six digits behind the point are what label files have; a float32 holds no more.
        boxes = [(item.class_id, tuple(round(v, 3) for v in item.box_xyxy or ())) for item in sample.objects]
        return sample.split, boxes

    return {sample.sha256: of(sample) for sample in result.dataset.iter_samples()}


def image(root: Path, stem: str, folder: str) -> Path:
    target = root / "source" / folder / f"{stem}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(root / "voc/JPEGImages" / f"{stem}.png", target)
    return target


def coco(scenes: Scenes, file_name: Callable[[str], str], split: str) -> dict[str, Any]:
    stems = [stem for stem, (where, _) in scenes.items() if where == split]
    boxes = [(number, *box) for number, stem in enumerate(stems) for box in scenes[stem][1]]
    return {
        "images": [
            {"id": number, "file_name": file_name(stem), "width": SIDE, "height": SIDE}
            for number, stem in enumerate(stems)
        ],
        "annotations": [
            {
                "id": index,
                "image_id": number,
                "category_id": 10 + NAMES.index(name),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "iscrowd": 0,
            }
            for index, (number, name, (x1, y1, x2, y2)) in enumerate(boxes)
        ],
        "categories": [{"id": 10 + index, "name": name} for index, name in enumerate(NAMES)],
    }


def write_coco(root: Path, scenes: Scenes) -> Path:
    """As cocodataset.org lays it out; returns the annotations' folder."""
    for stem, (split, _) in scenes.items():
        image(root, stem, f"{split}2017")
    folder = root / "source/annotations"
    folder.mkdir()
    for split in ("train", "val", "test"):
        values = coco(scenes, lambda stem: f"{stem}.png", split)
        (folder / f"instances_{split}2017.json").write_text(json.dumps(values))
    return folder


def yolo_lines(boxes: Boxes) -> str:
    lines = []
    for name, (x1, y1, x2, y2) in boxes:
        values = ((x1 + x2) / 2 / SIDE, (y1 + y2) / 2 / SIDE, (x2 - x1) / SIDE, (y2 - y1) / SIDE)
        lines.append(" ".join([str(NAMES.index(name)), *(f"{value:.6f}" for value in values)]))
    return "\n".join(lines) + "\n"


def write_yolo(root: Path, scenes: Scenes, layout: str = "images/{split}") -> Path:
    """Images and labels; `layout` is the images' folder, the labels' has `labels` in place of `images`."""
    source = root / "source"
    for stem, (split, boxes) in scenes.items():
        folder = layout.format(split=split)
        image(root, stem, folder)
        labels = source / folder.replace("images", "labels")
        labels.mkdir(parents=True, exist_ok=True)
        (labels / f"{stem}.txt").write_text(yolo_lines(boxes))
    places = "".join(f"{split}: {layout.format(split=split)}\n" for split in ("train", "val", "test"))
    (source / "data.yaml").write_text(f"path: ../datasets/tiny\n{places}names: {json.dumps(NAMES)}\n")
    return source


def write_csv(root: Path, scenes: Scenes, header: str = "filename,class,xmin,ymin,xmax,ymax,split") -> Path:
    for stem in scenes:
        image(root, stem, "pictures")
    path = root / "source/labels.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        for stem, (split, boxes) in scenes.items():
            for name, box in boxes:
                writer.writerow([f"{stem}.png", name, *box, split])
    return path


WRITERS: dict[str, Callable[[Path, Scenes], Path]] = {"coco": write_coco, "yolo": write_yolo, "csv": write_csv}
