"""How often answers were right, by what people said of them, corrected for which answers people looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from visionloop.evaluation.statistics import Interval, score_interval, wilson_interval
from visionloop.monitoring.history.counts import CONFIDENCE_EDGES, Counts
from visionloop.monitoring.history.suspects import SuspectKey, is_held_back
from visionloop.monitoring.history.traffic import bin_of
from visionloop.monitoring.labelling.estimate import Judged, TrueAccuracy, true_accuracy
from visionloop.monitoring.store.errors import store_errors
from visionloop.monitoring.store.tables import FEEDBACK, PREDICTIONS, SELECTIONS

NUM_STRATA = len(CONFIDENCE_EDGES) + 2
"""Bins of confidence, and one for answers that found nothing."""
_LEAST = 5
"""Judged answers that a stratum needs; fewer join their neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgements:
    """What people said of the answers of a stretch of time.

    Attributes:
        judged: Answers judged with one voice, by stratum.
        right: Of these, those that were right.
        disputed: Answers that people judged differently; they count for neither.
        held: Words of suspicious keys on these answers; they count for nothing.
    """

    judged: tuple[int, ...] = (0,) * NUM_STRATA
    right: tuple[int, ...] = (0,) * NUM_STRATA
    disputed: int = 0
    held: int = 0

    @property
    def total(self) -> int:
        """Judged answers."""
        return sum(self.judged)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackAccuracy:
    """Share of right answers.

    Attributes:
        corrected: As it probably is over all answers, with its interval.
        judged_alone: Among the judged answers, as they are.
        num_judged: Of them.
        num_right: Of them.
        num_disputed: Answers that people judged differently.
        num_strata: Groups of confidence that were weighed; 1 where there are too few judged answers for more, and
            then nothing is corrected.
    """

    corrected: Interval
    judged_alone: Interval
    num_judged: int
    num_right: int
    num_disputed: int
    num_strata: int


def feedback_accuracy(traffic: Counts, said: Judgements, *, confidence: float = 0.95) -> FeedbackAccuracy | None:
    """The share of right answers among all, estimated from those that were judged; None where none was.

    People are asked about the answers of which the model is least sure, so the judged ones are wrong more often than
    all are. Post-stratification (Holt and Smith, "Post stratification", JRSS A 142, 1979) weighs each group of
    confidence by its share of the traffic. It corrects for a choice by confidence and for no other, such as by
    novelty; `drawn_accuracy` needs no correction, where enough was drawn by chance. The interval is Wilson's, of as
    many trials as have the variance of the weighted mean, at most those that there were.

    Args:
        traffic: All answers of the time.
        said: What was said of some.
        confidence: Of the interval.
    """
    if not said.total:
        return None
    groups = _groups([*traffic.confidence, traffic.nothing], said)
    weighed = sum(size for size, _, _ in groups)
    # Answers that are deleted, or not written yet, have no weight; then each judged one counts the same.
    weights = [(size / weighed) if weighed else judged / said.total for size, judged, _ in groups]
    mean = sum(weight * right / judged for weight, (_, judged, right) in zip(weights, groups, strict=True))
    smooth = [(right + 0.5) / (judged + 1) for _, judged, right in groups]
    centre = sum(weight * share for weight, share in zip(weights, smooth, strict=True))
    variance = sum(
        weight**2 * share * (1 - share) / judged
        for weight, share, (_, judged, _) in zip(weights, smooth, groups, strict=True)
    )
    trials = min(centre * (1 - centre) / variance, float(said.total))
    return FeedbackAccuracy(
        corrected=score_interval(min(1.0, max(0.0, mean)), trials, confidence=confidence),
        judged_alone=wilson_interval(sum(said.right), said.total, confidence=confidence),
        num_judged=said.total,
        num_right=sum(said.right),
        num_disputed=said.disputed,
        num_strata=len(groups),
    )


def _groups(sizes: Sequence[int], said: Judgements) -> list[tuple[int, int, int]]:
    """Answers, judged and right ones of neighbouring strata that together have enough judged ones."""
    groups: list[tuple[int, int, int]] = []
    size = judged = right = 0
    for stratum in range(NUM_STRATA):
        size, judged, right = size + sizes[stratum], judged + said.judged[stratum], right + said.right[stratum]
        if judged >= _LEAST:
            groups.append((size, judged, right))
            size = judged = right = 0
    if size or judged:
        before = groups.pop() if groups else (0, 0, 0)
        groups.append((before[0] + size, before[1] + judged, before[2] + right))
    return groups


