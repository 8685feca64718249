"""Which versions of a task's models have answered, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from visionloop.monitoring.store.errors import store_errors
from visionloop.monitoring.store.tables import PREDICTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweringVersion:
    """A version that has answered.

    Attributes:
        version: Of the registered model.
        digest: Of its bundle.
        first_at: Its first stored answer.
        last_at: Its last.
        answers: Stored ones.
    """

    version: str
    digest: str
    first_at: datetime
    last_at: datetime
    answers: int


def answering_versions(engine: sa.Engine, where: str, task: str) -> list[AnsweringVersion]:
    """Those whose answers are still stored, the latest to answer first; shadows answer nobody.

    Raises:
        StoreError: the database cannot be read.
    """
    table = PREDICTIONS.c
    query = (
        sa.select(
            table.digest,
            sa.func.min(table.created_at, type_=table.created_at.type),
            sa.func.max(table.created_at, type_=table.created_at.type),
            sa.func.count(),
        )
        .where((table.task + "") == task, table.variant != "shadow")  # by digest, whose index has all of it
        .group_by(table.digest)
    )
    with store_errors(where, "read"), engine.connect() as connection:
        found = [
            AnsweringVersion(
                version=connection.scalar(sa.select(table.version).where(table.digest == digest).limit(1)) or "",
                digest=digest,
                first_at=first,
                last_at=last,
                answers=count,
            )
            for digest, first, last, count in connection.execute(query).all()
        ]
    return sorted(found, key=lambda one: one.last_at, reverse=True)
