"""Check before learning: what is wrong with a source, and whether one may learn from the rest.

Defective images and objects are kept out and listed. Too many of them, or a defect of the whole, stops.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from visionloop.core.errors import DataError, ImageError
from visionloop.data.findings import Finding, count_rules, sorted_findings
from visionloop.data.formats.source import RawObject, Record
from visionloop.data.requirements import Requirements
from visionloop.data.samples import SPLITS, Split
from visionloop.data.settings import CheckSettings

_SHOWN = 20
"""Findings listed in one error."""

_FEW = 10
"""A class with fewer examples, in all splits together, is hardly learned."""

_NAMED = 5
"""Classes named in one finding."""

_IMAGE_RULES = (
    "unreadable_image",
    "missing_image",
    "missing_annotation",
    "bad_annotation",
    "no_sound_object",
    "conflicting_labels",
    "size_mismatch",
    "duplicate_id",
    "unknown_split",
    "unknown_split_member",
)
OBJECT_RULES = ("degenerate_box", "outside_box", "bad_object", "missing_box")
"""Rules about one object; a finding of severity `error` means that object is kept out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedObject:
    """An object that may be learnt from: class name, box inside the image or None, flags."""

    name: str
    box_xyxy: tuple[float, float, float, float] | None
    flags: tuple[str, ...]


def unreadable(record: Record, error: ImageError) -> Finding:
    """The finding for an image that does not decode."""
    return Finding(
        rule="unreadable_image",
        severity="error",
        file=record.member,
        found=error.what,
        expected=error.expected,
        action=f"kept out; {error.action}",
    )


def known_image(record: Record) -> Finding:
    """The finding for an image from feedback that the source has too: the source's word stands."""
    return Finding(
        rule="known_image",
        severity="warning",
        file=record.member,
        found="the source has the same image",
        expected="images that are new",
        action="kept out; correct the source's own label if it is wrong",
    )


def unknown_class(record: Record, names: Sequence[str]) -> Finding:
    """The finding for an image from feedback with a class that the source has not."""
    return Finding(
        rule="unknown_class",
        severity="error",
        file=record.annotation,
        record=record.member,
        found=f"class {', '.join(repr(name) for name in names)}",
        expected="one of the source's classes",
        action="kept out; add images of a new class to the source itself",
    )


def check_record(
    record: Record, size: tuple[int, int], requirements: Requirements, settings: CheckSettings
) -> tuple[list[CheckedObject] | None, list[Finding]]:
    """Check one image's annotation against the image.

    Args:
        record: As the source gave it.
        size: Width and height in pixels of the upright image.
        requirements: Whether boxes and exactly one label are needed.
        settings: How far a box may leave the image.

    Returns:
        The good objects, or None when the image must be kept out, as where it has objects and none is good; and
        what was found.
    """
    if record.declared_size is not None and record.declared_size != size:
        return None, [_size_mismatch(record, size)]
    if record.fractions:
        record = _in_pixels(record, size)
    if requirements.one_label and len(record.objects) != 1:
        return None, [_label_count(record)]
    findings: list[Finding] = []
    objects: list[CheckedObject] = []
    for item in record.objects:
        good, finding = _check_object(record, item, size, requirements, settings)
        if good is not None:
            objects.append(good)
        if finding is not None:
            findings.append(finding)
    num_found = len(record.objects) + record.num_broken
    if num_found and not objects:
        # Left in, it would teach that what can be seen there is background.
        findings = [replace(finding, action="kept out, and the image with it") for finding in findings]
        return None, [*findings, _no_sound_object(record, num_found)]
    return objects, findings


def _in_pixels(record: Record, size: tuple[int, int]) -> Record:
    def scaled(box: tuple[float, float, float, float] | None) -> tuple[float, float, float, float] | None:
        return box and (box[0] * size[0], box[1] * size[1], box[2] * size[0], box[3] * size[1])

    objects = (replace(item, corners=scaled(item.corners), box_xyxy=scaled(item.box_xyxy)) for item in record.objects)
    return replace(record, objects=tuple(objects), fractions=False)


