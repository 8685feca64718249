"""What the prediction store knows: how much was asked, how fast the answers were, and how right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa

from visionloop.monitoring.alerts.observations import Observation, span
from visionloop.monitoring.alerts.settings import RuleSettings
from visionloop.monitoring.alerts.store import AlertStore
from visionloop.monitoring.history.suspects import SuspectKey, is_held_back
from visionloop.monitoring.labelling.estimate import Judged, true_accuracy
from visionloop.monitoring.store.errors import store_errors
from visionloop.monitoring.store.tables import FEEDBACK, PREDICTIONS, SELECTIONS

_MOST = 10_000
"""Newest predictions looked at for a percentile or an accuracy; more would not move it and would cost."""
_BEFORE = 24
"""The class mix is compared with so many windows before."""


class TrafficSource:
    """By task: `traffic` (images answered), `latency_p99_ms`, `accuracy`, `class_mix`.

    Args:
        store: The database; the prediction store's own.
        tasks: Returns the tasks that are deployed; only they can lack traffic.
        public_url: Where people reach the service, for links.
        suspects: Returns the keys whose words on a task are left out.
    """

    signals = frozenset({"traffic", "latency_p99_ms", "accuracy", "class_mix"})

    def __init__(
        self,
        store: AlertStore,
        tasks: Callable[[], Iterable[str]],
        public_url: str,
        suspects: Callable[[str], Sequence[SuspectKey]] = lambda _: (),
    ) -> None:
        self._store, self._tasks, self._url, self._suspects = store, tasks, public_url, suspects
        self._named: list[str] = []

    def refresh(self, now: datetime) -> None:  # noqa: ARG002
        """Look up what is deployed."""
        self._named = []
        self._named = sorted(self._tasks())

    def observe(self, rule: RuleSettings, now: datetime) -> list[Observation]:
        """As `Source`."""
        look = {
            "traffic": self._traffic,
            "latency_p99_ms": self._latency,
            "accuracy": self._accuracy,
            "class_mix": self._class_mix,
        }[rule.signal]
        with store_errors(self._store.where, "read"), self._store.engine.connect() as connection:
            found = [look(connection, task, rule, now) for task in self._named]
        return [observation for observation in found if observation is not None]

    def _traffic(self, connection: sa.Connection, task: str, rule: RuleSettings, now: datetime) -> Observation | None:
        since = now - timedelta(seconds=rule.window_s)
        count = connection.scalar(sa.select(sa.func.count()).where(*_answered(task, since)))
        text = f"{count:,} images were answered in {span(rule.window_s)}"
        return Observation(value=float(count or 0), label=task, text=text, evidence=f"{self._url}/v1/models")

    def _latency(self, connection: sa.Connection, task: str, rule: RuleSettings, now: datetime) -> Observation | None:
        since = now - timedelta(seconds=rule.window_s)
        query = sa.select(PREDICTIONS.c.latency_ms).where(*_answered(task, since))
        values = connection.scalars(query.order_by(PREDICTIONS.c.created_at.desc()).limit(_MOST)).all()
        if len(values) < rule.min_count:
            return None
        p50, p99 = (float(value) for value in np.percentile(values, [50, 99]))
        text = f"one image in a hundred takes longer than {p99:,.0f} ms (median {p50:,.0f} ms, {len(values):,} images)"
        return Observation(value=p99, label=task, text=text, evidence=f"{self._url}/metrics")

    def _accuracy(self, connection: sa.Connection, task: str, rule: RuleSettings, now: datetime) -> Observation | None:
        since = now - timedelta(seconds=rule.window_s)
        newest = FEEDBACK.c.created_at.desc(), FEEDBACK.c.id.desc()
        joined = FEEDBACK.join(PREDICTIONS).outerjoin(SELECTIONS, SELECTIONS.c.prediction_id == PREDICTIONS.c.id)
        chosen = SELECTIONS.c.reason, SELECTIONS.c.draw, SELECTIONS.c.draw_images
        query = sa.select(FEEDBACK.c.prediction_id, FEEDBACK.c.verdict, *chosen).select_from(joined)
        counted = *_answered(task, since), sa.not_(is_held_back(self._suspects(task)))
        last: dict[str, Judged] = {}
        for id_, verdict, *why in connection.execute(query.where(*counted).order_by(*newest).limit(_MOST)):
            # Several people may judge one prediction: the last word counts.
            reason, draw, images = why
            judged = Judged(right=verdict == "right", reason=reason, draw=draw, draw_images=images)
            last.setdefault(id_, judged)
        found = true_accuracy(list(last.values()), at_least=rule.min_count)
        if found is None:
            return None
        # The edge nearest to the threshold: a few unlucky answers are no alert.
        value = found.interval.upper if rule.when == "below" else found.interval.lower
        return Observation(value=value, label=task, text=found.text(), evidence=f"{self._url}/v1/models")

    def _class_mix(self, connection: sa.Connection, task: str, rule: RuleSettings, now: datetime) -> Observation | None:
        since = now - timedelta(seconds=rule.window_s)
        recent = _classes(connection, task, since, None)
        before = _classes(connection, task, since - _BEFORE * timedelta(seconds=rule.window_s), since)
        if min(sum(recent.values()), sum(before.values())) < rule.min_count:
            return None
        gains = {name: recent[name] / sum(recent.values()) - _share(before, name) for name in recent}
        name = max(sorted(gains), key=lambda item: gains[item])
        now_share = recent[name] / sum(recent.values())
        text = (
            f"class {name!r} has {now_share:.1%} of the answers in {span(rule.window_s)}, "
            f"and had {_share(before, name):.1%} before"
        )
        return Observation(value=gains[name], label=task, text=text, evidence=f"{self._url}/metrics")


def _answered(task: str, since: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    table = PREDICTIONS.c
    return table.task == task, table.created_at >= since, table.variant != "shadow"


def _classes(connection: sa.Connection, task: str, since: datetime, until: datetime | None) -> dict[str, int]:
    table = PREDICTIONS.c
    where: list[Any] = [*_answered(task, since), table.top_class.is_not(None)]
    if until is not None:
        where.append(table.created_at < until)
    rows = connection.execute(sa.select(table.top_class, sa.func.count()).where(*where).group_by(table.top_class))
    return {str(name): int(count) for name, count in rows}


def _share(counts: dict[str, int], name: str) -> float:
    return counts.get(name, 0) / sum(counts.values())