def judgements(
    engine: sa.Engine, where: str, task: str, edges: Sequence[datetime], suspects: Sequence[SuspectKey] = ()
) -> list[Judgements]:
    """What was said of the answers between each edge and the next, whenever it was said.

    Args:
        engine: The prediction store's database.
        where: Its name for errors.
        task: Name of the task.
        edges: Rising.
        suspects: Keys whose words are held back.

    Raises:
        StoreError: the database cannot be read.
    """
    is_held = is_held_back(suspects)
    right = sa.case((is_held, None), (FEEDBACK.c.verdict == "right", 1), else_=0)
    words = (
        sa.select(
            FEEDBACK.c.prediction_id.label("id"),
            sa.func.min(right).label("least"),
            sa.func.max(right).label("most"),
            sa.func.sum(sa.case((is_held, 1), else_=0)).label("held"),
        )
        .where(FEEDBACK.c.created_at >= edges[0])
        .group_by(FEEDBACK.c.prediction_id)
        .subquery()
    )
    table = PREDICTIONS.c
    stratum = sa.case((table.confidence.is_(None), NUM_STRATA - 1), else_=bin_of(table.confidence, CONFIDENCE_EDGES))
    rows = (
        sa.select(
            _bucket_of(table.created_at, edges).label("bucket"),
            stratum.label("stratum"),
            words.c.least,
            words.c.most,
            words.c.held,
        )
        .select_from(words.join(PREDICTIONS, table.id == words.c.id))
        # An index by time would find all answers of the time, and then the few that somebody spoke of: a thousand
        # times as many. Said this way, the database looks up each that somebody spoke of.
        .where((table.task + "") == task, table.variant != "shadow")
        .subquery()
    )
    query = sa.select(rows, sa.func.count()).group_by(*rows.c)
    judged = [[0] * NUM_STRATA for _ in edges[1:]]
    good = [[0] * NUM_STRATA for _ in edges[1:]]
    disputed, held = [0] * len(judged), [0] * len(judged)
    with store_errors(where, "read"), engine.connect() as connection:
        for bucket, index, least, most, num_held, count in connection.execute(query):
            if not 0 <= bucket < len(judged):
                continue
            held[bucket] += num_held * count
            if least is None:
                continue
            if least != most:
                disputed[bucket] += count
            else:
                judged[bucket][index] += count
                good[bucket][index] += count * least
    return [
        Judgements(judged=tuple(ones), right=tuple(rights), disputed=split, held=left)
        for ones, rights, split, left in zip(judged, good, disputed, held, strict=True)
    ]


def drawn_accuracy(
    engine: sa.Engine,
    where: str,
    task: str,
    since: datetime,
    until: datetime,
    *,
    at_least: int = 30,
    suspects: Sequence[SuspectKey] = (),
) -> TrueAccuracy | None:
    """By the judged answers of that time that were drawn by chance, as alerts go by; None with fewer than `at_least`.

    Words of `suspects` are left out.

    Raises:
        StoreError: the database cannot be read.
    """
    table = PREDICTIONS.c
    joined = SELECTIONS.join(PREDICTIONS, table.id == SELECTIONS.c.prediction_id)
    newest = FEEDBACK.c.created_at.desc(), FEEDBACK.c.id.desc()
    query = (
        sa.select(FEEDBACK.c.prediction_id, FEEDBACK.c.verdict, SELECTIONS.c.draw, SELECTIONS.c.draw_images)
        .select_from(joined.join(FEEDBACK, FEEDBACK.c.prediction_id == table.id))
        .where(SELECTIONS.c.task == task, SELECTIONS.c.draw.is_not(None), table.variant != "shadow")
        .where(table.created_at >= since, table.created_at < until, sa.not_(is_held_back(suspects)))
    )
    last: dict[str, Judged] = {}
    with store_errors(where, "read"), engine.connect() as connection:
        for id_, verdict, draw, images in connection.execute(query.order_by(*newest)):
            last.setdefault(id_, Judged(right=verdict == "right", reason="random", draw=draw, draw_images=images))
    return true_accuracy(list(last.values()), at_least=at_least)


def merged_judgements(parts: Sequence[Judgements]) -> Judgements:
    """The sum."""
    return Judgements(
        judged=tuple(map(sum, zip(*(part.judged for part in parts), strict=True))),
        right=tuple(map(sum, zip(*(part.right for part in parts), strict=True))),
        disputed=sum(part.disputed for part in parts),
        held=sum(part.held for part in parts),
    )


def _bucket_of(column: sa.Column[datetime], edges: Sequence[datetime]) -> sa.ColumnElement[int]:
    """Which pair of edges a time lies between; -1 before the first, the number of pairs after the last."""

    def tree(low: int, high: int) -> sa.ColumnElement[int]:
        if low == high:
            return sa.literal_column(str(low - 1), sa.Integer)
        middle = (low + high) // 2
        return sa.case((column < edges[middle], tree(low, middle)), else_=tree(middle + 1, high))

    return tree(0, len(edges))
