from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from tests.factory import FOLDER_NEEDS, VOC_NEEDS, make_folder_source, make_voc_source, pack, voc_xml
from visionloop.core.errors import DataError
from visionloop.core.files import hash_folder, sha256_bytes
from visionloop.data.prepare import PrepareResult, prepare
from visionloop.data.requirements import Requirements
from visionloop.data.settings import CheckSettings, DataSettings, SourceSettings

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def run(
    root: Path, kind: str, path: str = "source", needs: Requirements | None = None, **check: float
) -> PrepareResult:
    settings = DataSettings(
        source=SourceSettings(kind=kind, path=path, name="tiny"),  # type: ignore[arg-type]
        check=CheckSettings(**check),
    )
    return prepare(settings, needs or (VOC_NEEDS if kind == "voc" else FOLDER_NEEDS), root / "dataset", root=root)


def rules(result: PrepareResult) -> list[tuple[str, str, str]]:
    return [(item.rule, item.file, item.record) for item in result.findings]


@pytest.mark.parametrize("suffix", ["", ".zip", ".tar.gz"])
@pytest.mark.parametrize("kind", ["folder", "voc"])
def test_folder_and_archives_give_the_same_samples(tmp_path: Path, kind: str, suffix: str) -> None:
    make = make_voc_source if kind == "voc" else make_folder_source
    make(tmp_path / "source")
    if suffix:
        pack(tmp_path / "source", tmp_path / f"packed{suffix}")
    result = run(tmp_path, kind, f"packed{suffix}" if suffix else "source")
    assert result.findings == []
    assert result.dataset.classes == ("blue", "green", "red")
    samples = result.dataset.samples()
    assert len(samples) == len(result.dataset) == (24 if kind == "voc" else 36)
    assert [sample.id for sample in samples] == sorted(sample.id for sample in samples)
    for sample in samples[:3]:
        data = result.dataset.read_bytes(sample)
        assert sha256_bytes(data) == sample.sha256
        assert data == (tmp_path / "source" / sample.source_record.removeprefix("source/")).read_bytes()


def test_preparing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    make_voc_source(tmp_path / "source")
    first = hash_folder(run(tmp_path, "voc").dataset.root)
    assert hash_folder(run(tmp_path, "voc").dataset.root) == first


def test_official_splits_are_honoured(tmp_path: Path) -> None:
    make_folder_source(tmp_path / "source", per_class=4, splits=("train", "valid", "test"))
    assert run(tmp_path, "folder").dataset.info.split_counts == {"test": 12, "train": 12, "val": 12}


def test_voc_boxes_become_half_open_from_zero(tmp_path: Path) -> None:
    source = make_voc_source(tmp_path / "source")
    (source / "Annotations/im000.xml").write_text(voc_xml([("blue", (0, 0, 64, 64))], (64, 64)))
    sample = next(s for s in run(tmp_path, "voc").dataset.iter_samples() if s.source_record.endswith("im000.png"))
    assert sample.objects[0].box_xyxy == (0, 0, 64, 64)


