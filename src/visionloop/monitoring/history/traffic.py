"""Traffic over time, counted by the database; hours that are over are counted once and kept."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from visionloop.monitoring.history.counts import CONFIDENCE_EDGES, LATENCY_EDGES_MS, Counts
from visionloop.monitoring.store.errors import StoreError, store_errors
from visionloop.monitoring.store.inserts import insert_into
from visionloop.monitoring.store.tables import PREDICTIONS, TRAFFIC_HOURS

HOUR = timedelta(hours=1)
_SETTLED = timedelta(minutes=10)
"""A worker that cannot write gives up long before: what is older than that is in the database."""
_KEPT = timedelta(days=40)
"""Hours counted longer ago are of no use."""


class TrafficHistory:
    """Reads, and remembers, what was answered in the past.

    Args:
        engine: The prediction store's database.
        where: Its name for errors.
    """

    def __init__(self, engine: sa.Engine, where: str) -> None:
        self._engine, self._where = engine, where

    def buckets(self, task: str, edges: Sequence[datetime], now: datetime) -> list[Counts]:
        """Counts between each edge and the next.

        Args:
            task: Name of the task.
            edges: Rising. Where all are full hours, hours that are over are counted once, and kept.
            now: The clock.

        Raises:
            StoreError: the database cannot be read.
        """
        spans = list(itertools.pairwise(edges))
        with store_errors(self._where, "read"), self._engine.connect() as connection:
            if any(edge.timestamp() % HOUR.total_seconds() for edge in edges):
                return [_count(connection, task, since, until) for since, until in spans]
            hours = self._hours(connection, task, edges[0], edges[-1], now)
        return [Counts.merged(hours[start] for start in _hours_in(since, until)) for since, until in spans]

    def _hours(
        self, connection: sa.Connection, task: str, since: datetime, until: datetime, now: datetime
    ) -> dict[datetime, Counts]:
        first = _first(connection, task, since, until)
        if first is None:
            return dict.fromkeys(_hours_in(since, until), _NONE)
        # Hours before the first answer have none; a month of them would cost as much as a month of traffic.
        hours = [start for start in _hours_in(since, until) if start + HOUR > first]
        over = [start for start in hours if start + HOUR + _SETTLED <= now]
        kept = self._kept(connection, task, since, until)
        new = {start: _count(connection, task, start, start + HOUR) for start in over if start not in kept}
        known = {start: kept[start] for start in over if start in kept} | new
        if known and _total(connection, task, since, over[-1] + HOUR) != sum(part.total for part in known.values()):
            # Predictions were deleted, or came late: their hours are counted again.
            stale = [s for s in over if s not in new and _total(connection, task, s, s + HOUR) != known[s].total]
            new |= {start: _count(connection, task, start, start + HOUR) for start in stale}
            known |= new
        with contextlib.suppress(StoreError):
            self._keep(task, new, now)
        rest = [start for start in hours if start not in known]
        counted = known | {start: _count(connection, task, start, start + HOUR) for start in rest}
        return dict.fromkeys(_hours_in(since, until), _NONE) | counted

    def _kept(self, connection: sa.Connection, task: str, since: datetime, until: datetime) -> dict[datetime, Counts]:
        table = TRAFFIC_HOURS.c
        query = sa.select(table.start, table.counts).where(
            table.task == task, table.start >= since, table.start < until
        )
        found: dict[datetime, Counts] = {}
        for start, record in connection.execute(query):
            # What another version counted by other bins is counted again.
            with contextlib.suppress(KeyError, TypeError, ValueError):
                counts = Counts.from_record(record)
                if (len(counts.confidence), len(counts.latency)) == (len(_NONE.confidence), len(_NONE.latency)):
                    found[start] = counts
        return found

    def _keep(self, task: str, hours: dict[datetime, Counts], now: datetime) -> None:
        if not hours:
            return
        rows = [
            {"task": task, "start": start, "total": counts.total, "counts": counts.to_record()}
            for start, counts in hours.items()
        ]
        statement = insert_into(TRAFFIC_HOURS, self._engine)
        replaced = {name: statement.excluded[name] for name in ("total", "counts")}
        with store_errors(self._where, "written"), self._engine.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["task", "start"], set_=replaced), rows)
            connection.execute(sa.delete(TRAFFIC_HOURS).where(TRAFFIC_HOURS.c.start < now - _KEPT))


_NONE = Counts()


def bin_of(column: sa.Column[Any], edges: Sequence[float]) -> sa.ColumnElement[int]:
    """Which bin between edges a number is in; in a few comparisons, and in the words of every database."""

    def tree(low: int, high: int) -> str:
        if low == high:
            return str(low)
        middle = (low + high) // 2
        return f"CASE WHEN {column.name} < {edges[middle]!r} THEN {tree(low, middle)} ELSE {tree(middle + 1, high)} END"

    return sa.literal_column(tree(0, len(edges)), sa.Integer)


def answered(task: str, since: datetime, until: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """Answers of a task that somebody got, in a stretch of time."""
    table = PREDICTIONS.c
    return table.task == task, table.created_at >= since, table.created_at < until, table.variant != "shadow"


def _hours_in(since: datetime, until: datetime) -> list[datetime]:
    first = since.astimezone(UTC)
    return [first + index * HOUR for index in range(int((until - since) / HOUR))]


def _first(connection: sa.Connection, task: str, since: datetime, until: datetime) -> datetime | None:
    column = PREDICTIONS.c.created_at
    first: datetime | None = connection.scalar(
        sa.select(sa.func.min(column, type_=column.type)).where(*answered(task, since, until))
    )
    return first


def _total(connection: sa.Connection, task: str, since: datetime, until: datetime) -> int:
    query = sa.select(sa.func.count()).select_from(PREDICTIONS).where(*answered(task, since, until))
    return int(connection.scalar(query) or 0)


def _count(connection: sa.Connection, task: str, since: datetime, until: datetime) -> Counts:
    table = PREDICTIONS.c
    where = answered(task, since, until)
    nobody, zero = sa.cast(sa.null(), sa.Text), sa.literal_column("0", sa.Integer)

    def named(kind: str, column: sa.Column[Any]) -> sa.Select[Any]:
        what = (sa.literal_column(f"'{kind}'", sa.Text).label("kind"), column.label("name"), zero.label("bin"))
        return sa.select(*what, sa.func.count().label("num")).where(*where).group_by(column)

    def binned(kind: str, column: sa.Column[Any], edges: Sequence[float]) -> sa.Select[Any]:
        bins = sa.select(bin_of(column, edges).label("bin")).where(*where, column.is_not(None)).subquery()
        what = (sa.literal_column(f"'{kind}'", sa.Text).label("kind"), nobody.label("name"), bins.c.bin)
        return sa.select(*what, sa.func.count().label("num")).group_by(bins.c.bin)

    query = sa.union_all(
        named("version", table.version),
        named("class", table.top_class),
        binned("confidence", table.confidence, CONFIDENCE_EDGES),
        binned("latency", table.latency_ms, LATENCY_EDGES_MS),
    )
    names: dict[str, Counter[str]] = {"version": Counter(), "class": Counter()}
    bins = {"confidence": list(_NONE.confidence), "latency": list(_NONE.latency)}
    nothing = 0
    for kind, name, index, num in connection.execute(query):
        if kind in bins:
            bins[kind][index] += num
        elif name is None:
            nothing = num
        else:
            names[kind][name] = num
    return Counts(
        versions=names["version"],
        classes=names["class"],
        nothing=nothing,
        confidence=tuple(bins["confidence"]),
        latency=tuple(bins["latency"]),
    )
