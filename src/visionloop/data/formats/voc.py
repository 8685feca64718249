"""Pascal VOC: `JPEGImages/`, `Annotations/*.xml`, and `ImageSets/Main/{train,val,test}.txt` if there are splits.

Format: Everingham et al., "The PASCAL Visual Object Classes Challenge 2012 Development Kit". Its boxes count
pixels from 1 and include the last one, so (xmin, ymin, xmax, ymax) is (xmin - 1, ymin - 1, xmax, ymax) here.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath

from visionloop.core.errors import DataError
from visionloop.core.images import SUFFIXES
from visionloop.data.findings import Finding
from visionloop.data.formats.members import Members
from visionloop.data.formats.record import RawObject, Record
from visionloop.data.samples import SPLITS, Split
from visionloop.data.settings import SourceSettings


def read(members: Members, settings: SourceSettings) -> Iterator[Record | Finding]:
    """Records of a VOC folder, wherever in the source it begins.

    Raises:
        DataError: there is no `Annotations` folder with XML files.
    """
    annotations = {
        PurePosixPath(name).stem: name
        for name in members.names
        if name.lower().endswith(".xml") and "Annotations" in PurePosixPath(name).parts
    }
    if not annotations:
        raise DataError(
            "there are no annotations",
            where=members.where,
            expected="XML files in a folder named Annotations",
            action="correct data.source.path, or choose the layout with data.source.kind",
        )
    images = {
        PurePosixPath(name).stem: name
        for name in members.names
        if name.lower().endswith(SUFFIXES) and "JPEGImages" in PurePosixPath(name).parts
    }
    splits, findings = _splits(members, set(images) | set(annotations))
    yield from findings
    for stem in sorted(images.keys() | annotations.keys()):
        if stem not in images:
            yield _finding("missing_image", annotations[stem], "no image of that name", f"JPEGImages/{stem}.*")
        elif stem not in annotations:
            yield _finding("missing_annotation", images[stem], "no annotation of that name", f"Annotations/{stem}.xml")
        else:
            yield _record(members, images[stem], annotations[stem], splits.get(stem), settings)


def _splits(members: Members, known: set[str]) -> tuple[dict[str, Split], list[Finding]]:
    splits: dict[str, Split] = {}
    findings = []
    for split in SPLITS:
        listings = [name for name in members.names if name.endswith(f"ImageSets/Main/{split}.txt")]
        for listing in listings[:1]:
            # Class listings of the challenge carry a second column; the first is the image.
            stems = [line.split()[0] for line in members.read(listing).decode().splitlines() if line.strip()]
            for stem in stems:
                if stem not in known:
                    findings.append(_finding("unknown_member", listing, f"{stem} is listed", "an image of that name"))
                elif splits.setdefault(stem, split) != split:
                    findings.append(
                        _finding("split_overlap", listing, f"{stem} is in {splits[stem]} too", "one split an image")
                    )
    return splits, findings


def _record(
    members: Members, image: str, annotation: str, split: Split | None, settings: SourceSettings
) -> Record | Finding:
    text = members.read(annotation)
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        return _finding("bad_annotation", annotation, "a document type declaration", "plain XML")
    try:
        root = ET.fromstring(text)
        objects = tuple(_object(element, settings.one_based) for element in root.iter("object"))
        stated = _stated_size(root)
    except (ET.ParseError, ValueError) as error:
        return _finding("bad_annotation", annotation, str(error), "Pascal VOC's XML")
    return Record(
        member=image,
        read=partial(members.read, image),
        split=split,
        objects=objects,
        annotation=annotation,
        stated_size=stated,
    )


def _object(element: ET.Element, one_based: bool) -> RawObject:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise ValueError("an object without a name")
    box = element.find("bndbox")
    if box is None:
        raise ValueError(f"object {name} without a bndbox")
    xmin, ymin, xmax, ymax = (float(box.findtext(key) or "nan") for key in ("xmin", "ymin", "xmax", "ymax"))
    shift = 1.0 if one_based else 0.0
    # A box whose corners coincide has no extent whatever the convention; inclusive pixels would make it 1 x 1.
    right, bottom = (xmin - shift if xmax == xmin else xmax), (ymin - shift if ymax == ymin else ymax)
    flags = tuple(flag for flag in ("difficult", "truncated", "occluded") if element.findtext(flag) == "1")
    return RawObject(class_name=name, box_xyxy=(xmin - shift, ymin - shift, right, bottom), flags=flags)


def _stated_size(root: ET.Element) -> tuple[int, int] | None:
    width, height = root.findtext("size/width"), root.findtext("size/height")
    return (int(width), int(height)) if width and height and int(width) and int(height) else None


def _finding(rule: str, file: str, found: str, expected: str) -> Finding:
    severity = "warning" if rule in ("unknown_member", "split_overlap") else "error"
    action = "the first split counts" if rule == "split_overlap" else "left out"
    return Finding(rule=rule, severity=severity, file=file, found=found, expected=expected, action=action)  # type: ignore[arg-type]
