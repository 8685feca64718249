"""COCO, as exporters write it, and what is wrong in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.formats.scenes import (
    Scenes,
    coco,
    content,
    image,
    rules,
    run,
    write_coco,
)
from visionloop.core.errors import DataError


def test_coco_as_roboflow_exports_it(tmp_path: Path, scenes: Scenes) -> None:
    """A JSON file in each split's folder, and a category that only groups the others."""
    for stem, (split, _) in scenes.items():
        image(tmp_path, stem, "valid" if split == "val" else split)
    for split, folder in (("train", "train"), ("val", "valid"), ("test", "test")):
        values = coco(scenes, lambda stem: f"{stem}.png", split)
        values["categories"] = [
            {"id": 0, "name": "colours", "supercategory": "none"},
            *({**category, "supercategory": "colours"} for category in values["categories"]),
        ]
        (tmp_path / "source" / folder / "_annotations.coco.json").write_text(json.dumps(values))
    result = run(tmp_path, "coco")
    assert result.findings == []
    assert content(result) == content(run(tmp_path, "voc", "voc"))


def test_coco_of_one_file_gets_splits_of_its_own(tmp_path: Path, scenes: Scenes) -> None:
    """As Label Studio exports it, with paths of the machine it ran on."""
    every = {stem: ("all", boxes) for stem, (_, boxes) in scenes.items()}
    for stem in every:
        image(tmp_path, stem, "images")
    values = coco(every, lambda stem: f"..\\..\\label-studio\\images\\{stem}.png", "all")
    (tmp_path / "source/result.json").write_text(json.dumps(values))
    result = run(tmp_path, "coco")
    assert result.findings == []
    assert min(result.dataset.info.split_counts.values()) >= 2
    assert sorted(boxes for _, boxes in content(result).values()) == sorted(
        boxes for _, boxes in content(run(tmp_path, "voc", "voc")).values()
    )


def test_other_files_of_coco_are_left_alone(tmp_path: Path, scenes: Scenes) -> None:
    folder = write_coco(tmp_path, scenes)
    points = json.loads((folder / "instances_train2017.json").read_text())
    (folder / "person_keypoints_train2017.json").write_text(json.dumps(points))
    (folder / "captions_train2017.json").write_text(json.dumps({"images": points["images"], "annotations": []}))
    result = run(tmp_path, "coco")
    assert result.findings == []
    assert sorted(result.ignored) == [
        "annotations/captions_train2017.json",
        "annotations/person_keypoints_train2017.json",
    ]


def test_what_is_wrong_in_coco_is_named(tmp_path: Path, scenes: Scenes) -> None:
    path = write_coco(tmp_path, scenes) / "instances_train2017.json"
    values = json.loads(path.read_text())
    first, second, third, *_ = values["annotations"]
    one_box = next(
        a for a in values["annotations"] if [b["image_id"] for b in values["annotations"]].count(a["image_id"]) == 2
    )
    one_box["bbox"] = [3, 4, "wide", 5]
    values["annotations"] += [{**second, "id": 900, "image_id": 77}, {**third, "id": 901, "category_id": 5}]
    values["images"].append({"id": 500, "file_name": "gone.png"})
    values["images"].append({"id": 501, "file_name": values["images"][0]["file_name"]})
    (tmp_path / "source/val2017/extra.png").write_bytes(b"nobody lists it")
    path.write_text(json.dumps(values))
    result = run(tmp_path, "coco")
    file = "annotations/instances_train2017.json"
    assert {(item.rule, item.file, item.found) for item in result.findings} == {
        ("bad_object", file, "bbox is [3, 4, 'wide', 5]"),
        ("bad_object", file, "there is no image with id 77"),
        ("bad_object", file, "there is no category 5"),
        ("missing_image", file, "there is no image 'gone.png'"),
        ("duplicate_id", file, "train2017/im000.png is listed already"),
        ("unlisted_image", "val2017/extra.png", "no annotation file lists 1 of the images"),
    }
    assert first["id"] == 0
    assert len(result.dataset) == 24


