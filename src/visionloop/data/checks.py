"""From a record as found to a sample that may be learned from, or to the findings why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from visionloop.core.errors import DataError, ImageError
from visionloop.core.files import sha256_bytes
from visionloop.core.images import decode_image
from visionloop.data.findings import Finding
from visionloop.data.formats.record import RawObject, Record
from visionloop.data.requirements import Requirements
from visionloop.data.settings import CheckSettings

_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRecord:
    """A record whose image decodes and whose objects are sound.

    Attributes:
        record: As found.
        data: The image's bytes.
        sha256: Their hash.
        width, height: Pixels of the upright image.
        objects: The sound ones, boxes clipped to the image.
    """

    record: Record
    data: bytes
    sha256: str
    width: int
    height: int
    objects: tuple[RawObject, ...]


@dataclass(slots=True)
class Tally:
    """What a pass over a source has seen."""

    findings: list[Finding] = field(default_factory=list)
    num_records: int = 0
    num_unreadable: int = 0
    num_objects: int = 0


def check_record(
    settings: CheckSettings, requirements: Requirements, record: Record, tally: Tally
) -> CheckedRecord | None:
    """Decode the image and check each object; findings go to `tally`.

    Returns:
        The checked record, or None when the image is left out.
    """
    tally.num_records += 1
    try:
        data = record.read()
        height, width = decode_image(data, where=record.member).shape[:2]
    except (ImageError, OSError) as error:
        tally.num_unreadable += 1
        found = error.what if isinstance(error, ImageError) else str(error)
        tally.findings.append(_finding("unreadable_image", record.member, "", found, "an image that can be decoded"))
        return None
    if record.stated_size not in (None, (width, height)):
        tally.findings.append(
            Finding(
                rule="size_mismatch",
                severity="warning",
                file=record.annotation,
                found=f"states {record.stated_size[0]} x {record.stated_size[1]} pixels",
                expected=f"{width} x {height}, as the image is",
                action="kept; boxes are read in the image's pixels",
            )
        )
    objects = []
    for index, item in enumerate(record.objects):
        checked = _check_object(settings, requirements, record, index, item, (width, height), tally)
        if checked is not None:
            objects.append(checked)
    if requirements.one_label and len(objects) != 1:
        tally.findings.append(
            _finding("not_one_label", record.annotation, "", f"{len(objects)} labels", "exactly one label an image")
        )
        return None
    tally.num_objects += len(objects)
    return CheckedRecord(
        record=record, data=data, sha256=sha256_bytes(data), width=width, height=height, objects=tuple(objects)
    )


def _check_object(
    settings: CheckSettings,
    requirements: Requirements,
    record: Record,
    index: int,
    item: RawObject,
    size: tuple[int, int],
    tally: Tally,
) -> RawObject | None:
    place = f"object {index} ({item.class_name})"
    if item.box_xyxy is None:
        if requirements.boxes:
            tally.findings.append(_finding("missing_box", record.annotation, place, "no box", "a box"))
            return None
        return item
    x1, y1, x2, y2 = item.box_xyxy
    if not (x2 > x1 and y2 > y1):
        found = f"{x2 - x1:g} x {y2 - y1:g} pixels at ({x1:g}, {y1:g})"
        tally.findings.append(
            _finding("degenerate_box", record.annotation, place, found, "width and height above zero")
        )
        return None
    width, height = size
    clipped = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if not (clipped[2] > clipped[0] and clipped[3] > clipped[1]):
        found = f"({x1:g}, {y1:g}, {x2:g}, {y2:g}) lies outside"
        expected = f"a box inside {width} x {height} pixels"
        tally.findings.append(_finding("outside_box", record.annotation, place, found, expected))
        return None
    if max(abs(a - b) for a, b in zip(clipped, item.box_xyxy, strict=True)) > settings.box_tolerance_px:
        tally.findings.append(
            Finding(
                rule="outside_box",
                severity="warning",
                file=record.annotation,
                record=place,
                found=f"({x1:g}, {y1:g}, {x2:g}, {y2:g}) sticks out",
                expected=f"a box inside {width} x {height} pixels",
                action="clipped to the image",
            )
        )
    return RawObject(class_name=item.class_name, box_xyxy=clipped, flags=item.flags)


def require_usable(
    settings: CheckSettings, requirements: Requirements, tally: Tally, class_counts: Counter[str], where: str
) -> None:
    """Stop unless the source as a whole can be learned from.

    Raises:
        DataError: too many unreadable images, no annotation left, or too few classes; with the findings.
    """
    problems = []
    if tally.num_unreadable > settings.max_unreadable_fraction * tally.num_records:
        problems.append(
            f"{tally.num_unreadable} of {tally.num_records} images cannot be read "
            f"(at most {settings.max_unreadable_fraction:.1%} are left out silently)"
        )
    if not tally.num_objects:
        problems.append("no annotation is left to learn from")
    elif len(class_counts) < requirements.min_classes:
        problems.append(
            f"{len(class_counts)} class{'' if len(class_counts) == 1 else 'es'} "
            f"({', '.join(sorted(class_counts))}) where the task needs {requirements.min_classes}"
        )
    if problems:
        raise unusable(problems, tally.findings, where)


def unusable(problems: Sequence[str], findings: Sequence[Finding], where: str) -> DataError:
    """One error with every problem and the first findings."""
    lines = [f"  - {problem}" for problem in problems]
    if findings:
        lines.append(f"  {len(findings)} findings" + (f", the first {_SHOWN}:" if len(findings) > _SHOWN else ":"))
        lines += [f"    {finding}" for finding in findings[:_SHOWN]]
    return DataError(
        "the source cannot be learned from:\n" + "\n".join(lines),
        where=where,
        expected="readable images with sound annotations of every class in every split",
        action="correct the files named above; nothing has been written",
    )


def _finding(rule: str, file: str, record: str, found: str, expected: str) -> Finding:
    return Finding(
        rule=rule, severity="error", file=file, record=record, found=found, expected=expected, action="left out"
    )
