"""YOLO, as exporters write it, and what is wrong in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.data.formats.scenes import (
    NAMES,
    Scenes,
    content,
    run,
    write_yolo,
)
from visionloop.core.errors import DataError


def test_yolo_as_roboflow_exports_it(tmp_path: Path, scenes: Scenes) -> None:
    named = {stem: ("valid" if split == "val" else split, boxes) for stem, (split, boxes) in scenes.items()}
    source = write_yolo(tmp_path, named, "{split}/images")
    (source / "data.yaml").write_text(
        f"train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 3\nnames: {NAMES}\n"
    )
    (source / "README.roboflow.txt").write_text("exported")
    result = run(tmp_path, "yolo")
    assert result.findings == []
    assert content(result) == content(run(tmp_path, "voc", "voc"))
    assert result.ignored == ("README.roboflow.txt",)


def test_yolo_with_lists_of_images_and_numbered_names(tmp_path: Path, scenes: Scenes) -> None:
    flat = write_yolo(tmp_path, scenes, "images")
    for split in ("train", "val", "test"):
        lines = [f"/content/yolo/images/{stem}.png" for stem, (where, _) in scenes.items() if where == split]
        (flat / f"{split}.txt").write_text("\n".join(lines))
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(NAMES))
    (flat / "data.yaml").write_text(f"path: .\ntrain: train.txt\nval: val.txt\ntest: test.txt\nnames:\n{names}")
    result = run(tmp_path, "yolo")
    assert result.findings == []
    assert content(result) == content(run(tmp_path, "voc", "voc"))


def test_yolo_beside_the_images_with_classes_txt(tmp_path: Path, scenes: Scenes) -> None:
    """As labelImg leaves it: no splits, labels where the images are."""
    source = write_yolo(tmp_path, scenes, "photos")
    (source / "data.yaml").unlink()
    (source / "photos/classes.txt").write_text("\n".join(NAMES) + "\n")
    result = run(tmp_path, "yolo")
    assert result.findings == []
    assert result.dataset.classes == tuple(NAMES)
    assert min(result.dataset.info.split_counts.values()) >= 2


def test_boxes_of_yolo_with_key_points(tmp_path: Path, scenes: Scenes) -> None:
    source = write_yolo(tmp_path, scenes)
    for path in source.rglob("labels/*/*.txt"):
        path.write_text("".join(f"{line} 0.1 0.2 0.9 0.9\n" for line in path.read_text().splitlines()))
    with (source / "data.yaml").open("a") as file:
        file.write("kpt_shape: [2, 2]\n")
    assert content(run(tmp_path, "yolo")) == content(run(tmp_path, "voc", "voc"))


def test_yolo_that_validates_on_what_it_trains_on(tmp_path: Path, scenes: Scenes) -> None:
    source = write_yolo(tmp_path, {stem: ("train", boxes) for stem, (_, boxes) in scenes.items()})
    (source / "data.yaml").write_text(f"train: images/train\nval: images/train\nnames: {NAMES}\n")
    result = run(tmp_path, "yolo")
    (found,) = result.findings
    assert found.found == "24 of the images of val are in train as well"
    assert found.action == "val is split off train instead"
    assert min(result.dataset.info.split_counts.values()) >= 2


def test_what_is_wrong_in_yolo_is_named(tmp_path: Path, scenes: Scenes) -> None:
    source = write_yolo(tmp_path, scenes)
    labels = source / "labels/train"
    good = (labels / "im001.txt").read_text()
    bad = [
        "9 0.5 0.5 0.2 0.2",
        "0 40 50 20 20",
        "0 0.5 0.5 0.2 0.2 0.93",
        "red 0.5 0.5 0.2 0.2",
        "0 0.5 nan 0.2 0.2",
        "1 0.5 0.5 0 0.2",
    ]
    (labels / "im001.txt").write_text(good + good + "\n".join(bad))
    (labels / "im002.txt").write_text("0 0.25 0.25 0.5 0.25 0.5 0.75\n")
    (labels / "im003.txt").write_text("")
    (labels / "im004.txt").unlink()
    (labels / "ghost.txt").write_text(good)
    result = run(tmp_path, "yolo", tolerated=0.5)
    file = "labels/train/im001.txt"
    boxes = sum(
        len(sample.objects) for sample in result.dataset.iter_samples()
    )  # less the polygon, and one without area
    mixed = f"1 lines of the labels are polygons, {boxes} are boxes"
    assert {(item.rule, item.file, item.found) for item in result.findings} == {
        ("bad_object", file, "there is no class 9: data.yaml names 3, from 0"),
        ("bad_object", file, "the center (40, 50) is no fraction of the image's sides"),
        ("bad_object", file, "6 values, as predictions have with their score"),
        ("bad_object", file, "'red 0.5 0.5 0.2 0.2' are not numbers"),
        ("bad_object", file, "a value is not finite"),
        ("degenerate_box", file, "box (32, 25.6, 32, 38.4) has no area"),
        ("missing_image", "labels/train/ghost.txt", "there is no image for this label file"),
        ("mixed_labels", "labels/train/im002.txt", mixed),
        ("no_label_file", "images/train/im004.png", "1 of 24 images have no label file"),
    }
    at = {item.found: item.record for item in result.findings if item.file == file}
    # Two lines are there twice, and lines count as an editor counts them.
    assert at["'red 0.5 0.5 0.2 0.2' are not numbers"] == "line 8"
    samples = {sample.id[-5:]: sample for sample in result.dataset.iter_samples()}
    assert len(samples["im001"].objects) == 2
    assert samples["im002"].objects[0].box_xyxy == (16, 16, 32, 48)
    assert samples["im003"].objects == samples["im004"].objects == ()


@pytest.mark.parametrize(
    "text", ["names: 3", "nc: 3", "names: [", "names: {a: b}", "names: ['']", "names: {null: a}", "nc: 2\nnames: [a]"]
)
def test_yolo_without_names_of_classes(tmp_path: Path, scenes: Scenes, text: str) -> None:
    (write_yolo(tmp_path, scenes) / "data.yaml").write_text(text)
    found = "does not name its classes" if text == "nc: 3" else r"classes cannot be read\n  - data\.yaml: "
    with pytest.raises(DataError, match=found):
        run(tmp_path, "yolo")


def test_lines_that_ran_into_one_are_told(tmp_path: Path, scenes: Scenes) -> None:
    path = write_yolo(tmp_path, scenes) / "labels/train/im001.txt"
    first, *_ = path.read_text().splitlines()
    path.write_text(f"{first}1 0.5 0.5 0.2 0.2\n")
    (found,) = run(tmp_path, "yolo").findings
    assert (found.rule, found.severity) == ("mixed_labels", "warning")
    assert (found.file, found.record) == ("labels/train/im001.txt", "line 1")
    assert found.found.startswith("1 lines of the labels are polygons, ")


def test_yolo_without_any_label_file(tmp_path: Path, scenes: Scenes) -> None:
    shutil.rmtree(write_yolo(tmp_path, scenes) / "labels")
    with pytest.raises(DataError, match="none of the 24 images has a label file"):
        run(tmp_path, "yolo")