def test_crowds_and_polygons_of_coco(tmp_path: Path, scenes: Scenes) -> None:
    path = write_coco(tmp_path, scenes) / "instances_train2017.json"
    values = json.loads(path.read_text())
    values["annotations"] = [
        {
            "id": 1,
            "image_id": 0,
            "category_id": 10,
            "bbox": [1, 2, 30, 40],
            "iscrowd": 1,
            "segmentation": {"counts": "x"},
        },
        {
            "id": 2,
            "image_id": 0,
            "category_id": 11,
            "bbox": [],
            "segmentation": [[5, 6, 20, 6, 20, 30], [8, 2, 9, 3, 9, 2]],
        },
        *(item for item in values["annotations"] if item["image_id"] != 0),
    ]
    path.write_text(json.dumps(values))
    result = run(tmp_path, "coco")
    assert result.findings == []
    crowd, polygon = next(s for s in result.dataset.iter_samples() if s.id.endswith("im000")).objects
    assert (crowd.flags, crowd.box_xyxy) == (("crowd",), (1, 2, 31, 42))
    assert (polygon.flags, polygon.box_xyxy) == ((), (5, 2, 20, 30))


def test_an_image_of_two_coco_files_is_never_trained_on(tmp_path: Path, scenes: Scenes) -> None:
    folder = write_coco(tmp_path, scenes)
    train, val = (json.loads((folder / f"instances_{split}2017.json").read_text()) for split in ("train", "val"))
    train["images"].append({**val["images"][0], "id": 300, "file_name": "val2017/" + val["images"][0]["file_name"]})
    (folder / "instances_train2017.json").write_text(json.dumps(train))
    result = run(tmp_path, "coco")
    assert rules(result) == [("several_splits", "warning")]
    assert content(result) == content(run(tmp_path, "voc", "voc"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda values: values.pop("categories"), "without the list categories"),
        (lambda values: values["categories"].append({"id": 10, "name": "more"}), "category 3 has the id 10 of another"),
        (lambda values: values["images"].append({"id": 99}), "image 6 has no id or no file_name"),
    ],
)
def test_coco_files_that_nobody_can_understand(
    tmp_path: Path, scenes: Scenes, change: Callable[[dict[str, Any]], Any], sentence: str
) -> None:
    folder = write_coco(tmp_path, scenes)
    for path in sorted(folder.iterdir()):
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))
    with pytest.raises(DataError, match=sentence):
        run(tmp_path, "coco")
    assert not (tmp_path / "dataset").exists()


def test_values_of_coco_that_are_none(tmp_path: Path, scenes: Scenes) -> None:
    path = write_coco(tmp_path, scenes) / "instances_train2017.json"
    values = json.loads(path.read_text())
    first = values["annotations"][0]
    values["categories"][0]["supercategory"] = ["a", "list"]
    bad = [[10**400, 1, 2, 3], [float("nan"), 1, 2, 3], [True, 1, 2, 3], "1 2 3 4", None]
    values["annotations"] += [{**first, "id": 900 + index, "bbox": box} for index, box in enumerate(bad)]
    values["annotations"] += ["no object", {**first, "id": 990, "segmentation": [["x"]], "bbox": []}]
    path.write_text(json.dumps(values))
    result = run(tmp_path, "coco", tolerated=0.5)
    assert rules(result) == [("bad_object", "error")] * 7
    assert content(result) == content(run(tmp_path, "voc", "voc"))


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '["a list"]', "\x00"], ids=["cut", "deep", "list", "zero"])
def test_json_that_is_no_coco(tmp_path: Path, scenes: Scenes, text: str) -> None:
    image(tmp_path, "im000", "images")
    (tmp_path / "source/a.json").write_text(text)
    with pytest.raises(DataError, match="the source holds no COCO annotations"):
        run(tmp_path, "coco")
