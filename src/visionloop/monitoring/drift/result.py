"""What a drift check found, as plain data: for the command line, reports, gauges and the registry."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from visionloop.core.settings import Settings
from visionloop.monitoring.drift.estimate import AccuracyEstimate
from visionloop.monitoring.drift.hypotheses import Outcome
from visionloop.monitoring.drift.windows import Status


class Histogram(Settings):
    """Both sides of one number, over the same bins."""

    edges: tuple[float, ...]
    """Bin edges, rising, one more than counts; the outer bins hold everything beyond them."""
    reference: tuple[int, ...]
    """Reference images per bin."""
    window: tuple[int, ...]
    """Images of the window per bin."""


class TestReport(Settings):
    """One test of the family."""

    __test__ = False  # pytest takes the name for a test class

    name: str
    """`brightness`, `classes`, `embedding_mmd`, ..."""
    subject: Literal["image", "answer", "embedding"]
    """What it looks at."""
    method: Literal["ks", "chi_square", "mmd", "domain_classifier"]
    """Which test."""
    outcome: Outcome
    """`tested`, or why not; what was not tested is not counted in the family."""
    p: float | None
    """As the test gave it."""
    p_adjusted: float | None
    """After Holm's correction over the family; at most alpha means drift."""
    effect: float | None
    """How large the difference is, in the unit of `effect_name`."""
    effect_name: Literal["D", "V", "MMD2", "AUC"]
    """Kolmogorov-Smirnov's D (0 to 1), Cramer's V (0 to 1), MMD squared (0 to 2), AUC (0.5 to 1)."""
    drifted: bool
    """Whether it is significant over the family, and its effect not below the settings' bound."""
    num_reference: int
    """Reference images that took part."""
    num_window: int
    """Images of the window that took part."""
    num_missing: int = 0
    """Images of the window without a finite value."""
    reference_median: float | None = None
    """Of the reference; None where it is not one number."""
    window_median: float | None = None
    """Of the window."""
    unit: str = ""
    """Of the medians and the histogram."""
    meaning: str = ""
    """What the number is."""
    histogram: Histogram | None = None
    """Of one number."""


class ClassShare(Settings):
    """How often a class is predicted."""

    name: str
    """Of the class."""
    reference: int
    """Times it was predicted on reference images."""
    window: int
    """Times it was predicted in the window."""


class NewImage(Settings):
    """An image that looks least like the reference."""

    id: str
    """Of the prediction."""
    score: float = Field(ge=0, le=1)
    """Share of the tested reference images that look more like the reference than this one, to the domain classifier:
    near 1 for what is new."""
    nearest_reference: tuple[str, ...]
    """Ids of the reference images that are nearest by embedding, nearest first."""


class DriftResult(Settings):
    """What one check found."""

    status: Status
    """`ok`, `drift` (some test is significant), `critical` (embedding drift with a large AUC), `insufficient_data`."""
    alpha: float
    """Chance of a false alarm over the whole family."""
    model_digest: str
    """Of the profile's model."""
    bundle_digest: str | None
    """Of the bundle."""
    num_reference: int
    """Images of the reference profile."""
    small_reference: bool
    """Whether the profile has fewer images than it should."""
    num_seen: int
    """Images the window saw."""
    num_images: int
    """Distinct images that counted."""
    num_required: int
    """Distinct images a complete window has."""
    num_duplicates: int
    """Left out as near duplicates."""
    num_capped: int
    """Left out because their client had filled its share."""
    num_invalid_embeddings: int
    """Images whose embedding is not finite; they are left out of its tests."""
    tests: tuple[TestReport, ...]
    """The family; empty with insufficient data."""
    classes: tuple[ClassShare, ...]
    """Predicted classes, in order of id."""
    newest: tuple[NewImage, ...]
    """Images that look least like the reference, newest first; filled whenever embeddings were tested."""
    accuracy: AccuracyEstimate
    """Estimated accuracy without labels."""
    remarks: tuple[str, ...]
    """What a reader should know: a small profile, values that are not finite, classes never predicted before."""

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the tests that drifted, most significant first."""
        found = [test for test in self.tests if test.drifted]
        return tuple(test.name for test in sorted(found, key=lambda test: (test.p_adjusted or 0.0, test.name)))
