"""CVAT for images 1.1: an archive of `annotations.xml` and `images/`, both ways.

A class of the whole image is a `tag`, a box a `box`. An image's name is the id of its prediction.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from visionloop.core.xml import parse_xml
from visionloop.data.findings import Finding
from visionloop.monitoring.exchange.records import Fractions, Labelled, Read, ToLabel, answered_boxes, error, inside

ANNOTATIONS = "annotations.xml"
MAX_XML_BYTES = 256 << 20
"""Of the annotations, unpacked."""
_SHAPES = frozenset({"polygon", "polyline", "points", "mask", "ellipse", "cuboid", "skeleton"})
_PALETTE = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")


def archive(items: Sequence[ToLabel], classes: Sequence[str]) -> bytes:
    """A zip that CVAT imports as a dataset: images with the model's answers as annotations, `source="auto"`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(ANNOTATIONS, _document(items, classes))
        for item in items:
            # Images are compressed already.
            packed.writestr(f"images/{item.file}", item.image, compress_type=zipfile.ZIP_STORED)
    return buffer.getvalue()


def _document(items: Sequence[ToLabel], classes: Sequence[str]) -> bytes:
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    labels = SubElement(SubElement(SubElement(root, "meta"), "task"), "labels")
    for place, name in enumerate(classes):
        label = SubElement(labels, "label")
        SubElement(label, "name").text = name
        SubElement(label, "color").text = _PALETTE[place % len(_PALETTE)]
        SubElement(label, "type").text = "any"
        SubElement(label, "attributes")
    for place, item in enumerate(items):
        size = {"width": str(item.width), "height": str(item.height)}
        image = SubElement(root, "image", {"id": str(place), "name": item.file, **size})
        _answer(image, item)
    indent(root)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root) + b"\n"


def _answer(image: Element, item: ToLabel) -> None:
    boxes = answered_boxes(item.result)
    if boxes is None:
        SubElement(image, "tag", {"label": str(item.result["class"]), "source": "auto"})
        return
    for box in boxes:
        corners = dict(zip(("xtl", "ytl", "xbr", "ybr"), (f"{value:.2f}" for value in box["box_xyxy"]), strict=True))
        about = {"label": str(box["class"]), "source": "auto", "occluded": "0", **corners, "z_order": "0"}
        SubElement(image, "box", about)


