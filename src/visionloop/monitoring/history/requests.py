"""How requests ended over time: answered, refused, failed. Workers add what they counted; all of it is one sum."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from visionloop.monitoring.store.errors import store_errors
from visionloop.monitoring.store.inserts import insert_into
from visionloop.monitoring.store.tables import REQUEST_MINUTES

MINUTE_S = 60
_KEPT = timedelta(days=40)
"""The longest range shown is a month."""


class Ending(NamedTuple):
    """How a request ended, and when.

    Attributes:
        minute: Since 1970-01-01 UTC.
        status: Of HTTP.
        code: Of the problem document; empty where there was none.
    """

    minute: int
    status: int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endings:
    """Requests that ended in a stretch of time.

    Attributes:
        total: All of them.
        refused: With a status from 400 to 499: who asked could have known better.
        failed: With a status from 500.
        codes: Of those refused or failed, by the problem's code; those without one are not in it.
    """

    total: int = 0
    refused: int = 0
    failed: int = 0
    codes: Counter[str] = field(default_factory=Counter)


def add_endings(engine: sa.Engine, where: str, counts: Mapping[Ending, int], now: datetime) -> None:
    """Add what a worker counted to what all have; forgets what is older than 40 days.

    Args:
        engine: The prediction store's database.
        where: Its name for errors.
        counts: Of requests that are not in it yet.
        now: The clock.

    Raises:
        StoreError: the database cannot be written; then nothing is added.
    """
    if not counts:
        return
    rows = [
        {"start": _moment(one.minute), "status": one.status, "code": one.code, "num": num}
        for one, num in sorted(counts.items())
    ]
    table = REQUEST_MINUTES.c
    insert = insert_into(REQUEST_MINUTES, engine)
    added = insert.on_conflict_do_update(
        index_elements=["start", "status", "code"], set_={"num": table.num + insert.excluded.num}
    )
    with store_errors(where, "written"), engine.begin() as connection:
        connection.execute(added, rows)
        connection.execute(sa.delete(REQUEST_MINUTES).where(table.start < now - _KEPT))


def endings(engine: sa.Engine, where: str, edges: Sequence[datetime]) -> list[Endings]:
    """How the requests between each edge and the next ended.

    Args:
        engine: The prediction store's database.
        where: Its name for errors.
        edges: Rising, on full minutes.

    Raises:
        StoreError: the database cannot be read.
    """
    table = REQUEST_MINUTES.c
    query = sa.select(table.start, table.status, table.code, table.num).where(
        table.start >= edges[0], table.start < edges[-1]
    )
    totals, refused, failed = ([0] * (len(edges) - 1) for _ in range(3))
    codes: list[Counter[str]] = [Counter() for _ in edges[1:]]
    with store_errors(where, "read"), engine.connect() as connection:
        for start, status, code, num in connection.execute(query):
            index = bisect.bisect_right(edges, start) - 1
            totals[index] += num
            failed[index] += num if status >= 500 else 0
            refused[index] += num if 400 <= status < 500 else 0
            if code:
                codes[index][code] += num
    return [
        Endings(total=total, refused=no, failed=bad, codes=why)
        for total, no, bad, why in zip(totals, refused, failed, codes, strict=True)
    ]


def _moment(minute: int) -> datetime:
    return datetime.fromtimestamp(MINUTE_S * minute, UTC)
