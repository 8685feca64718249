"""When a model is trained again, from what, and what must hold before it serves."""

from __future__ import annotations

import re
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from visionloop.core.settings import Settings


class LabelSettings(Settings):
    """Which feedback becomes labels. Keys are named by the ids that `visionloop keys list` shows."""

    recent_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the labelled images that is only ever tested on: the set that grows beside the frozen one."""
    box_iou: float = Field(default=0.5, gt=0, le=1)
    """Overlap from which two people's boxes are the same box."""
    trusted_keys: tuple[str, ...] = ()
    """Keys that no limit and no suspicion holds back; a contradiction still does."""
    distrusted_keys: tuple[str, ...] = ()
    """Keys whose feedback is left out, and whose labels are taken out of what was gathered before."""
    max_key_per_day: int = Field(default=1000, ge=1)
    """Labels of one key and day (UTC) that are taken; the rest waits for a person. Not for feedback without a key."""
    max_key_share: float = Field(default=0.5, gt=0, le=1)
    """Most of a version's new labels that one key gives, where at least three do; the rest waits."""
    key_allowance: int = Field(default=50, ge=0)
    """New labels of a key that `max_key_share` never holds back."""
    burst_hours: float = Field(default=1.0, gt=0, le=24 * 7)
    """A key's words are looked at in stretches of so many hours."""
    burst_min: int = Field(default=10, ge=2)
    """Contradictions in a stretch from which it is a burst."""
    burst_share: float = Field(default=0.3, gt=0, le=1)
    """Share of the key's checkable words in the stretch that must be contradictions."""
    outlier_confidence: float | None = Field(default=0.9, gt=0, le=1)
    """A key that contradicts answers at least so sure far more often than the other keys do is held back; null does
    not compare keys."""


class TriggerSettings(Settings):
    """What starts a retraining, and what holds it back. Drift starts one; it promotes nothing."""

    every_days: float | None = Field(default=7.0, gt=0, le=3650)
    """Days after the last one at which the next is due; null has no schedule."""
    drift: bool = True
    """Whether critical drift (in 2 of 3 windows, as the drift job counts) starts one."""
    drift_max_age_hours: float = Field(default=24.0, gt=0)
    """Age from which the drift job's report says nothing."""
    accuracy: float | None = Field(default=0.8, gt=0, lt=1)
    """True accuracy by feedback below which one starts, judged by the upper end of its 95% interval; null does not
    look at it."""
    accuracy_days: float = Field(default=7.0, gt=0, le=365)
    """Days of feedback on the champion that count."""
    accuracy_min: int = Field(default=30, ge=1)
    """Fewest judged answers."""
    new_labels: int | None = Field(default=200, ge=1)
    """New labels that start one; null does not count."""
    cooldown_hours: float = Field(default=24.0, ge=0)
    """Hours between the end of one and the start of the next."""
    budget_hours: float = Field(default=24.0, gt=0)
    """Hours that retrainings of a task may take in `budget_days`; then none starts."""
    budget_days: float = Field(default=7.0, gt=0, le=365)
    """Days over which the budget is counted."""


class RecentGateSettings(Settings):
    """What the gate asks beyond `<task>.gate` once there are enough recent images."""

    min_images: int = Field(default=20, ge=1)
    """Recent images from which they are judged; with fewer only the frozen test set is, as `<task>.gate` says."""
    margin: float = Field(default=0.02, ge=0, le=1)
    """Loss on recent images that must be ruled out; the mean must not be lower."""
    frozen_margin: float = Field(default=0.02, ge=0, le=1)
    """Loss on the frozen test set that must be ruled out where recent images are judged too."""
    frozen_tolerance: float = Field(default=0.01, ge=0, le=1)
    """How much lower the mean on the frozen test set may be where recent images are judged too: a model that learns
    new conditions may give up a little of the old ones."""


class TrialSettings(Settings):
    """When a canary that the gate has accepted takes the champion's place by itself."""

    promote: bool = False
    """Whether it does; else a person promotes it or ends it."""
    min_answers: int = Field(default=1000, ge=1)
    """Images that it must have answered."""
    min_hours: float = Field(default=24.0, ge=0)
    """Hours that it must have served without being stopped (`serving.canary`)."""
    min_judged: int = Field(default=0, ge=0)
    """Answers of it that people must have judged; 0 does without, but what they say counts."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Of the sequential test of `visionloop ab`, by which it must not be shown to be worse."""
    max_days: float = Field(default=14.0, gt=0, le=365)
    """Days after which it loses its share if it has not come so far."""

    @model_validator(mode="after")
    def _time_to_pass(self) -> Self:
        if 24 * self.max_days <= self.min_hours:
            raise ValueError("must have max_days longer than min_hours")
        return self


class ScheduleSettings(Settings):
    """When `visionloop retrain` is called; it then decides whether there is something to do."""

    every: Literal["hour", "day", "week"] = "day"
    """How often."""
    at: str = "03:00"
    """Time of day, HH:MM; of an hourly schedule only the minutes count."""
    weekday: Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"] = "sun"
    """Day of a weekly schedule."""
    timezone: str = "UTC"
    """IANA name, such as Europe/Berlin."""

    @field_validator("at", mode="before")
    @classmethod
    def _unquoted(cls, value: object) -> object:
        # YAML 1.1 reads 20:30 without quotes as a number to the base of 60, though not 03:00.
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
            return f"{value // 60:02d}:{value % 60:02d}"
        return value

    @field_validator("at")
    @classmethod
    def _time(cls, text: str) -> str:
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
            raise ValueError("must be a time of day such as 03:00")
        return text

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("must be an IANA time zone such as UTC or Europe/Berlin") from None
        return name


class RetrainingSettings(Settings):
    """The loop from feedback to a promoted model."""

    folder: str = "mlruns/retraining"
    """State, reports and work of retrainings, relative to the state folder."""
    start: Literal["champion", "scratch"] = "scratch"
    """Weights a training starts from: the champion's, or as `<task>.model` says."""
    overrides: tuple[str, ...] = ()
    """Hydra overrides for retrainings only, such as `classification.training.max_epochs=5`."""
    promotion: Literal["promote", "canary", "none"] = "promote"
    """What follows when the gate says promote: the champion's place, a share of the traffic, or nothing."""
    canary_share: float = Field(default=0.1, gt=0, lt=1)
    """A canary's share of the sessions."""
    canary: TrialSettings = TrialSettings()
    """What becomes of a canary."""
    attempts: int = Field(default=3, ge=1, le=100)
    """Calls that try to finish a retraining that failed, before the next one starts anew."""
    keep_runs: int = Field(default=5, ge=1)
    """Retrainings whose reports are kept."""
    labels: LabelSettings = LabelSettings()
    """From feedback to labels."""
    triggers: TriggerSettings = TriggerSettings()
    """When."""
    gate: RecentGateSettings = RecentGateSettings()
    """What must hold."""
    schedule: ScheduleSettings = ScheduleSettings()
    """How often somebody looks."""

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        both = sorted(set(self.labels.trusted_keys) & set(self.labels.distrusted_keys))
        if both:
            raise ValueError(f"must not have a key in both trusted_keys and distrusted_keys: {', '.join(both)}")
        return self
