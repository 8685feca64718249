"""Label Studio's and CVAT's files, both ways, and what in them is refused."""

from __future__ import annotations

import base64
import copy
import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from visionloop.monitoring.exchange import cvat, label_studio
from visionloop.monitoring.exchange.records import Read, ToLabel

CLASSES = ("RBC", "WBC & co", "<platelets>")
BOXES = {
    "detections": [
        {"class": "RBC", "class_id": 0, "score": 0.9, "box_xyxy": [10.0, 20.0, 110.0, 70.0]},
        {"class": "WBC & co", "class_id": 1, "score": 0.5, "box_xyxy": [0.0, 0.0, 200.0, 100.0]},
    ]
}
RANKED = {"class": "RBC", "class_id": 0, "score": 0.7, "ranked": [{"class": "RBC", "class_id": 0, "score": 0.7}]}


def to_label(result: dict[str, Any], id_: str = "a1") -> ToLabel:
    return ToLabel(
        prediction_id=id_, image_sha256="e" * 64, task="detection", model="cells", version="3", width=200, height=100,
        result=result, reason="novel", image=b"\x89PNG not looked at", suffix=".png",
    )  # fmt: skip


def annotated(answer: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    """What Label Studio exports when somebody submits a pre-annotation as it is."""
    task = label_studio.task(to_label(answer), "/data/local-files/?d=a1.png")
    annotation = {
        "id": 4, "completed_by": 3, "was_cancelled": False, "updated_at": "2026-11-20T10:00:00.5Z",
        "result": task["predictions"][0]["result"],
    }  # fmt: skip
    return [task | {"id": 17, "annotations": [copy.deepcopy(annotation) | changes]}]


def exported(tasks: Any) -> Read:
    return label_studio.read_export(json.dumps(tasks).encode(), "export.json")


def test_a_task_for_label_studio_has_the_image_the_answer_in_percent_and_its_identity() -> None:
    task = label_studio.task(to_label(BOXES))
    assert base64.b64decode(task["data"]["image"].removeprefix("data:image/png;base64,")) == to_label(BOXES).image
    assert (task["data"]["prediction_id"], task["data"]["image_sha256"]) == ("a1", "e" * 64)
    (prediction,) = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("cells 3", pytest.approx(0.7))
    first = prediction["result"][0]
    assert (first["type"], first["original_width"], first["original_height"]) == ("rectanglelabels", 200, 100)
    assert first["value"] == {
        "x": 5.0, "y": 20.0, "width": 50.0, "height": 50.0, "rotation": 0, "rectanglelabels": ["RBC"],
    }  # fmt: skip
    (choice,) = label_studio.task(to_label(RANKED))["predictions"][0]["result"]
    assert (choice["type"], choice["value"]) == ("choices", {"choices": ["RBC"]})


@pytest.mark.parametrize("boxes", [True, False])
def test_the_labelling_configuration_names_what_tasks_refer_to(boxes: bool) -> None:
    (control,) = label_studio.read_config(label_studio.labelling_config(CLASSES, boxes=boxes))
    assert (control.boxes, control.classes, control.value) == (boxes, CLASSES, "image")
    (item,) = label_studio.task(to_label(BOXES if boxes else RANKED))["predictions"][0]["result"][:1]
    assert (item["from_name"], item["to_name"]) == (control.from_name, control.to_name)


def test_what_label_studio_gives_back_is_what_was_submitted() -> None:
    (found,) = exported(annotated(BOXES)).labels
    assert (found.prediction_id, found.annotator, found.class_name) == ("a1", "label-studio/3", None)
    assert found.at == datetime(2026, 11, 20, 10, 0, 0, 500_000, UTC)
    assert [name for name, _ in found.boxes] == ["RBC", "WBC & co"]
    assert found.boxes[0][1] == pytest.approx((0.05, 0.2, 0.55, 0.7))
    (found,) = exported(annotated(RANKED, completed_by={"id": 9, "email": "ann@example.org"})).labels
    # A number, not the address: labels are kept for ever.
    assert (found.class_name, found.boxes, found.annotator) == ("RBC", (), "label-studio/9")
    (empty,) = exported(annotated(BOXES, result=[])).labels
    assert (empty.class_name, empty.boxes) == (None, ())
    skipped = exported(annotated(BOXES, was_cancelled=True))
    assert (skipped.labels, skipped.num_skipped) == ((), 1)
    nobody = exported([annotated(BOXES)[0] | {"annotations": []}])
    assert (nobody.labels, nobody.num_untouched) == ((), 1)


def test_an_export_of_label_studio_itself_is_understood() -> None:
    """What version 1.23 exported of tasks that went through its API; images and addresses left out."""
    read = label_studio.read_export((Path(__file__).parent / "label_studio_1_23.json").read_bytes(), "export.json")
    assert (read.findings, read.num_skipped, read.num_untouched) == ((), 3, 1)
    said = [(label.record, label.annotator, label.class_name, len(label.boxes)) for label in read.labels]
    assert said == [
        ("task 2, annotation 2", "label-studio/2", "0", 0),
        ("task 4, annotation 4", "label-studio/1", "9", 0),
        ("task 4, annotation 5", "label-studio/2", "1", 0),
        ("task 10, annotation 9", "label-studio/2", None, 6),
        ("task 12, annotation 11", "label-studio/1", None, 2),
        ("task 12, annotation 12", "label-studio/2", None, 0),
        ("task 15, annotation 14", "label-studio/2", None, 2),
    ]
    assert read.labels[0].at == datetime(2026, 11, 22, 3, 17, 46, 315314, UTC)
    # Drawn by hand at 1.5, 2.25 with 20.125 x 30.5 percent.
    name, box = read.labels[3].boxes[-1]
    assert name == "7"
    assert box == pytest.approx((0.015, 0.0225, 0.21625, 0.3275))


def test_json_min_is_told_from_other_files() -> None:
    record = {
        "image": "a.png", "prediction_id": "a1", "image_sha256": "e" * 64, "id": 1, "label": "8", "annotator": 1,
        "annotation_id": 1, "created_at": "2026-11-22T03:17:45Z", "updated_at": "2026-11-22T03:17:45Z",
        "lead_time": 3.2,
    }  # fmt: skip
    (finding,) = exported([record, record]).findings
    assert (finding.rule, finding.found) == ("unreadable", "the form JSON-MIN")


def with_box(**value: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda tasks: tasks[0]["annotations"][0]["result"][0]["value"].update(value)


def with_item(**item: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda tasks: tasks[0]["annotations"][0]["result"][0].update(item)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (with_box(rotation=30), "turned by 30 degrees"),
        (with_item(image_rotation=90), "turned by 90 degrees"),
        (with_box(width=0), "has no area"),
        (with_box(width=-3.0), "has no area"),
        (with_box(x=80), "outside the image"),
        (with_box(x=float("nan")), "outside the image"),
        (with_box(x="left"), "without four numbers"),
        (with_box(rectanglelabels=["RBC", "WBC & co"]), "where one name belongs"),
        (with_box(rectanglelabels=[]), "where one name belongs"),
        (with_item(type="brushlabels"), "'brushlabels'"),
        (lambda tasks: tasks[0]["annotations"][0].update(result={}), "no list of results"),
        (lambda tasks: tasks[0]["data"].pop("prediction_id"), "has no prediction_id"),
        (lambda tasks: tasks[0].pop("annotations"), "no list of annotations"),
    ],
)
def test_what_cannot_be_taken_is_named_with_its_task(spoil: Callable[[Any], None], said: str) -> None:
    tasks = annotated(BOXES)
    spoil(tasks)
    read = exported(tasks)
    (finding,) = read.findings
    assert read.labels == ()
    assert finding.record.startswith("task 17")
    assert finding.file == "export.json"
    assert said in finding.found


@pytest.mark.parametrize("text", [b"", b"[1]", b"{}", b"[" * 100_000, b'[{"data": null}'])
def test_a_file_that_is_no_export_is_one_finding(text: bytes) -> None:
    (finding,) = label_studio.read_export(text, "x.json").findings
    assert finding.rule == "unreadable"


# -- CVAT


def packed(*items: ToLabel) -> bytes:
    return cvat.archive(items, CLASSES)


def edited(data: bytes, edit: Callable[[ElementTree.Element], None]) -> bytes:
    """The archive after somebody's work in CVAT."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        root = ElementTree.fromstring(archive.read(cvat.ANNOTATIONS))
    edit(root)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(cvat.ANNOTATIONS, ElementTree.tostring(root))
    return buffer.getvalue()


def with_shape(**changes: str) -> Callable[[ElementTree.Element], None]:
    def edit(root: ElementTree.Element) -> None:
        box = root.find("image/box")
        assert box is not None
        box.attrib.update({"source": "semi-auto", **changes})

    return edit


def test_cvat_gets_images_and_answers_and_gives_back_what_was_changed() -> None:
    data = packed(to_label(BOXES), to_label(RANKED, "b2"))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert sorted(archive.namelist()) == ["annotations.xml", "images/a1.png", "images/b2.png"]
        root = ElementTree.fromstring(archive.read("annotations.xml"))
    assert [label.findtext("name") for label in root.iter("label")] == list(CLASSES)
    # Nobody has looked: nothing is taken for right.
    untouched = cvat.read(data, "out.zip")
    assert (untouched.labels, untouched.num_untouched, untouched.findings) == ((), 2, ())
    boxes, tag = cvat.read(data, "out.zip", untouched=True, annotator="ann").labels
    assert (boxes.prediction_id, boxes.annotator) == ("a1", "cvat/ann")
    assert boxes.boxes[0][0] == "RBC"
    assert boxes.boxes[0][1] == pytest.approx((0.05, 0.2, 0.55, 0.7))
    assert (tag.prediction_id, tag.class_name, tag.boxes) == ("b2", "RBC", ())
    assert boxes.looked_at
    changed = cvat.read(edited(data, with_shape(xtl="20.00")), "out.zip")
    assert [label.prediction_id for label in changed.labels] == ["a1"]
    assert changed.labels[0].boxes[0][1][0] == pytest.approx(0.1)
    assert changed.num_untouched == 1


PROJECT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <project>
      <id>2</id>
      <updated>2026-11-20 10:00:00.5+00:00</updated>
      <tasks>
        <task><id>7</id><updated>2026-11-19 09:00:00+00:00</updated><subset>default</subset>
          <assignee><username>ann</username><email>ann@example.org</email></assignee></task>
        <task><id>8</id><updated>2026-11-20 10:00:00+00:00</updated><subset></subset><assignee></assignee></task>
      </tasks>
      <subsets>default</subsets>
      <owner><username>boss</username><email>boss@example.org</email></owner>
      <assignee><username>bob</username><email>bob@example.org</email></assignee>
      <labels><label><name>RBC</name><color>#e6194b</color><type>any</type><attributes></attributes></label></labels>
    </project>
    <dumped>2026-11-20 11:00:00+00:00</dumped>
  </meta>
  <image id="0" name="a1.png" subset="default" task_id="7" width="200" height="100">
    <box label="RBC" source="manual" occluded="0" xtl="10.00" ytl="20.00" xbr="110.00" ybr="70.00" z_order="0">
    </box>
  </image>
  <image id="1" name="b2.png" subset="default" task_id="8" width="200" height="100">
    <tag label="RBC" source="file">
    </tag>
  </image>
</annotations>
"""
"""As `dump_as_cvat_annotation` of CVAT itself writes a project: every task has an assignee of its own, and what was
imported is "manual" or "file", whatever `source` the imported file gave it."""


def test_a_cvat_project_names_whoever_has_the_task_of_an_image() -> None:
    first, second = cvat.read(PROJECT.encode(), "annotations.xml").labels
    assert (first.prediction_id, first.annotator) == ("a1", "cvat/ann")
    assert first.at == datetime(2026, 11, 19, 9, tzinfo=UTC)
    assert (second.prediction_id, second.annotator, second.class_name) == ("b2", "cvat/bob", "RBC")
    # Whether a person drew or accepted these, or they are as imported, the file does not say.
    assert not first.looked_at
    assert not second.looked_at


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (with_shape(rotation="12.5"), "turned by 12.5 degrees"),
        (with_shape(xbr="10.00"), "has no area"),
        (with_shape(xbr="300"), "outside the image"),
        (with_shape(xbr="inf"), "outside the image"),
        (with_shape(xbr="wide"), "numbers"),
        (with_shape(label=""), "without a label"),
        (lambda root: ElementTree.SubElement(root.find("image"), "polygon", {"label": "RBC"}), "polygon"),
        (lambda root: ElementTree.SubElement(root.find("image"), "tag", {"label": "RBC"}), "1 tags and 2 boxes"),
    ],
)
def test_what_cvat_may_draw_and_we_cannot_take_is_named(edit: Any, said: str) -> None:
    read = cvat.read(edited(packed(to_label(BOXES)), edit), "out.zip")
    (finding,) = read.findings
    assert read.labels == ()
    assert finding.record == "image 0 (a1.png)"
    assert said in finding.found


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("_xml", ".xml").replace("__", "/"), data)
    return buffer.getvalue()


BOMB = b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><annotations>&b;</annotations>'


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (BOMB, "document type"),
        (zipped(annotations_xml=BOMB), "document type"),
        (b"<annotations>", "not well-formed"),
        (b"<project/>", "root element is <project>"),
        (zipped(other_xml=b"<annotations/>"), "0 files"),
        (zipped(annotations_xml=b"<annotations/>", a__annotations_xml=b"<annotations/>"), "2 files"),
        (b"PK\x03\x04 cut off", "zip"),
    ],
)
def test_hostile_and_broken_files_are_one_finding(data: bytes, said: str) -> None:
    (finding,) = cvat.read(data, "out.zip").findings
    assert finding.rule == "unreadable"
    assert said in finding.found


def test_an_archive_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cvat, "MAX_XML_BYTES", 10_000)
    padded = b"<annotations>" + b" " * 20_000 + b"</annotations>"
    (finding,) = cvat.read(zipped(annotations_xml=padded), "out.zip").findings
    assert "unpacks to more than" in finding.found
    # A name that would climb out of a folder is never a path here.
    assert cvat.read(zipped(**{".." + "__annotations_xml": b"<annotations/>"}), "out.zip").findings == ()
