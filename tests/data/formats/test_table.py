"""Tables, as exporters and competitions write them, and what is wrong in them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.data.formats.scenes import (
    SIDE,
    Scenes,
    content,
    run,
    write_csv,
)
from tests.factory import make_folder_source
from visionloop.core.errors import DataError


def test_spellings_of_one_class_are_told(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source")
    rows = [f"{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(source.glob("*/*.png"))]
    (source / "labels.csv").write_text("\n".join(["path,label", *rows[:-1], rows[-1].replace(",red", ",Red ")]) + "\n")
    found = next(item for item in run(tmp_path, "csv", boxes=False).findings if item.rule == "similar_classes")
    assert found.found == "classes 'Red' (1) and 'red' (11) differ by case, spaces, _ or - only"


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