def _check_object(
    record: Record, item: RawObject, size: tuple[int, int], requirements: Requirements, settings: CheckSettings
) -> tuple[CheckedObject | None, Finding | None]:
    if item.box_xyxy is None or item.corners is None:
        if not requirements.boxes:
            return CheckedObject(name=item.name, box_xyxy=None, flags=item.flags), None
        return None, _object_finding("missing_box", record, item, "no box", "a box for every object")
    x1, y1, x2, y2 = item.corners
    # Judged as written: in the 1-based convention a zero-size box would pass for one pixel.
    if x2 <= x1 or y2 <= y1:
        found = f"box {_corners(item)} has no area"
        return None, _object_finding("degenerate_box", record, item, found, "xmin < xmax and ymin < ymax")
    width, height = size
    x1, y1, x2, y2 = item.box_xyxy
    clipped = (max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2))
    inside = f"a box inside the image, {width} x {height} pixels"
    if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        found = f"box {_corners(item)} lies outside the image"
        return None, _object_finding("outside_box", record, item, found, inside)
    kept = CheckedObject(name=item.name, box_xyxy=clipped, flags=item.flags)
    excess = max(abs(a - b) for a, b in zip(clipped, item.box_xyxy, strict=True))
    if excess <= settings.box_tolerance_px:
        return kept, None
    found = f"box {_corners(item)} leaves the image by {excess:g} pixels"
    return kept, _object_finding("outside_box", record, item, found, inside, severity_warning=True)


def _object_finding(
    rule: str, record: Record, item: RawObject, found: str, expected: str, *, severity_warning: bool = False
) -> Finding:
    return Finding(
        rule=rule,
        severity="warning" if severity_warning else "error",
        file=record.annotation or record.member,
        record=item.record,
        found=found,
        expected=expected,
        action="clipped to the image" if severity_warning else "the object is kept out, the image stays",
    )


def _corners(item: RawObject) -> str:
    assert item.corners is not None
    return "(" + ", ".join(f"{value:g}" for value in item.corners) + ")"


def _size_mismatch(record: Record, size: tuple[int, int]) -> Finding:
    assert record.declared_size is not None
    declared = record.declared_size
    turned = "; the image is turned by its EXIF orientation" if declared == size[::-1] else ""
    return Finding(
        rule="size_mismatch",
        severity="error",
        file=record.annotation,
        found=f"the annotation was made for {declared[0]} x {declared[1]} pixels{turned}",
        expected=f"the size of {record.member}, {size[0]} x {size[1]} pixels",
        action="kept out: its boxes cannot be trusted; annotate the image as it is",
    )


def _no_sound_object(record: Record, num_found: int) -> Finding:
    return Finding(
        rule="no_sound_object",
        severity="error",
        file=record.member,
        found="its only object cannot be used" if num_found == 1 else f"none of its {num_found} objects can be used",
        expected="at least one sound object, or an annotation without any for a background image",
        action=f"kept out; mend {record.annotation or 'its annotation'}",
    )


def _label_count(record: Record) -> Finding:
    names = sorted({item.name for item in record.objects})
    return Finding(
        rule="bad_annotation",
        severity="error",
        file=record.annotation or record.member,
        found=f"{len(record.objects)} labels" + (f" ({', '.join(names)})" if names else ""),
        expected="exactly one label an image",
        action="kept out",
    )


def check_volume(
    findings: Sequence[Finding], num_images: int, num_objects: int, settings: CheckSettings
) -> list[Finding]:
    """Whether more is defective than may be kept out.

    Args:
        findings: Everything found so far.
        num_images: Images in the source, the defective ones too.
        num_objects: Objects in the source, the defective ones too.
        settings: The limits.

    Returns:
        Findings of severity `stop`; empty when one may go on.
    """
    stops: list[Finding] = []
    defects = [finding for finding in findings if finding.severity == "error"]
    for noun, rules, total in (("images", _IMAGE_RULES, num_images), ("objects", OBJECT_RULES, num_objects)):
        count = sum(finding.rule in rules for finding in defects)
        # Rounded up: one bad file is no reason to stop, however small the source.
        if count > math.ceil(settings.max_unreadable_fraction * total):
            stops.append(_too_many(noun, count, total, settings))
    return stops


def _too_many(noun: str, count: int, total: int, settings: CheckSettings) -> Finding:
    share = f" ({100 * count / total:.1f}%)" if total else ""
    return Finding(
        rule=f"too_many_defective_{noun}",
        severity="stop",
        file="the source",
        found=f"{count} of {total} {noun}{share} cannot be used",
        expected=f"at most {100 * settings.max_unreadable_fraction:g}% (data.check.max_unreadable_fraction)",
        action="mend the files listed",
    )


