"""Settings of evaluation and gate; apart from them, so that reading a configuration loads little."""

from __future__ import annotations

from pydantic import Field

from visionloop.artifact.settings import RuntimeSettings
from visionloop.core.settings import Settings
from visionloop.data.samples import Split


class EvaluationSettings(Settings):
    """What is evaluated, and with which engine."""

    split: Split = "test"
    """The split whose images are asked."""
    gallery_images: int = Field(default=12, ge=0, le=200)
    """Worst mistakes shown in the report; that many images are in memory at once."""
    runtime: RuntimeSettings = RuntimeSettings()
    """The engine that runs the graph."""


class GateSettings(Settings):
    """What a challenger must show."""

    floors: dict[str, float] = Field(default_factory=dict)
    """Lowest accepted value by metric name, in [0, 1]; also for a task's first model."""
    margin: float = Field(default=0.005, ge=0, le=1)
    """Loss of the primary metric that must be ruled out: the lower bound of the gain lies above -margin."""
    tolerance: float = Field(default=0.0, ge=0, le=1)
    """How much lower than the champion's the primary metric itself may be; 0 asks for one that is not lower."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Confidence of that bound's two-sided interval."""
    resamples: int = Field(default=10_000, ge=100, le=1_000_000)
    """Bootstrap samples."""
    seed: int = Field(default=7, ge=0, lt=2**31)
    """Seed of the bootstrap."""
    min_images: int = Field(default=30, ge=1)
    """Fewest test images on which a champion may be replaced."""
    class_metric: str = "f1"
    """Per-class metric that `max_class_drop` bounds."""
    max_class_drop: float | None = Field(default=0.15, ge=0, le=1)
    """Largest loss of `class_metric` of any class; null does not look at classes."""
    min_class_support: int = Field(default=20, ge=1)
    """Classes with fewer objects in the test split are not judged alone."""
    max_model_mb: float | None = Field(default=None, gt=0)
    """Largest graph, in megabytes; null does not look at the size."""
    max_latency_ms: float | None = Field(default=None, gt=0)
    """Longest time per image, in milliseconds; null does not look at the time."""
