"""What goes to a labelling tool and what comes back, in one form for all tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from visionloop.data.findings import Finding

Fractions = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the image's width and height, 0 to 1."""

_SLACK = 0.005
"""Tools round: so far outside the image a box may reach, as a share of the side; it is cut off there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToLabel:
    """An answered image to be labelled.

    Attributes:
        prediction_id: Of the answer; by it the label comes back.
        image_sha256: Of the image that was sent.
        task, model, version: Whose answer it is.
        width, height: Pixels of the upright image.
        result: The answer, as the API gave it.
        reason: Why it was chosen.
        image: The kept image, encoded.
        suffix: Of its file, such as `.png`.
    """

    prediction_id: str
    image_sha256: str
    task: str
    model: str
    version: str
    width: int
    height: int
    result: Mapping[str, Any]
    reason: str
    image: bytes
    suffix: str

    @property
    def file(self) -> str:
        """Name of the image's file; the prediction's id, so that it comes back."""
        return f"{self.prediction_id}{self.suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What one person says an image shows.

    Attributes:
        prediction_id: Of the answer it was labelled for.
        image_sha256: As the file has it; None where it has none.
        annotator: Who says it, such as `label-studio/3`.
        at: When; None where the file does not say.
        class_name: Of the whole image; None where boxes are said, or nothing.
        boxes: Class and place of each; empty for an image with nothing in it.
        record: Where in the file, for errors, such as `task 17, annotation 4`.
        looked_at: Whether a person surely looked at it. Where not, a label that is the model's answer unchanged is
            nobody's word.
    """

    prediction_id: str
    image_sha256: str | None
    annotator: str
    at: datetime | None
    class_name: str | None
    boxes: tuple[tuple[str, Fractions], ...]
    record: str
    looked_at: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a file of a labelling tool holds.

    Attributes:
        labels: In the file's order.
        findings: What cannot be taken, each with file and record.
        num_skipped: Annotations that people cancelled.
        num_untouched: Images that nobody annotated.
    """

    labels: tuple[Labelled, ...]
    findings: tuple[Finding, ...]
    num_skipped: int
    num_untouched: int


def error(rule: str, file: str, record: str, found: str, expected: str, action: str) -> Finding:
    """A finding that keeps an annotation out."""
    return Finding(rule=rule, severity="error", file=file, record=record, found=found, expected=expected, action=action)


def inside(box: Fractions) -> Fractions:
    """A box cut to the image.

    Raises:
        ValueError: it has no area, is not finite, or reaches out of the image by more than tools' rounding.
    """
    left, top, right, bottom = box
    if not all(-_SLACK <= value <= 1 + _SLACK for value in box):  # false for NaN
        raise ValueError(f"the box from ({left:.1%}, {top:.1%}) to ({right:.1%}, {bottom:.1%}) lies outside the image")
    left, top, right, bottom = (min(1.0, max(0.0, value)) for value in box)
    if left >= right or top >= bottom:
        raise ValueError(f"the box from ({left:.1%}, {top:.1%}) to ({right:.1%}, {bottom:.1%}) has no area")
    return left, top, right, bottom


def answered_boxes(result: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """The boxes of an answer; None where it is no answer of boxes."""
    found = result.get("detections")
    return None if found is None else list(found)
