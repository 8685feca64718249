"""What the store takes: a prediction, feedback on one, a shadow's comparison with one."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, get_args

Variant = Literal["champion", "canary", "shadow"]
Verdict = Literal["right", "wrong", "corrected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRow:
    """One answer of one model.

    Attributes:
        id: Hex UUID made by the caller.
        created_at: With a time zone.
        task: `classification`, `detection`.
        model: Registered name.
        version: Of the registered model.
        digest: Of the bundle.
        variant: In which role the model answered; a shadow's answer reached no client.
        request_id: Of the HTTP request, which may hold several images.
        key_id: Who asked, or None without keys.
        image_sha256: Hex, of the encoded image.
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        image_bytes: Size of the encoded image.
        result: JSON, the answer at the model's operating point.
        top_class: The most confident class, or None where nothing was found.
        confidence: Of `top_class`, 0 to 1.
        features: JSON, image features for drift.
        embedding: A float16 array's bytes.
        latency_ms: Milliseconds the answer took.
    """

    id: str
    created_at: datetime
    task: str
    model: str
    version: str
    digest: str
    variant: Variant
    request_id: str
    key_id: str | None = None
    image_sha256: str
    width: int
    height: int
    image_bytes: int
    result: Any
    top_class: str | None = None
    confidence: float | None = None
    features: dict[str, Any] | None = None
    embedding: bytes | None = None
    latency_ms: float

    def __post_init__(self) -> None:
        utc(self.created_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRow:
    """What somebody says about a prediction; the same key's later word replaces its earlier one.

    Attributes:
        prediction_id: Of the prediction.
        created_at: With a time zone.
        verdict: `corrected` comes with a label.
        label: JSON: the right class's name, or a list of boxes with classes.
        note: Free text.
        key_id: Who says it, or None without keys.
    """

    prediction_id: str
    created_at: datetime
    verdict: Verdict
    label: Any = None
    note: str | None = None
    key_id: str | None = None

    def __post_init__(self) -> None:
        utc(self.created_at)
        if self.verdict not in get_args(Verdict):
            raise ValueError(f"verdict must be one of {', '.join(get_args(Verdict))}, found {self.verdict!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """How a shadow's answer differed from the one that was given.

    Attributes:
        prediction_id: Of the answer that was given; logged before its comparison.
        digest: Of the shadow's bundle.
        created_at: With a time zone.
        agreement: 0 to 1.
        details: JSON.
    """

    prediction_id: str
    digest: str
    created_at: datetime
    agreement: float
    details: Any

    def __post_init__(self) -> None:
        utc(self.created_at)


Row = PredictionRow | ComparisonRow


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; a ValueError without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a time zone cannot be stored; use datetime.now(UTC)")
    return moment.astimezone(UTC)


def values_of(row: Row | FeedbackRow) -> dict[str, Any]:
    """The row's fields by name, as they are."""
    return {field.name: getattr(row, field.name) for field in fields(row)}


def as_stored(row: PredictionRow) -> dict[str, Any]:
    """The row as the database would give it back."""
    plain = {name: json.loads(json.dumps(getattr(row, name))) for name in ("result", "features")}
    return values_of(row) | plain | {"created_at": utc(row.created_at)}
