"""Where predictions are kept, and for how long; when somebody is told."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from visionloop.core.settings import Settings
from visionloop.monitoring.alerts.settings import AlertSettings


class StoreSettings(Settings):
    """The prediction store."""

    url: str = "sqlite:///mlruns/predictions.db"
    """`sqlite:///<path>` (relative to the project), or `postgresql://<user>@<host>/<database>` with pg8000."""
    enabled: bool = True
    """Whether the service keeps what it predicts."""
    flush_s: float = Field(default=0.5, gt=0, le=10)
    """Seconds a prediction may wait in memory for others to be written with."""
    batch: int = Field(default=200, ge=1, le=10_000)
    """Most rows in one write."""
    max_pending: int = Field(default=5000, ge=1)
    """Most rows in the memory of one worker; above it new ones are dropped and counted."""
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    """Seconds to wait for a locked or silent database."""
    retention_days: int = Field(default=90, ge=1)
    """Days after which a prediction is deleted, with its feedback."""


class LabellingSettings(Settings):
    """Which answered images people are asked to label. The shares are of what is left after `random`."""

    per_day: int = Field(default=200, ge=0, le=100_000)
    """Most images chosen for a task and day (UTC): what people can be asked for."""
    round_images: int = Field(default=20, ge=1, le=1000)
    """Images chosen at once; a small round follows traffic and labels more closely."""
    random: float = Field(default=0.2, ge=0, le=1)
    """Share drawn by chance: only these tell how good the model is on all images."""
    uncertain: float = Field(default=0.5, ge=0, le=1)
    """Share of images that the model is unsure of."""
    novel: float = Field(default=0.25, ge=0, le=1)
    """Share of images unlike all that is known."""
    disagreement: float = Field(default=0.15, ge=0, le=1)
    """Share of images that a shadow, or the champion beside a canary, answered otherwise."""
    balance: float = Field(default=0.1, ge=0, le=1)
    """Share of images of classes with few labels."""
    measure: Literal["margin", "entropy"] = "margin"
    """What unsure means of ranked classes."""
    boxes: Literal["max", "mean"] = "max"
    """What unsure means of boxes: the least sure one, or their mean."""
    pool: int = Field(default=2000, ge=10, le=50_000)
    """Latest answers that are looked at."""
    keep_days: int = Field(default=7, ge=1, le=365)
    """Days after which a chosen image that nobody has judged is no longer asked for."""
    seed: int = Field(default=0, ge=0)
    """Of chance: the same store gives the same choice."""

    @model_validator(mode="after")
    def _some_reason(self) -> Self:
        """A budget that nothing may take would look like a queue that is always empty."""
        if not (self.random or self.uncertain or self.novel or self.disagreement or self.balance):
            raise ValueError("one of random, uncertain, novel, disagreement and balance must be above 0")
        return self


class ProfileSettings(Settings):
    """The reference profile that a bundle carries."""

    max_images: int = Field(default=2000, ge=1)
    """Validation images it is made of; all of them when there are fewer."""
    min_images: int = Field(default=1000, ge=1)
    """With fewer, the profile says that it is small; it is used all the same."""


class DriftSettings(Settings):
    """When the images and answers of the service differ from those the model was made for."""

    alpha: float = Field(default=0.01, gt=0, lt=0.5)
    """Chance that a window without drift is called drifted, over all tests of the window together."""
    window_images: int = Field(default=200, ge=20)
    """Distinct images in a window; fewer are `insufficient_data`."""
    duplicate_bits: int = Field(default=4, ge=-1, le=16)
    """Two images of one window whose 64-bit hashes differ in at most so many bits are near duplicates, and the later
    is left out; the profile lowers it where distinct images lie closer than that. -1 keeps all."""
    client_share: float = Field(default=0.05, gt=0, le=1)
    """Most of a window that one API key fills; an equal share where too few keys are active to fill it so."""
    alarm_windows: int = Field(default=3, ge=1, le=20)
    """An alarm looks at so many latest complete windows."""
    alarm_drifted: int = Field(default=2, ge=1, le=20)
    """It is raised when at least so many of them drifted."""
    min_d: float = Field(default=0.1, ge=0, le=1)
    """A number whose distributions lie less than this apart (Kolmogorov-Smirnov's D) has not drifted, however
    significant: large windows find differences that matter to nobody."""
    min_v: float = Field(default=0.05, ge=0, le=1)
    """Likewise of classes, in Cramer's V."""
    critical_auc: float = Field(default=0.7, gt=0.5, le=1)
    """Embedding drift with a domain classifier's AUC of at least this is critical."""
    max_test_images: int = Field(default=500, ge=50, le=5000)
    """Images of each side in the tests on embeddings, chosen at random; cost grows with the square."""
    newest_images: int = Field(default=12, ge=0, le=200)
    """Images named that look least like the reference."""
    seed: int = Field(default=0, ge=0)
    """Of subsamples and permutations: the same window gives the same result."""
    since_hours: float = Field(default=168.0, gt=0, le=24 * 366)
    """`visionloop drift` looks back so many hours, unless it is told otherwise."""
    max_rows: int = Field(default=10_000, ge=1, le=1_000_000)
    """Most predictions it reads of a version, the latest."""
    report: bool = True
    """Whether it writes an HTML report."""
    mlflow: bool = False
    """Whether each check is a run in MLflow as well; a tracking server that is away is no failure."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        """An alarm that wants more windows than it looks at would never be raised."""
        if self.alarm_drifted > self.alarm_windows:
            raise ValueError(f"alarm_drifted must be at most alarm_windows ({self.alarm_windows})")
        return self


class MonitoringSettings(Settings):
    """What watches the service."""

    alerts: AlertSettings = AlertSettings()
    """Alerts."""
    drift: DriftSettings = DriftSettings()
    """Drift."""
