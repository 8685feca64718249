"""A canary on trial: once it has shown enough it becomes the champion by itself, and it is not tried for ever."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from visionloop.artifact import deployment
from visionloop.artifact.deployment import Canary, Deployment, Lineup, Variant
from visionloop.evaluation.gate import Verdict
from visionloop.monitoring.ab.compare import AbReport, compare
from visionloop.monitoring.history.suspects import known_suspects
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store.engine import open_engine, parse_url
from visionloop.registry.champions import point_again, promote
from visionloop.registry.models import champion_version, stored_verdict, was_rolled_back
from visionloop.registry.settings import RegistrySettings
from visionloop.retraining.settings import TrialSettings

Outcome = Literal["waiting", "promoted", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What becomes of a canary.

    Attributes:
        version: Of the canary.
        outcome: What is done.
        text: Why, for people.
    """

    version: str
    outcome: Outcome
    text: str

    @property
    def line(self) -> str:
        """For people."""
        return f"canary version {self.version} {self.outcome}: {self.text}"


def judge_trial(
    settings: TrialSettings,
    canary: Canary,
    champion: Variant,
    *,
    verdict: Verdict,
    taken_back: str | None,
    report: AbReport | None,
    now: datetime,
) -> Trial:
    """Decide; nothing is done.

    Args:
        settings: What it must show.
        canary: Of the deployment pointer, with a share.
        champion: What serves beside it.
        verdict: The gate's, which accepted it.
        taken_back: When a person rolled it back, or None.
        report: Champion and canary compared since the canary began; None where no answers are stored.
        now: With a time zone.
    """

    def trial(outcome: Outcome, text: str) -> Trial:
        return Trial(version=canary.version, outcome=outcome, text=text)

    if taken_back:
        return trial("ended", f"it was taken back by hand on {taken_back}")
    if report is not None and report.verdict == "worse":
        return trial("ended", f"people find it worse than the champion: {_gain(report)}")
    missing = list(_missing(settings, canary, champion, verdict, report, now))
    if not missing:
        assert report is not None
        assert canary.since is not None
        judged = f"{_gain(report)} by feedback, " if report.second.judged.trials else ""
        return trial(
            "promoted",
            f"{report.second.answers:,} answers in {_hours(now - canary.since):.1f} h as canary without a failed "
            f"check, {judged}the gate's verdict: {verdict.summary}",
        )
    if canary.since is not None and now - canary.since >= timedelta(days=settings.max_days):
        return trial("ended", f"not promoted in {settings.max_days:g} days: {'; '.join(missing)}")
    return trial("waiting", "; ".join(missing))


def settle(
    settings: TrialSettings,
    registry: RegistrySettings,
    store: StoreSettings,
    *,
    task: str,
    root: Path,
    state: Path,
    who: str,
    now: datetime,
    act: bool = True,
) -> Trial | None:
    """Look at a task's canary, and promote it or end it where it is time.

    A canary that the gate has not accepted, or that is stopped, is left to people. A promotion is an ordinary one: with
    compare-and-set, and its reason in the audit. Killed in between, the next call completes it.

    Args:
        settings: What it must show.
        registry: Where models are, and the pointer.
        store: The prediction store.
        task: The task.
        root: The project's folder.
        state: Folder at which relative paths of what the service writes start.
        who: User, for the audit.
        now: With a time zone.
        act: Whether to do it; else only to say what would be done.

    Returns:
        None where there is nothing to look at.

    Raises:
        VisionloopError: registry, pointer or store cannot be read or written, or the champion changed meanwhile.
    """
    if not settings.promote:
        return None
    pointer = root / registry.pointer
    lineup = Deployment.read(pointer).tasks.get(task)
    if lineup is None or lineup.canary is None or lineup.canary.share == 0:
        return None
    champion, canary = lineup.champion, lineup.canary
    verdict, _ = stored_verdict(registry, root, canary.model, canary.version)
    if verdict is None or not verdict.promoted:
        return None
    current = champion_version(registry, root, canary.model)
    if current == canary.version:
        # A promotion was cut short between the registry and the pointer.
        if act:
            point_again(registry, root, canary.model)
        return Trial(version=canary.version, outcome="promoted", text="it is the champion already")
    trial = judge_trial(
        settings,
        canary,
        champion,
        verdict=verdict,
        taken_back=was_rolled_back(registry, root, canary.model, canary.version),
        report=_compared(settings, store, state, task, lineup),
        now=now,
    )
    if not act:
        return trial
    if trial.outcome == "promoted":
        promote(
            registry, root, canary.model, canary.version, expected_champion=champion.version, who=f"{who} (canary)",
            why=trial.text, now=now,
        )  # fmt: skip
    elif trial.outcome == "ended":
        deployment.change(pointer, task, lambda held: deployment.stop_canary(held, canary.digest, trial.text))
    return trial


def _compared(settings: TrialSettings, store: StoreSettings, state: Path, task: str, lineup: Lineup) -> AbReport | None:
    canary = lineup.canary
    if canary is None or canary.since is None or not store.enabled:
        return None
    _, path = parse_url(store.url, state)
    if path is not None and not path.exists():
        return None
    engine, _ = open_engine(store, state)
    try:
        return compare(
            engine,
            task=task,
            first=(lineup.champion.version, lineup.champion.digest),
            second=(canary.version, canary.digest),
            # The same start at every look, which the bounds of a sequential test need.
            since=canary.since,
            confidence=settings.confidence,
            suspects=known_suspects(state, task),
        )
    finally:
        engine.dispose()


def _missing(
    settings: TrialSettings,
    canary: Canary,
    champion: Variant,
    verdict: Verdict,
    report: AbReport | None,
    now: datetime,
) -> Iterator[str]:
    """What it has yet to show."""
    if champion.model != canary.model:
        yield f"another model serves, {champion.model}"
    elif verdict.champion != champion.digest:
        yield "the gate compared it with another champion than the one that serves"
    if canary.since is None:
        yield f"when it began is not known: visionloop deploy {canary.model} {canary.version} --canary {canary.share:g}"
    elif now - canary.since < timedelta(hours=settings.min_hours):
        yield f"{max(0.0, _hours(now - canary.since)):.1f} of {settings.min_hours:g} hours"
    if report is None:
        yield "no answers are stored (serving.store)"
        return
    if report.second.answers < settings.min_answers:
        yield f"{report.second.answers:,} of {settings.min_answers:,} answers"
    if report.second.judged.trials < settings.min_judged:
        yield f"{report.second.judged.trials:,} of {settings.min_judged:,} judged answers"


def _gain(report: AbReport) -> str:
    gain = report.gain
    counts = f"{report.second.judged.trials:,} judged answers, {report.first.judged.trials:,} of the champion's"
    return f"{100 * gain.lower:+.1f} to {100 * gain.upper:+.1f} points ({gain.confidence:.0%} at every look, {counts})"


def _hours(span: timedelta) -> float:
    return span.total_seconds() / 3600
