"""Types of what a drift check found; see `schema`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from visionloop.serving.schema import Shape


class EstimateBody(Shape):
    """Accuracy estimated without labels; never a measurement."""

    status: Literal["estimate", "not_valid", "unavailable"]
    """`not_valid` while embeddings drift: then there is no value."""
    metric: str
    """What is estimated."""
    value: float | None
    """Null unless `estimate`."""
    lower: float | None
    """Lower bound, 95%."""
    upper: float | None
    """Upper bound."""
    reason: str
    """What it rests on, or why there is none."""


class DriftWindow(Shape):
    """A window of images that follow each other."""

    first_at: datetime | None
    """Its first image."""
    last_at: datetime | None
    """Its last."""
    status: Literal["ok", "drift", "critical", "insufficient_data"]
    """What was found in it."""
    num_images: int
    """Distinct images."""
    num_required: int
    """Distinct images that fill it."""
    auc: float | None
    """How well a classifier tells it from the reference: 0.5 not at all, 1 always."""
    drifted: list[str]
    """Tests that are significant, most significant first."""
    accuracy: EstimateBody
    """Estimated over it."""


class HistogramBody(Shape):
    """Both sides of one number, over the same bins."""

    edges: list[float]
    """Bin edges; the outer bins hold everything beyond them."""
    reference: list[int]
    """Reference images per bin."""
    window: list[int]
    """Images of the window per bin."""


class DriftTest(Shape):
    """One test of the latest complete window."""

    name: str
    """`brightness`, `classes`, `embedding_mmd`, ..."""
    subject: Literal["image", "answer", "embedding"]
    """What it looks at."""
    method: Literal["ks", "chi_square", "mmd", "domain_classifier"]
    """Which test."""
    outcome: str
    """`tested`, or why not."""
    p_adjusted: float | None
    """After Holm's correction over all tests; at most `alpha` is significant."""
    effect: float | None
    """How large the difference is."""
    effect_name: Literal["D", "V", "MMD2", "AUC"]
    """In which unit."""
    drifted: bool
    """Significant, and not too small to matter."""
    reference_median: float | None
    """Of the reference."""
    window_median: float | None
    """Of the window."""
    unit: str
    """Of the medians and the histogram."""
    meaning: str
    """What the number is."""
    histogram: HistogramBody | None
    """Of one number."""


class DriftClass(Shape):
    """How often a class is answered."""

    class_name: str = Field(alias="class")
    """Its name."""
    reference: float
    """Share on reference images."""
    window: float
    """Share in the window."""


class ReferenceImage(Shape):
    """A held-out image that the model is compared by."""

    id: str
    """In the dataset."""
    jpeg_base64: str | None
    """A small picture; null where the check had no dataset at hand."""


class NewImageBody(Shape):
    """An image of the window that looks least like the reference."""

    prediction_id: str
    """Its prediction; `/v1/predictions/{id}/image` has the image, where it is kept."""
    score: float
    """Share of reference images that look more like the reference than it does."""
    has_image: bool
    """Whether its image is kept."""
    nearest: list[ReferenceImage]
    """Reference images nearest by embedding."""


class DriftReportBody(Shape):
    """What `visionloop drift` found last."""

    created_at: datetime
    """When."""
    model: str
    """Of the champion then."""
    version: str
    """Its version."""
    is_champion: bool
    """Whether that version is champion still."""
    alarm: bool | None
    """Null with too few windows to say."""
    severity: Literal["warning", "critical"] | None
    """Of the alarm."""
    status: Literal["ok", "drift", "critical", "insufficient_data"]
    """Of the latest complete window."""
    sentence: str
    """The verdict in one line."""
    num_looked_at: int
    """Complete windows that the alarm goes by."""
    num_drifted: int
    """Of these, drifted."""
    num_stored: int
    """Predictions stored in the time looked at."""
    num_measured: int
    """Of these, measured for drift."""
    num_reference: int
    """Images of the reference."""
    alpha: float
    """Chance of a false alarm of a window, over all its tests."""
    windows: list[DriftWindow]
    """Oldest first; only the last may be incomplete."""
    latest: int
    """Index of the window that the rest is about."""
    tests: list[DriftTest]
    """Most significant first; empty with too few images."""
    classes: list[DriftClass]
    """In order of id."""
    newest: list[NewImageBody]
    """Newest first."""
    accuracy: EstimateBody
    """Estimated over the latest complete window."""
    remarks: list[str]
    """What a reader should know."""


class DriftAnswer(Shape):
    """Answer of `/v1/monitoring/drift`."""

    task: str
    """As asked."""
    report: DriftReportBody | None
    """Null before the first check."""
    problem: str | None
    """Why the result of the last check cannot be read."""
