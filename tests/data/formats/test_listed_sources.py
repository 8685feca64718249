"""COCO, YOLO and CSV: the same scenes as Pascal VOC give the same dataset, and what exporters make of the layouts."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.factory import COLOURS, FOLDER_NEEDS, VOC_NEEDS, make_folder_source, make_voc_source, pack
from visionloop.core.errors import DataError
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


@pytest.fixture
def scenes(tmp_path: Path) -> Scenes:
    """What `make_voc_source` draws, with its images in `tmp_path/voc`."""
    voc = make_voc_source(tmp_path / "voc")
    splits = {
        stem: path.stem for path in (voc / "ImageSets/Main").glob("*.txt") for stem in path.read_text().splitlines()
    }
    found: Scenes = {}
    for path in sorted((voc / "Annotations").glob("*.xml")):
        texts = re.findall(
            r"<name>(\w+)<.*?<xmin>(\d+)<.*?<ymin>(\d+)<.*?<xmax>(\d+)<.*?<ymax>(\d+)<", path.read_text()
        )
        boxes: Boxes = [(name, (int(a) - 1.0, int(b) - 1.0, float(c), float(d))) for name, a, b, c, d in texts]
        found[path.stem] = splits[path.stem], boxes
    return found


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


@pytest.mark.parametrize("kind", WRITERS)
def test_the_same_scenes_are_the_same_dataset_in_every_format(tmp_path: Path, scenes: Scenes, kind: str) -> None:
    WRITERS[kind](tmp_path, scenes)
    expected = content(run(tmp_path, "voc", "voc"))
    result = run(tmp_path, kind)
    assert result.findings == []
    assert content(result) == expected
    assert result.dataset.classes == tuple(NAMES)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_folder_and_its_archive_give_the_same_ids(tmp_path: Path, scenes: Scenes, kind: str) -> None:
    WRITERS[kind](tmp_path, scenes)
    pack(tmp_path / "source", tmp_path / "packed.zip")
    first = run(tmp_path, kind)
    ids = [(sample.id, sample.sha256) for sample in first.dataset.iter_samples()]
    assert all(re.fullmatch(r"\w[\w-]*im\d+", name) for name, _ in ids)
    second = run(tmp_path, kind, "packed.zip")
    assert [(sample.id, sample.sha256) for sample in second.dataset.iter_samples()] == ids


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


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '["a list"]', "\x00"])
def test_json_that_is_no_coco(tmp_path: Path, scenes: Scenes, text: str) -> None:
    image(tmp_path, "im000", "images")
    (tmp_path / "source/a.json").write_text(text)
    with pytest.raises(DataError, match="the source holds no COCO annotations"):
        run(tmp_path, "coco")


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
    mixed = f"1 lines are polygons (as labels/train/im002.txt, line 1), {boxes} are boxes"
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
    samples = {sample.id[-5:]: sample for sample in result.dataset.iter_samples()}
    assert len(samples["im001"].objects) == 2
    assert samples["im002"].objects[0].box_xyxy == (16, 16, 32, 48)
    assert samples["im003"].objects == samples["im004"].objects == ()


@pytest.mark.parametrize("text", ["names: 3", "nc: 3", "names: [", "names: {a: b}", "names: ['']", "nc: 2\nnames: [a]"])
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
    assert "1 lines are polygons (as labels/train/im001.txt, line 1)" in found.found


@pytest.mark.parametrize("kind", WRITERS)
def test_files_that_look_like_another_kind_are_told(tmp_path: Path, scenes: Scenes, kind: str) -> None:
    WRITERS[kind](tmp_path, scenes)
    for other in {"coco", "yolo", "csv", "voc", "folder"} - {kind}:
        with pytest.raises(DataError) as error:
            run(tmp_path, other)
        assert f"`source: {kind}` in conf/<task>/default.yaml" in error.value.action


def test_spellings_of_one_class_are_told(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source")
    rows = [f"{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(source.glob("*/*.png"))]
    (source / "labels.csv").write_text("\n".join(["path,label", *rows[:-1], rows[-1].replace(",red", ",Red ")]) + "\n")
    found = next(item for item in run(tmp_path, "csv", boxes=False).findings if item.rule == "similar_classes")
    assert found.found == "classes 'Red' (1) and 'red' (11) differ by case, spaces or signs only"


def test_yolo_without_any_label_file(tmp_path: Path, scenes: Scenes) -> None:
    shutil.rmtree(write_yolo(tmp_path, scenes) / "labels")
    with pytest.raises(DataError, match="none of the 24 images has a label file"):
        run(tmp_path, "yolo")


def test_boxes_of_fractions_in_a_table(tmp_path: Path, scenes: Scenes) -> None:
    """As Open Images has them."""
    parts = {
        stem: (split, [(name, tuple(value / SIDE for value in box)) for name, box in boxes])
        for stem, (split, boxes) in scenes.items()
    }
    write_csv(tmp_path, parts, "ImageID,LabelName,XMin,YMin,XMax,YMax,Subset")  # type: ignore[arg-type]
    assert content(run(tmp_path, "csv")) == content(run(tmp_path, "voc", "voc"))


def test_what_is_wrong_in_a_table_is_named(tmp_path: Path, scenes: Scenes) -> None:
    path = write_csv(tmp_path, scenes)
    lines = path.read_text().splitlines()
    lines += [
        "im001.png,red,3,4,wide,5,train",
        "gone.png,red,3,4,30,40,train",
        ",red,3,4,30,40,train",
        "im002.png,red,3,4,30,40,holdout",
        lines[1],
        "",
    ]
    path.write_text("\n".join(lines) + "\n")
    result = run(tmp_path, "csv")
    last = len(lines)
    assert [(item.rule, item.record, item.found) for item in result.findings] == [
        ("bad_annotation", f"line {last - 3}", "no image is named"),
        ("bad_annotation", f"line {last - 2}", "split 'holdout'"),
        ("bad_object", f"line {last - 5} (red)", "box (3, 4, wide, 5)"),
        ("missing_image", f"line {last - 4}", "there is no image 'gone.png'"),
    ]
    assert content(result) == content(run(tmp_path, "voc", "voc"))


def test_labels_of_whole_images_in_a_table(tmp_path: Path) -> None:
    """As competitions hand them out: names without ending, a table for train alone, an example of an answer."""
    pictures = make_folder_source(tmp_path / "pictures")
    (tmp_path / "source/train").mkdir(parents=True)
    rows = []
    for path in sorted(pictures.glob("*/*.png")):
        name = f"{path.parent.name[0]}{path.stem}"
        shutil.copy(path, tmp_path / f"source/train/{name}.png")
        rows.append(f"{name};{path.parent.name}")
    (tmp_path / "source/train.csv").write_text("\ufeffid;colour\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "source/sample_submission.csv").write_text("id,label\nr1,blue\n")
    result = run(tmp_path, "csv", boxes=False)
    assert result.findings == []
    assert sum(result.dataset.info.split_counts.values()) == 36
    expected = {"r": "red", "g": "green", "b": "blue"}
    for sample in result.dataset.iter_samples():
        assert result.dataset.classes[sample.objects[0].class_id] == expected[Path(sample.source_record).name[0]]


def test_an_image_with_two_labels_in_a_table_is_kept_out(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source")
    rows = [f"{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(source.glob("*/*.png"))]
    (source / "labels.csv").write_text("\n".join(["path,label", *rows, "red/1.png,blue"]) + "\n")
    (found,) = run(tmp_path, "csv", boxes=False).findings
    assert (found.rule, found.found) == ("bad_annotation", "2 labels (blue, red)")


def test_names_that_fit_several_images_are_not_guessed(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source")
    rows = [f"{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(source.glob("*/*.png"))]
    (source / "labels.csv").write_text("\n".join(["path,label", *rows[1:], "0.png,blue"]) + "\n")
    result = run(tmp_path, "csv", boxes=False)
    found = next(item for item in result.findings if item.rule == "missing_image")
    assert found.found == "'0.png' fits 3 images (blue/0.png, green/0.png, red/0.png)"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("picture,kind\na.png,red\n", "labels.csv has the columns 'picture', 'kind'"),
        ("0.png,red\n1.png,red\n", "labels.csv has the columns '0.png', 'red': a line of names is missing"),
    ],
)
def test_a_table_without_the_columns(tmp_path: Path, text: str, found: str) -> None:
    source = make_folder_source(tmp_path / "source")
    (source / "labels.csv").write_text(text)
    with pytest.raises(DataError) as error:
        run(tmp_path, "csv", boxes=False)
    assert found in error.value.what
    assert "filename" in error.value.expected
