"""What the prediction store knows about two versions that answered the same traffic."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa

from visionloop.evaluation.statistics import Interval, Values, wilson_interval
from visionloop.monitoring.ab.sequential import Count, difference_bounds
from visionloop.monitoring.history.suspects import SuspectKey, is_held_back
from visionloop.monitoring.store.tables import COMPARISONS, FEEDBACK, PREDICTIONS

_MOST = 10_000
"""Newest predictions of a version whose latency is read, and comparisons; more would not move what is made of them."""
_RESAMPLES = 1_000
_ROUND = 50
"""Resamples held in memory at once."""

Verdict = Literal["better", "worse", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One version.

    Attributes:
        version: Of the registered model.
        digest: Of its bundle.
        answers: Images it answered.
        judged: Of these, how many people judged with one voice, and how many were right.
        disputed: Answers that two people judged differently; they count for neither.
        p50_ms, p95_ms: Latency, milliseconds; NaN without answers.
    """

    version: str
    digest: str
    answers: int
    judged: Count
    disputed: int
    p50_ms: float
    p95_ms: float

    def accuracy(self, confidence: float) -> Interval | None:
        """Share of the judged answers that were right, for one look; None when nothing was judged."""
        if not self.judged.trials:
            return None
        return wilson_interval(self.judged.successes, self.judged.trials, confidence=confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class AbReport:
    """The second version against the first.

    Attributes:
        task: The task.
        since: Start of what was looked at.
        confidence: Of all bounds.
        first, second: What is compared.
        gain: Second's accuracy by feedback minus the first's, and bounds that hold at every look.
        verdict: Of the second.
        slower_ms: Difference of the 95th percentiles of latency with a bootstrap interval for one look; None where
            a version has fewer than 20 answers.
        agreement: Mean agreement of the answers on the same images, 0 to 1, its interval for one look, and the
            number of images; None where both answered no image.
    """

    task: str
    since: datetime
    confidence: float
    first: Arm
    second: Arm
    gain: Interval
    verdict: Verdict
    slower_ms: Interval | None
    agreement: tuple[Interval, int] | None


def compare(
    engine: sa.Engine,
    *,
    task: str,
    first: tuple[str, str],
    second: tuple[str, str],
    since: datetime | None = None,
    confidence: float = 0.95,
    suspects: Sequence[SuspectKey] = (),
) -> AbReport:
    """Compare two versions by what is stored since a moment.

    Args:
        engine: The prediction store's database.
        task: The task.
        first: Version and digest of the one that is there.
        second: Version and digest of the one that might replace it.
        since: Earliest answer, included; None begins with the second's first one. The bounds of the gain hold at all
            looks that share a start, as those without one do: a start that moves along forgets what spoke against it.
        confidence: In (0, 1).
        suspects: Keys whose words are left out.
    """
    with engine.connect() as connection:
        since = since or _first_answer(connection, task, second[1])
        arms, latencies = [], []
        for version, digest in (first, second):
            milliseconds = _latencies(connection, task, digest, since)
            judged, disputed = _judged(connection, task, digest, since, suspects)
            latencies.append(milliseconds)
            arms.append(
                Arm(
                    version=version,
                    digest=digest,
                    answers=_answers(connection, task, digest, since),
                    judged=judged,
                    disputed=disputed,
                    p50_ms=_percentile(milliseconds, 50),
                    p95_ms=_percentile(milliseconds, 95),
                )
            )
        agreement = _agreement(connection, first[1], second[1], since, confidence)
    lower, upper = difference_bounds(arms[0].judged, arms[1].judged, confidence=confidence)
    return AbReport(
        task=task,
        since=since,
        confidence=confidence,
        first=arms[0],
        second=arms[1],
        gain=Interval(
            mean=arms[1].judged.share - arms[0].judged.share, lower=lower, upper=upper, confidence=confidence
        ),
        verdict="better" if lower > 0 else "worse" if upper < 0 else "undecided",
        slower_ms=_slower(latencies[0], latencies[1], confidence),
        agreement=agreement,
    )


def _first_answer(connection: sa.Connection, task: str, digest: str) -> datetime:
    table = PREDICTIONS.c
    query = sa.select(sa.func.min(table.created_at)).where(table.task == task, table.digest == digest)
    return connection.scalar(query) or datetime.now(UTC)


def _answered(task: str, digest: str, since: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    table = PREDICTIONS.c
    return table.task == task, table.digest == digest, table.created_at >= since, table.variant != "shadow"


def _answers(connection: sa.Connection, task: str, digest: str, since: datetime) -> int:
    return connection.scalar(sa.select(sa.func.count()).where(*_answered(task, digest, since))) or 0


def _latencies(connection: sa.Connection, task: str, digest: str, since: datetime) -> Values:
    query = sa.select(PREDICTIONS.c.latency_ms).where(*_answered(task, digest, since))
    return np.array(connection.scalars(query.order_by(PREDICTIONS.c.created_at.desc()).limit(_MOST)).all(), np.float64)


def _judged(
    connection: sa.Connection, task: str, digest: str, since: datetime, suspects: Sequence[SuspectKey]
) -> tuple[Count, int]:
    query = (
        sa.select(FEEDBACK.c.prediction_id, FEEDBACK.c.verdict)
        .select_from(FEEDBACK.join(PREDICTIONS))
        .where(*_answered(task, digest, since), sa.not_(is_held_back(suspects)))
    )
    voices: dict[str, set[bool]] = {}
    for prediction, verdict in connection.execute(query):
        voices.setdefault(prediction, set()).add(verdict == "right")
    kinds = Counter(None if len(said) > 1 else said.pop() for said in voices.values())
    return Count(successes=kinds[True], trials=kinds[True] + kinds[False]), kinds[None]


def _agreement(
    connection: sa.Connection, first: str, second: str, since: datetime, confidence: float
) -> tuple[Interval, int] | None:
    """From the time one of them was the other's shadow: then both saw the same images."""
    query = (
        sa.select(COMPARISONS.c.agreement)
        .select_from(COMPARISONS.join(PREDICTIONS))
        .where(
            COMPARISONS.c.created_at >= since,
            sa.or_(
                sa.and_(PREDICTIONS.c.digest == first, COMPARISONS.c.digest == second),
                sa.and_(PREDICTIONS.c.digest == second, COMPARISONS.c.digest == first),
            ),
        )
    )
    values = np.array(
        connection.scalars(query.order_by(COMPARISONS.c.created_at.desc()).limit(_MOST)).all(), np.float64
    )
    if not len(values):
        return None
    if len(values) == 1:
        return Interval(mean=float(values[0]), lower=0.0, upper=1.0, confidence=confidence), 1
    return _bootstrap([values], np.mean, confidence), len(values)


def _slower(first: Values, second: Values, confidence: float) -> Interval | None:
    if min(len(first), len(second)) < 20:
        return None
    # The newest thousand: resampling tens of thousands would say the same and take seconds.
    return _bootstrap(
        [first[:1000], second[:1000]],
        lambda one, other, axis: np.percentile(other, 95, axis=axis) - np.percentile(one, 95, axis=axis),
        confidence,
    )


def _bootstrap(samples: Sequence[Values], statistic: Callable[..., Any], confidence: float) -> Interval:
    """Percentile interval (Efron and Tibshirani 1993, ch. 13), each sample drawn for itself."""
    rng = np.random.default_rng(0)
    rounds = [min(_ROUND, _RESAMPLES - start) for start in range(0, _RESAMPLES, _ROUND)]
    drawn = [
        statistic(*(values[rng.integers(0, len(values), (count, len(values)))] for values in samples), axis=-1)
        for count in rounds
    ]
    tail = 50.0 * (1.0 - confidence)
    lower, upper = np.percentile(np.concatenate(drawn), [tail, 100.0 - tail])
    mean = float(statistic(*samples, axis=-1))
    return Interval(mean=mean, lower=float(lower), upper=float(upper), confidence=confidence)


def _percentile(values: Values, percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else math.nan