def check_classes(
    class_counts: dict[str, Counter[Split]],
    num_per_split: Counter[Split],
    declared: Sequence[str],
    requirements: Requirements,
) -> list[Finding]:
    """Check which classes occur where, once every sample has its split.

    Args:
        class_counts: Good objects per class and split.
        num_per_split: Samples per split.
        declared: Class names that the layout names, maybe without any image.
        requirements: Fewest classes.
    """
    findings = _empty_classes([name for name in declared if name not in class_counts])
    if not class_counts:
        return [*findings, _stop("no_objects", "no usable object in any image", "labelled objects")]
    if len(class_counts) < requirements.min_classes:
        names = ", ".join(sorted(class_counts))
        found = f"{len(class_counts)} class(es): {names}"
        return [*findings, _stop("too_few_classes", found, f"at least {requirements.min_classes} classes")]
    findings += [
        _stop("empty_split", f"no image is in the {split} split", "images in train, val and test")
        for split in SPLITS
        if not num_per_split[split]
    ]
    for name, counts in sorted(class_counts.items()):
        findings += _class_coverage(name, counts, num_per_split)
    findings += _similar_classes({name: counts.total() for name, counts in sorted(class_counts.items())})
    few = {name: counts.total() for name, counts in sorted(class_counts.items()) if counts.total() < _FEW}
    return [*findings, _few_examples(few, len(class_counts))] if few else findings


def _class_coverage(name: str, counts: Counter[Split], num_per_split: Counter[Split]) -> list[Finding]:
    present = [split for split in SPLITS if counts[split]]
    if "train" not in present:
        where = " and ".join(present)
        return [
            _stop(
                f"class_only_in_{present[0]}",
                f"class {name!r} is in {where} but not in train",
                "every class of val and test in train",
            )
        ]
    absent = [split for split in SPLITS if num_per_split[split] and not counts[split]]
    if not absent:
        return []
    return [
        Finding(
            rule="class_only_in_train" if present == ["train"] else f"class_missing_in_{absent[0]}",
            severity="warning",
            file="the source",
            record=name,
            found=f"class {name!r} has no object in {' and '.join(absent)}",
            expected="every class in every split",
            action="its metrics are undefined there; add labelled images",
        )
    ]


def _similar_classes(num_objects: dict[str, int]) -> list[Finding]:
    alike: dict[str, list[str]] = {}
    for name in num_objects:
        alike.setdefault(re.sub(r"[\s_-]+", "", name.casefold()) or name, []).append(name)
    return [
        Finding(
            rule="similar_classes",
            severity="warning",
            file="the source",
            found="classes "
            + " and ".join(f"{name!r} ({num_objects[name]:,})" for name in names)
            + " differ by case, spaces, _ or - only",
            expected="one spelling of each class",
            action="kept apart; if they are one class, correct the labels",
        )
        for names in alike.values()
        if len(names) > 1
    ]


def _few_examples(few: dict[str, int], num_classes: int) -> Finding:
    named = ", ".join(f"{name} {count}" for name, count in list(few.items())[:_NAMED])
    more = ", ..." if len(few) > _NAMED else ""
    return Finding(
        rule="few_examples",
        severity="warning",
        file="the source",
        found=f"{len(few)} of {num_classes} classes have fewer than {_FEW} examples: {named}{more}",
        expected="dozens of examples of every class, better hundreds",
        action="neither learned nor measured with any certainty; add labelled images",
    )


def _empty_classes(names: Sequence[str]) -> list[Finding]:
    if not names:
        return []
    more = ", ..." if len(names) > _NAMED else ""
    named = ", ".join(repr(name) for name in names[:_NAMED]) + more
    found = f"class {named} has" if len(names) == 1 else f"{len(names)} classes have"
    found += " no usable image" + (f": {named}" if len(names) > 1 else "")
    return [
        Finding(
            rule="empty_class",
            severity="warning",
            file="the source",
            found=found,
            expected="images of every class that the source names",
            action="left out; add images, or remove the names",
        )
    ]


def _stop(rule: str, found: str, expected: str) -> Finding:
    return Finding(
        rule=rule, severity="stop", file="the source", found=found, expected=expected, action="mend the source"
    )


def stop_if_needed(findings: Sequence[Finding], *, where: str) -> None:
    """Raise one error for everything found when any finding stops.

    Raises:
        DataError: what stops first, then the first 20 findings, then counts by rule.
    """
    stops = [finding for finding in findings if finding.severity == "stop"]
    if not stops:
        return
    rest = [finding for finding in sorted_findings(findings) if finding.severity != "stop"]
    lines = [f"  - {finding.found}" for finding in stops]
    if rest:
        counts = ", ".join(f"{rule} {count}" for rule, count in count_rules(rest).items())
        lines.append(f"  {len(rest)} finding{'s' * (len(rest) > 1)} in all: {counts}")
        lines += [f"  - {finding}" for finding in rest[:_SHOWN]]
        if len(rest) > _SHOWN:
            lines.append(f"  - and {len(rest) - _SHOWN} more")
    raise DataError(
        "the source cannot be learnt from:\n" + "\n".join(lines),
        where=where,
        expected="; ".join(dict.fromkeys(finding.expected for finding in stops)),
        action="; ".join(dict.fromkeys(finding.action for finding in stops)) + "; nothing has been written",
    )