def read(data: bytes, file: str, *, untouched: bool = False, annotator: str | None = None) -> Read:
    """The annotations of a CVAT export, an archive or the XML alone.

    CVAT does not say who looked at an image. One whose shapes are still the model's may have been accepted, or never
    opened; which those are only the stored answer tells (`Labelled.looked_at`), for what CVAT imports it marks as
    "manual" or "file", whatever `source` it had. An image whose shapes are all of CVAT's own models (`source="auto"`)
    is left out and counted here, and so is one without any shape: it may have been emptied by a person or never been
    annotated. `untouched` says that all were looked at.

    Args:
        data: The file.
        file: Its name, for findings.
        untouched: Whether images that nobody changed were looked at, and are right.
        annotator: Who labelled, for instance a name; by default the assignee of the image's task, or of the project.
    """
    try:
        root = parse_xml(_xml(data), max_bytes=MAX_XML_BYTES)
        if root.tag != "annotations":
            raise ValueError(f"the root element is <{root.tag[:60]}>")
    except (ValueError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as problem:
        expected = f"`CVAT for images 1.1`: {ANNOTATIONS}, or an archive that holds it"
        finding = error("unreadable", file, "", str(problem), expected, "export again in that form")
        return Read(labels=(), findings=(finding,), num_skipped=0, num_untouched=0)
    abouts = _abouts(root)
    labels: list[Labelled] = []
    findings: list[Finding] = []
    num_untouched = 0
    for place, image in enumerate(root.iter("image")):
        name = image.get("name", "")
        record = f"image {image.get('id', place)} ({name[:100]})"
        if not untouched and not _touched(image):
            num_untouched += 1
            continue
        try:
            class_name, boxes = _said(image)
        except ValueError as problem:
            expected, action = "one tag, or upright boxes", "correct it in CVAT, or leave it out with --partial"
            findings.append(error("bad_annotation", file, record, str(problem), expected, action))
            continue
        about = abouts.get(image.get("task_id"), abouts[None])
        labels.append(
            Labelled(
                prediction_id=PurePosixPath(name).stem, image_sha256=None, annotator=f"cvat/{annotator or about.who}",
                at=about.at, class_name=class_name, boxes=boxes, record=record, looked_at=untouched,
            )
        )  # fmt: skip
    return Read(labels=tuple(labels), findings=tuple(findings), num_skipped=0, num_untouched=num_untouched)


def _xml(data: bytes) -> bytes:
    """The XML of an archive, or what was given. Nothing is unpacked to the disk, so no name in it matters.

    Raises:
        ValueError, OSError, zipfile.BadZipFile, zlib.error: none, too large, or damaged.
    """
    if not data.startswith(b"PK"):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        names = [name for name in packed.namelist() if name == ANNOTATIONS or name.endswith(f"/{ANNOTATIONS}")]
        if len(names) != 1:
            raise ValueError(f"the archive has {len(names)} files {ANNOTATIONS}")
        with packed.open(names[0]) as member:
            # The size that the archive claims may be a lie.
            found = member.read(MAX_XML_BYTES + 1)
    if len(found) > MAX_XML_BYTES:
        raise ValueError(f"{ANNOTATIONS} unpacks to more than {MAX_XML_BYTES:,} bytes")
    return found


def _touched(image: Element) -> bool:
    return any(child.get("source", "manual") != "auto" for child in image)


def _said(image: Element) -> tuple[str | None, tuple[tuple[str, Fractions], ...]]:
    """An image's class, or its boxes.

    Raises:
        ValueError: it is neither.
    """
    others = sorted({child.tag for child in image} & _SHAPES)
    if others:
        raise ValueError(f"a shape of the kind {others[0]}, where tags and boxes are understood")
    tags = sorted({child.get("label", "") for child in image.findall("tag")})
    boxes = [_box(child, image) for child in image.findall("box")]
    if len(tags) > 1 or (tags and boxes):
        raise ValueError(f"{len(tags)} tags and {len(boxes)} boxes; one tag, or boxes, are understood")
    if tags and not tags[0]:
        raise ValueError("a tag without a label")
    return (tags[0] if tags else None), tuple(boxes)


def _box(box: Element, image: Element) -> tuple[str, Fractions]:
    name = box.get("label", "")
    if not name:
        raise ValueError("a box without a label")
    try:
        width, height = float(image.get("width", "")), float(image.get("height", ""))
        left, top, right, bottom = (float(box.get(key, "")) for key in ("xtl", "ytl", "xbr", "ybr"))
        turned = float(box.get("rotation") or 0)
    except ValueError:
        raise ValueError("a box or image without its four or two numbers") from None
    if turned:
        raise ValueError(f"a box turned by {turned:g} degrees; boxes here are upright")
    if not (width > 0 and height > 0):
        raise ValueError(f"an image of {width:g} x {height:g} pixels")
    return name, inside((left / width, top / height, right / width, bottom / height))


class _About(NamedTuple):
    """Who is to annotate, and when something was changed last."""

    who: str
    at: datetime | None


def _abouts(root: Element) -> dict[str | None, _About]:
    """Of each task of a project's export, by its id; of the whole file under None."""
    metas = list(root.findall("meta/*"))
    whole = _About(_first(metas, "assignee/username") or "unknown", _moment(_first(metas, "updated")))
    found: dict[str | None, _About] = {None: whole}
    for task in root.findall("meta/project/tasks/task"):
        who = _first([task], "assignee/username") or whole.who
        found[task.findtext("id")] = _About(who, _moment(_first([task], "updated")) or whole.at)
    return found


def _first(elements: Sequence[Element], name: str) -> str | None:
    for element in elements:
        found = (element.findtext(name) or "").strip()
        if found:
            return found[:100]
    return None


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
