"""Types of a version's report; see `schema`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from visionloop.serving.schema import Box, Scored, Shape


class ClassNumbers(Shape):
    """How a model fares with one class."""

    class_name: str = Field(alias="class")
    """Name."""
    support: int
    """Its images, or objects, in the split."""
    metrics: dict[str, float | None]
    """By name; null where undefined."""
    intervals: dict[str, tuple[float, float]]
    """95% intervals (Wilson's) of those that are shares of `support`."""


class TableBody(Shape):
    """A table of numbers."""

    name: str
    """Stable name: `confusion` (how often which truth got which answer), `reliability`, `pr_curve`, or another."""
    columns: list[str]
    """Names."""
    rows: list[list[Any]]
    """Text, a number or null for each column."""
    left_out: int
    """Rows beyond the 5,000 that are kept."""


class TrueObject(Shape):
    """What an example shows."""

    class_name: str = Field(alias="class")
    """Name."""
    class_id: int
    """Position among the model's classes, from 0."""
    box_xyxy: tuple[float, float, float, float] | None
    """Left, top, right, bottom in pixels; null for a label of the whole image."""


class ExampleAnswer(Shape):
    """What the model said of an example."""

    class_name: str | None = Field(default=None, alias="class")
    """Most probable class."""
    class_id: int | None = None
    """Its position among the model's classes."""
    score: float | None = None
    """Its calibrated probability."""
    ranked: list[Scored] | None = None
    """Classes, most probable first; of classification only."""
    detections: list[Box] | None = None
    """Objects, best first; of detection only."""


class ReportExample(Shape):
    """An image that the model fares badly with."""

    picture: str
    """File name of a small picture, for `/v1/models/reports/{id}/examples/{name}`."""
    id: str
    """The image's id in the dataset."""
    width: int
    """Of the image, in pixels; boxes are in these."""
    height: int
    """Of the image, in pixels."""
    truth: list[TrueObject]
    """What is there; 50 at most."""
    prediction: ExampleAnswer
    """What the model found; 50 at most."""


class ReportAnswer(Shape):
    """Answer of `/v1/models/reports/{id}`."""

    model: str
    """Its name."""
    version: str
    """Its number."""
    task: str
    """Its task."""
    dataset: str
    """What it was evaluated on."""
    dataset_hash: str
    """That dataset's version."""
    split: str
    """Which part of it."""
    num_images: int
    """Images in that part."""
    primary_metric: str
    """The metric that models are compared by; higher is better."""
    metrics: dict[str, float | None]
    """By name; null where undefined."""
    intervals: dict[str, tuple[float, float]]
    """95% intervals of those metrics that are means over images."""
    classes: list[ClassNumbers]
    """In the order of their ids; 1,000 at most."""
    classes_left_out: int
    """How many more there are."""
    tables: list[TableBody]
    """Of the task."""
    examples: list[ReportExample]
    """The worst answers first; 24 at most."""
    latency_ms: float
    """Milliseconds an image took when it was evaluated: from the file's bytes to the answer, median."""
    model_mb: float
    """Size of the model in megabytes (10**6 bytes)."""
    runtime: dict[str, Any]
    """What it was evaluated with."""
    card: str
    """The model card, Markdown."""
