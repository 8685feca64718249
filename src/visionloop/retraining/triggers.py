"""Why a retraining starts, or why it does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from visionloop.core.errors import DataError
from visionloop.monitoring.alerts.sources.reports import DriftFile
from visionloop.monitoring.labelling.estimate import Judged, true_accuracy
from visionloop.retraining.judgements import Judgement
from visionloop.retraining.settings import TriggerSettings
from visionloop.retraining.state import Ended

_CLOCK_SLACK = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One thing that was looked at.

    Attributes:
        name: `schedule`, `drift`, `accuracy`, `labels`.
        fired: Whether it asks for a retraining.
        text: What was found, for people.
    """

    name: str
    fired: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a retraining starts.

    Attributes:
        runs: Whether it does.
        reasons: Why it does.
        held: What forbids it although something asks for it.
        signals: Everything that was looked at.
    """

    runs: bool
    reasons: tuple[str, ...]
    held: tuple[str, ...]
    signals: tuple[Signal, ...]

    @property
    def line(self) -> str:
        """For people."""
        if self.runs:
            return "; ".join(self.reasons)
        return (
            "; ".join(self.held)
            if self.held
            else "nothing asks for it: " + "; ".join(signal.text for signal in self.signals)
        )


def look(
    settings: TriggerSettings,
    *,
    task: str,
    now: datetime,
    history: Sequence[Ended],
    drift: DriftFile | None,
    judged: Sequence[Judged],
    new_labels: int,
    champion_since: datetime | None = None,
    trial: str = "",
    force: bool = False,
) -> Decision:
    """Decide.

    Args:
        settings: Limits.
        task: Its name.
        now: With a time zone.
        history: Retrainings of the task that have ended, oldest first.
        drift: The drift job's report, None where there is none.
        judged: Judged answers of the champion.
        new_labels: Labels that the next version would add or change.
        champion_since: When what serves was promoted: before the first retraining the schedule counts from then.
        trial: How a canary on trial stands, whose place another would take; empty where none is.
        force: Start whatever is found.
    """
    last = history[-1] if history else None
    signals = (
        _schedule(settings, now, last, champion_since),
        _drift(settings, task, now, drift, last),
        _accuracy(settings, judged),
        _labels(settings, new_labels),
    )
    reasons = tuple(f"{signal.name}: {signal.text}" for signal in signals if signal.fired)
    if force:
        return Decision(runs=True, reasons=("asked for by --force", *reasons), held=(), signals=signals)
    held = () if not reasons else (*([trial] if trial else []), *_brakes(settings, now, history))
    return Decision(runs=bool(reasons) and not held, reasons=reasons, held=held, signals=signals)


def judged_answers(judgements: Iterable[Judgement], *, digest: str, since: datetime) -> list[Judged]:
    """What people say of a bundle's answers; of several words on one answer the last counts."""
    words = sorted((word for word in judgements if word.digest == digest and word.at >= since), key=lambda w: w.at)
    return [
        Judged(right=not word.corrects, reason=word.reason, draw=word.draw, draw_images=word.draw_images)
        for word in {word.prediction: word for word in words}.values()
    ]


def read_drift(path: Path) -> DriftFile | None:
    """The drift job's report, None where there is none.

    Raises:
        DataError: it is damaged.
    """
    try:
        return DriftFile.model_validate_json(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise DataError(
            f"the drift job's report cannot be read ({type(error).__name__})",
            where=str(path),
            expected="the JSON of docs/alerts.md",
            action="run `visionloop drift` again",
        ) from None


def _schedule(settings: TriggerSettings, now: datetime, last: Ended | None, champion_since: datetime | None) -> Signal:
    if settings.every_days is None:
        return Signal(name="schedule", fired=False, text="no schedule")
    if last is None and champion_since is None:
        return Signal(name="schedule", fired=True, text="there was no retraining yet")
    what, since = ("last one ended", last.ended_at) if last is not None else ("champion was promoted", champion_since)
    assert since is not None
    age = now - since
    due = age >= timedelta(days=settings.every_days) or age < -_CLOCK_SLACK
    return Signal(
        name="schedule",
        fired=due,
        text=f"the {what} {_span(age)} ago, one is due every {settings.every_days:g} d",
    )


def _drift(settings: TriggerSettings, task: str, now: datetime, drift: DriftFile | None, last: Ended | None) -> Signal:
    if not settings.drift or drift is None:
        return Signal(name="drift", fired=False, text="not looked at" if not settings.drift else "no report")
    age = now - drift.created_at
    if age > timedelta(hours=settings.drift_max_age_hours):
        return Signal(name="drift", fired=False, text=f"the report is {_span(age)} old")
    if last is not None and drift.created_at < last.ended_at <= now:
        return Signal(name="drift", fired=False, text="the report is older than the last retraining")
    found = [item for item in drift.observations if item.name == "drift" and item.label == task]
    critical = [item for item in found if item.severity == "critical"]
    if critical:
        return Signal(name="drift", fired=True, text=critical[0].text or "critical")
    return Signal(name="drift", fired=False, text=found[0].severity or "none" if found else "nothing on this task")


def _accuracy(settings: TriggerSettings, judged: Sequence[Judged]) -> Signal:
    if settings.accuracy is None:
        return Signal(name="accuracy", fired=False, text="not looked at")
    found = true_accuracy(judged, at_least=settings.accuracy_min)
    if found is None:
        text = (
            f"{len(judged)} judged answers; {settings.accuracy_min} are needed that were drawn by chance or judged "
            "unasked"
        )
        return Signal(name="accuracy", fired=False, text=text)
    text = f"{found.text()}, the bound is {settings.accuracy:.0%}"
    return Signal(name="accuracy", fired=found.interval.upper < settings.accuracy, text=text)


def _labels(settings: TriggerSettings, new_labels: int) -> Signal:
    wanted = settings.new_labels
    text = f"{new_labels} new labels" + ("" if wanted is None else f", {wanted} start one")
    return Signal(name="labels", fired=wanted is not None and new_labels >= wanted, text=text)


def _brakes(settings: TriggerSettings, now: datetime, history: Sequence[Ended]) -> list[str]:
    held: list[str] = []
    if history:
        age = now - history[-1].ended_at
        # An end that lies far ahead was written by a clock that was wrong: it must not block for years.
        if -_CLOCK_SLACK <= age < timedelta(hours=settings.cooldown_hours):
            held.append(f"cooldown: the last one ended {_span(age)} ago, {settings.cooldown_hours:g} h must pass")
    since = now - timedelta(days=settings.budget_days)
    spent = sum(item.busy_s for item in history if since <= item.ended_at <= now + _CLOCK_SLACK) / 3600
    if spent >= settings.budget_hours:
        held.append(f"budget: {spent:.1f} h of {settings.budget_hours:g} h in {settings.budget_days:g} days are spent")
    return held


def _span(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    if abs(hours) < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if abs(hours) < 48 else f"{hours / 24:.1f} d"
