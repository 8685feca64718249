"""What somebody else's folder or archive may look like, and what is said about it."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.factory import FOLDER_NEEDS, VOC_NEEDS, make_folder_source, make_voc_source, pack, voc_xml
from visionloop.core.errors import DataError
from visionloop.data.prepare import PrepareResult, prepare
from visionloop.data.settings import CheckSettings, DataSettings, SourceSettings

LENIENT = CheckSettings(max_unreadable_fraction=0.2)


def run(root: Path, kind: str, path: str = "source", **source: object) -> PrepareResult:
    settings = DataSettings(
        source=SourceSettings(kind=kind, path=path, name="tiny", **source),  # type: ignore[arg-type]
        check=LENIENT,
    )
    return prepare(settings, VOC_NEEDS if kind == "voc" else FOLDER_NEEDS, root / "dataset", root=root)


def rules(result: PrepareResult) -> list[tuple[str, str]]:
    return [(item.rule, item.severity) for item in result.findings]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_ids_of_foreign_letters_are_stable_as_the_dataset_grows(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source", per_class=4)
    (source / "red").rename(source / "猫")
    before = {s.source_record: s.id for s in run(tmp_path, "folder").dataset.iter_samples()}
    (source / "blue").rename(source / "狗")
    after = {s.source_record: s.id for s in run(tmp_path, "folder").dataset.iter_samples()}
    assert all(after[name] == before[name] for name in before if not name.startswith("blue"))
    assert len(set(after.values())) == 12


def test_names_that_differ_by_ending_or_case_do_not_become_one_file(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source")
    shutil.copy(source / "red/1.png", source / "red/1.jpg")
    shutil.copy(source / "blue/2.png", source / "blue/2.PNG")
    result = run(tmp_path, "folder")
    assert len(result.dataset) == len({s.id.lower() for s in result.dataset.iter_samples()}) == 38
    assert rules(result) == [("duplicate_id", "warning"), ("duplicate_id", "warning")]


def test_files_that_are_no_images_for_us_are_named(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source")
    for number in (1, 2):
        (source / f"red/{number}.png").rename(source / f"red/{number}.tiff")
    (found,) = run(tmp_path, "folder").findings
    assert found.rule == "unsupported_file"
    assert found.found == "2 files with .tiff among the images"


@pytest.mark.parametrize("suffix", ["", ".zip", ".tar.gz"])
def test_files_that_are_no_part_of_the_layout_are_counted(tmp_path: Path, suffix: str) -> None:
    source = make_folder_source(tmp_path / "source")
    (source / "red/Thumbs.db").write_bytes(b"thumbs")
    (source / "notes.txt").write_text("taken in May")
    (source / ".cache").mkdir()
    (source / ".cache/index").write_text("a folder of somebody's program")
    if suffix:
        pack(source, tmp_path / f"packed{suffix}")
    result = run(tmp_path, "folder", f"packed{suffix}" if suffix else "source")
    assert result.summary().endswith("findings: none; ignored: 2 other files (Thumbs.db, notes.txt)")


def test_the_summary_names_the_gravest_findings(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source", per_class=16)
    for number in range(4):
        (source / f"red/{number}.png").write_bytes(b"")
    line, *lines = run(tmp_path, "folder").summary().splitlines()
    assert line.endswith("findings: 4 unreadable_image")
    assert lines[0] == "  unreadable_image: red/0.png: the file is empty"
    assert lines[3:] == ["  and 1 more"]


def test_an_image_whose_objects_are_all_unusable_is_no_background(tmp_path: Path) -> None:
    """What its boxes were drawn round may well be seen in it; an annotation without objects says there is nothing."""
    source = make_voc_source(tmp_path / "source")
    far = ("red", (500.0, 500.0, 600.0, 600.0))
    (source / "Annotations/im000.xml").write_text(voc_xml([far], (64, 64)))
    edit(source / "Annotations/im001.xml", "<xmax>", "<xmax>unknown")
    (source / "Annotations/im002.xml").write_text(voc_xml([], (64, 64)))
    result = run(tmp_path, "voc")
    found = {item.file: item for item in result.findings if item.rule == "no_sound_object"}
    assert list(found) == ["JPEGImages/im000.png", "JPEGImages/im001.png"]
    assert found["JPEGImages/im000.png"].found == "its only object cannot be used"
    outside = next(item for item in result.findings if item.rule == "outside_box")
    assert outside.action == "kept out, and the image with it"
    kept = {sample.source_record: sample for sample in result.dataset.iter_samples()}
    assert not found.keys() & kept.keys()
    assert kept["JPEGImages/im002.png"].objects == ()


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    (make_folder_source(tmp_path / "source") / "yellow").mkdir()
    (found,) = run(tmp_path, "folder").findings
    assert (found.rule, found.found) == ("empty_class", "class 'yellow' has no usable image")


def test_folders_beside_the_splits_are_kept_out_by_name(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source", splits=("train", "val", "test"))
    (source / "more").mkdir()
    shutil.copytree(source / "train/red", source / "more/red")
    result = run(tmp_path, "folder")
    assert rules(result) == [("unknown_split", "error")] * 12
    assert result.dataset.info.split_counts == {"test": 36, "train": 36, "val": 36}


def test_the_same_bytes_under_two_labels_are_named(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source")
    shutil.copy(source / "blue/1.png", source / "red/1.png")
    result = run(tmp_path, "folder")
    (found,) = result.findings
    assert (found.rule, found.severity) == ("conflicting_labels", "error")
    assert found.found == "the same bytes have different labels: 'blue' (blue/1.png), 'red' (red/1.png)"
    kept = {sample.source_record for sample in result.dataset.iter_samples()}
    assert len(kept) == 34
    assert not kept & {"blue/1.png", "red/1.png"}
    assert len(list((result.dataset.root / "images").iterdir())) == 34


def test_a_folder_copied_under_another_name_stops(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source")
    shutil.copytree(source / "blue", source / "navy")
    with pytest.raises(DataError, match=r"12 of 48 images \(25\.0%\) cannot be used"):
        run(tmp_path, "folder")


def test_images_without_class_folders_are_told_in_a_line(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source")
    for number, image in enumerate(sorted(source.glob("*/*.png"))):
        image.rename(source / f"{number:02d}.png")
    with pytest.raises(DataError, match="none of the 36 images lies in a folder that names its class") as error:
        run(tmp_path, "folder")
    assert error.value.action == "put the images into one folder for each class"


def test_classes_of_a_few_examples_are_told(tmp_path: Path) -> None:
    make_folder_source(tmp_path / "source", per_class=3)
    found = next(item for item in run(tmp_path, "folder").findings if item.rule == "few_examples")
    assert found.found == "3 of 3 classes have fewer than 10 examples: blue 3, green 3, red 3"


def test_boxes_made_for_another_size_are_not_trusted(tmp_path: Path) -> None:
    source = make_voc_source(tmp_path / "source")
    edit(source / "Annotations/im000.xml", "<width>64", "<width>128")
    result = run(tmp_path, "voc")
    assert rules(result) == [("size_mismatch", "error")]
    assert result.findings[0].found == "the annotation was made for 128 x 64 pixels"
    assert len(result.dataset) == 23


def test_a_size_of_zero_means_unknown(tmp_path: Path) -> None:
    source = make_voc_source(tmp_path / "source")
    edit(source / "Annotations/im000.xml", "<width>64", "<width>0")
    assert run(tmp_path, "voc").findings == []


@pytest.mark.parametrize(
    ("xmax", "found"), [("inf", "xmax is 'inf', not a finite number"), ("wide", "xmax is 'wide', not a number")]
)
def test_one_bad_object_does_not_cost_the_others(tmp_path: Path, xmax: str, found: str) -> None:
    source = make_voc_source(tmp_path / "source")
    text = voc_xml([("red", (1.0, 1.0, 77.0, 20.0)), ("blue", (5.0, 5.0, 30.0, 30.0))], (64, 64))
    (source / "Annotations/im000.xml").write_text(text.replace("77.0", xmax))
    result = run(tmp_path, "voc")
    assert [(item.rule, item.record, item.found) for item in result.findings] == [
        ("bad_object", "object 0 (red)", found)
    ]
    assert len(result.dataset.samples()[0].objects) == 1


def test_document_types_are_refused_in_any_encoding(tmp_path: Path) -> None:
    source = make_voc_source(tmp_path / "source")
    bomb = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY x "red">]>' + voc_xml([], (64, 64))
    (source / "Annotations/im000.xml").write_bytes(bomb.encode("utf-16"))
    (found,) = run(tmp_path, "voc").findings
    assert (found.rule, found.found) == ("bad_annotation", "the XML declares a document type, which is refused")


def test_zero_based_boxes_are_taken_as_they_are(tmp_path: Path) -> None:
    source = make_voc_source(tmp_path / "source")
    (source / "Annotations/im000.xml").write_text(voc_xml([("blue", (9, 9, 30, 40))], (64, 64)))
    objects = run(tmp_path, "voc", one_based=False).dataset.samples()[0].objects
    assert objects[0].box_xyxy == (10, 10, 30, 40)


def test_images_that_no_list_names_stay_out_and_are_counted(tmp_path: Path) -> None:
    source = make_voc_source(tmp_path / "source")
    edit(source / "ImageSets/Main/train.txt", "im004\nim005\n", "")
    result = run(tmp_path, "voc")
    assert [item.found for item in result.findings] == ["no list of ImageSets/Main has 2 of the images"]
    assert result.dataset.info.split_counts == {"test": 6, "train": 10, "val": 6}


def test_an_image_listed_twice_is_never_trained_on(tmp_path: Path) -> None:
    source = make_voc_source(tmp_path / "source")
    edit(source / "ImageSets/Main/train.txt", "im004\n", "im004\nim023\n")
    result = run(tmp_path, "voc")
    assert rules(result) == [("several_splits", "warning")]
    assert result.dataset.info.split_counts == {"test": 6, "train": 12, "val": 6}


def test_a_list_that_is_not_text_is_a_finding(tmp_path: Path) -> None:
    source = make_voc_source(tmp_path / "source")
    path = source / "ImageSets/Main/train.txt"
    path.write_bytes(path.read_bytes() + b"\xff\xfe\n")
    assert rules(run(tmp_path, "voc")) == [("unknown_split_member", "error")]


def test_trainval_stands_for_train(tmp_path: Path) -> None:
    lists = make_voc_source(tmp_path / "source") / "ImageSets/Main"
    (lists / "trainval.txt").write_text((lists / "train.txt").read_text() + (lists / "val.txt").read_text())
    (lists / "train.txt").unlink()
    (lists / "val.txt").unlink()
    counts = run(tmp_path, "voc").dataset.info.split_counts
    assert counts["test"] == 6
    assert counts["train"] + counts["val"] == 18


def test_two_datasets_in_one_source_are_not_mixed(tmp_path: Path) -> None:
    make_voc_source(tmp_path / "source/VOC2007")
    make_voc_source(tmp_path / "source/VOC2012")
    with pytest.raises(DataError, match="the source holds 2 datasets: VOC2007, VOC2012"):
        run(tmp_path, "voc")
    assert len(run(tmp_path, "voc", "source/VOC2007").dataset) == 24


def test_two_images_for_one_annotation_are_an_error(tmp_path: Path) -> None:
    source = make_voc_source(tmp_path / "source")
    shutil.copy(source / "JPEGImages/im000.png", source / "JPEGImages/im000.jpg")
    assert rules(run(tmp_path, "voc")) == [("duplicate_id", "error")]


def break_checksum(source: Path, archive: Path) -> None:
    pack(source, archive)
    data = bytearray(archive.read_bytes())
    start = data.find(b"IDAT") + 20
    data[start : start + 8] = bytes(8)
    archive.write_bytes(data)


def cut_short(source: Path, archive: Path) -> None:
    pack(source, archive)
    archive.write_bytes(archive.read_bytes()[:20_000])


def climb_zip(source: Path, archive: Path) -> None:
    with zipfile.ZipFile(pack(source, archive), "a") as target:
        target.writestr("../evil.png", b"")


def climb_tar(source: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as target:
        target.addfile(tarfile.TarInfo("/evil.png"))


def link_zip(source: Path, archive: Path) -> None:
    with zipfile.ZipFile(pack(source, archive), "a") as target:
        info = zipfile.ZipInfo("source/red/link.png")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        target.writestr(info, "/etc/passwd")


def link_tar(source: Path, archive: Path) -> None:
    info = tarfile.TarInfo("red/link.png")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(archive, "w:gz") as target:
        target.addfile(info)


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        ("a.zip", break_checksum, "the archive is damaged"),
        ("a.tar.gz", cut_short, "the archive is damaged"),
        ("a.zip", climb_zip, "a member with an unsafe name: '../evil.png'"),
        ("a.tar.gz", climb_tar, "a member with an unsafe name: '/evil.png'"),
        ("a.zip", link_zip, "the archive holds a link: 'source/red/link.png'"),
        ("a.tgz", link_tar, "the archive holds a link: 'red/link.png'"),
    ],
)
def test_archives_that_cannot_be_trusted(
    tmp_path: Path, name: str, make: Callable[[Path, Path], None], sentence: str
) -> None:
    make(make_folder_source(tmp_path / "source"), tmp_path / name)
    with pytest.raises(DataError, match=sentence):
        run(tmp_path, "folder", name)
    assert not (tmp_path / "dataset").exists()


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_archives_that_unpack_to_too_much(tmp_path: Path, name: str) -> None:
    pack(make_folder_source(tmp_path / "source"), tmp_path / name)
    with pytest.raises(DataError, match=r"unpacks to more than 1e-05 GB"):
        run(tmp_path, "folder", name, max_unpacked_gb=1e-5)


@pytest.mark.parametrize(("kind", "suffix"), [("folder", ".zip"), ("voc", ".tar.gz")])
def test_a_folder_and_its_archive_are_the_same_dataset(tmp_path: Path, kind: str, suffix: str) -> None:
    source = tmp_path / "source"
    (make_voc_source if kind == "voc" else make_folder_source)(source)
    pack(source, tmp_path / f"a{suffix}")
    first = [(s.id, s.sha256, s.split, s.objects) for s in run(tmp_path, kind).dataset.iter_samples()]
    assert [
        (s.id, s.sha256, s.split, s.objects) for s in run(tmp_path, kind, f"a{suffix}").dataset.iter_samples()
    ] == first