def test_defects_are_named_and_kept_out(tmp_path: Path) -> None:
    source = make_voc_source(tmp_path / "source", num_images=30)
    bad = [
        ("blue", (5.0, 5.0, 30.0, 30.0)),
        ("red", (10.0, 10.0, 11.0, 30.0)),
        ("red", (500.0, 500.0, 600.0, 600.0)),
        ("green", (50.0, 50.0, 90.0, 60.0)),
    ]
    (source / "Annotations/im000.xml").write_text(voc_xml(bad, (64, 64)).replace("<xmax>11.0", "<xmax>9.0"))
    (source / "Annotations/im001.xml").write_text("<annotation><object>")
    (source / "JPEGImages/im002.png").unlink()
    (source / "Annotations/im003.xml").unlink()
    (source / "JPEGImages/im004.png").write_bytes(b"not an image")
    result = run(tmp_path, "voc", max_unreadable_fraction=0.15)
    assert sorted(rules(result)) == [
        ("bad_annotation", "Annotations/im001.xml", ""),
        ("degenerate_box", "Annotations/im000.xml", "object 1 (red)"),
        ("missing_annotation", "JPEGImages/im003.png", ""),
        ("missing_image", "Annotations/im002.xml", ""),
        ("outside_box", "Annotations/im000.xml", "object 2 (red)"),
        ("outside_box", "Annotations/im000.xml", "object 3 (green)"),
        ("unreadable_image", "JPEGImages/im004.png", ""),
    ]
    kept = next(s for s in result.dataset.iter_samples() if s.source_record.endswith("im000.png"))
    assert [item.box_xyxy for item in kept.objects] == [(5, 5, 30, 30), (50, 50, 64, 60)]
    with (result.dataset.root / "findings.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 7


def test_too_many_unusable_images_stop_everything(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source")
    (source / "red/0.png").write_bytes(b"")
    assert [rule for rule, *_ in rules(run(tmp_path, "folder"))] == ["unreadable_image"]  # one is never too many
    shutil.rmtree(tmp_path / "dataset")
    (source / "red/1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"2 of 36 images \(5\.6%\) cannot be used") as error:
        run(tmp_path, "folder")
    assert "unreadable_image: red/0.png: the file is empty" in error.value.what
    assert error.value.expected == "at most 1% (data.check.max_unreadable_fraction)"
    assert not (tmp_path / "dataset").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_sources_that_cannot_be_learned_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the source does not exist"):
        run(tmp_path, "folder")
    (tmp_path / "source").mkdir()
    with pytest.raises(DataError, match="the source is empty"):
        run(tmp_path, "folder")
    (tmp_path / "source/readme.txt").write_text("hello")
    with pytest.raises(DataError, match="the source holds no images"):
        run(tmp_path, "folder")
    with pytest.raises(DataError, match="the source holds no Pascal VOC annotations"):
        run(tmp_path, "voc")
    with pytest.raises(DataError, match="neither a folder nor an archive"):
        run(tmp_path, "folder", "source/readme.txt")


def test_one_class_only(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source")
    for name in ("red", "green"):
        for path in (source / name).iterdir():
            path.unlink()
    with pytest.raises(DataError, match=r"1 class\(es\): blue"):
        run(tmp_path, "folder")


def test_no_annotation_at_all(tmp_path: Path) -> None:
    source = make_voc_source(tmp_path / "source")
    for path in (source / "Annotations").iterdir():
        path.write_text(voc_xml([], (64, 64)))
    with pytest.raises(DataError, match="no usable object in any image"):
        run(tmp_path, "voc")


def test_a_class_that_train_lacks(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source", per_class=4, splits=("train", "val", "test"))
    (source / "train/red").rename(source / "train/purple")
    with pytest.raises(DataError, match="class 'red' is in val and test but not in train"):
        run(tmp_path, "folder")


def test_images_beside_class_folders(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source")
    (source / "red/0.png").rename(source / "0.png")
    result = run(tmp_path, "folder", max_unreadable_fraction=0.05)
    assert rules(result) == [("missing_annotation", "0.png", "")]
    assert len(result.dataset) == 35


def test_the_same_image_in_two_official_splits_is_reported(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source", per_class=4, splits=("train", "val", "test"))
    (source / "test/red/0.png").write_bytes((source / "train/red/1.png").read_bytes())
    assert [item.rule for item in run(tmp_path, "folder").findings] == ["leak"]


def test_a_folder_of_links_is_read_because_dvc_may_place_data_so(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source")
    cache = tmp_path / "cache"
    cache.mkdir()
    for number, path in enumerate(sorted(source.rglob("*.png"))):
        path.rename(cache / str(number))
        path.symlink_to(cache / str(number))
    assert len(run(tmp_path, "folder").dataset) == 36


def test_entities_are_refused(tmp_path: Path) -> None:
    source = make_voc_source(tmp_path / "source")
    bomb = '<!DOCTYPE a [<!ENTITY x "y">]>' + voc_xml([], (64, 64))
    (source / "Annotations/im000.xml").write_text(bomb)
    assert rules(run(tmp_path, "voc", max_unreadable_fraction=0.05)) == [
        ("bad_annotation", "Annotations/im000.xml", "")
    ]


@pytest.mark.skipif(not (SHARED / "bccd.tar.gz").exists(), reason="the folder shared/data with BCCD is not here")
def test_bccd_as_published(tmp_path: Path) -> None:
    settings = DataSettings(source=SourceSettings(kind="voc", path="bccd.tar.gz", name="bccd"))
    result = prepare(settings, VOC_NEEDS, tmp_path / "dataset", root=SHARED)
    assert result.dataset.info.split_counts == {"test": 72, "train": 205, "val": 87}
    assert [(item.rule, item.file[-9:-4], item.record) for item in result.findings] == [
        ("degenerate_box", "00338", "object 12 (RBC)"),
        ("degenerate_box", "00343", "object 3 (RBC)"),
    ]
    counts = {name: sum(by_split.values()) for name, by_split in result.dataset.info.class_counts.items()}
    assert counts == {"Platelets": 361, "RBC": 4153, "WBC": 372}
