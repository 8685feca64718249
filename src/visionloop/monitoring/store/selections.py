"""What was chosen to be labelled: candidates for a choice, and choices with their reason and chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from visionloop.monitoring.store.errors import store_errors
from visionloop.monitoring.store.inserts import insert_into
from visionloop.monitoring.store.rows import utc
from visionloop.monitoring.store.tables import COMPARISONS, FEEDBACK, PREDICTIONS, SELECTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRow:
    """A prediction chosen to be labelled.

    Attributes:
        prediction_id: Of the prediction.
        task: Its task.
        chosen_at: When, with a time zone.
        day: Whose budget it takes from: the date in UTC.
        slot: Its place in that day's budget, from 0; None takes none, as of what was labelled before it was drawn.
        reason: Why.
        usefulness: 0 to 1, by that reason.
        draw: Of what was drawn by chance: the draw's name; else None, as are the next three.
        draw_images: Distinct images that the draw was made among.
        draw_size: How many of them were drawn; each had the chance draw_size / draw_images.
        draw_until: The latest of them; the next draw goes on behind it.
    """

    prediction_id: str
    task: str
    chosen_at: datetime
    day: str
    slot: int | None
    reason: str
    usefulness: float
    draw: str | None = None
    draw_images: int | None = None
    draw_size: int | None = None
    draw_until: datetime | None = None

    def __post_init__(self) -> None:
        utc(self.chosen_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An answer that might be chosen.

    Attributes:
        id: Of the prediction.
        created_at: When it was answered.
        image_sha256: Of its image.
        digest: Of the bundle that answered.
        result: JSON, as it was answered.
        embedding: A float16 array's bytes, or None.
        agreement: The least that another model agreed with it, 0 to 1; None where none was asked.
    """

    id: str
    created_at: datetime
    image_sha256: str
    digest: str
    result: Any
    embedding: bytes | None
    agreement: float | None


class Selections:
    """The part of the prediction store that a choice is made from, and kept in. Its errors are `StoreError`s."""

    def __init__(self, engine: sa.Engine, where: str) -> None:
        """On a migrated database; `PredictionStore.selections` has one."""
        self._engine, self._where = engine, where

    def candidates(self, *, task: str, limit: int) -> list[Candidate]:
        """The task's latest answers that nobody has judged and nobody has chosen, newest first."""
        table = PREDICTIONS.c
        least = sa.select(sa.func.min(COMPARISONS.c.agreement)).where(COMPARISONS.c.prediction_id == table.id)
        columns = [table[name] for name in ("id", "created_at", "image_sha256", "digest", "result", "embedding")]
        query = sa.select(*columns, least.scalar_subquery().label("agreement"))
        query = query.where(*_answered(task), ~_exists(FEEDBACK), ~_exists(SELECTIONS))
        return [Candidate(**row) for row in self._read(query.order_by(table.created_at.desc(), table.id).limit(limit))]

    def num_unjudged_images(self, *, task: str, limit: int) -> int:
        """How many images the task's latest answers that nobody has judged are about."""
        table = PREDICTIONS.c
        query = sa.select(table.image_sha256).where(*_answered(task), ~_exists(FEEDBACK))
        latest = query.order_by(table.created_at.desc(), table.id).limit(limit).subquery()
        [row] = self._read(sa.select(sa.func.count(latest.c.image_sha256.distinct()).label("images")))
        return int(row["images"])

    def answered_since(self, *, task: str, after: datetime | None, limit: int) -> list[dict[str, Any]]:
        """The task's latest answers after a moment, judged or not, newest first.

        Returns:
            Rows with `id`, `created_at`, `image_sha256`, `is_judged`, `is_chosen`.
        """
        table = PREDICTIONS.c
        known = _exists(FEEDBACK).label("is_judged"), _exists(SELECTIONS).label("is_chosen")
        query = sa.select(table.id, table.created_at, table.image_sha256, *known).where(*_answered(task))
        if after is not None:
            query = query.where(table.created_at > after)
        return self._read(query.order_by(table.created_at.desc(), table.id).limit(limit))

    def labelled(self, *, task: str, limit: int) -> list[dict[str, Any]]:
        """The task's answers that were judged last.

        Returns:
            Rows with `digest`, `result`, `embedding`, `verdict`, `label`.
        """
        table = PREDICTIONS.c
        query = (
            sa.select(table.digest, table.result, table.embedding, FEEDBACK.c.verdict, FEEDBACK.c.label)
            .select_from(FEEDBACK.join(PREDICTIONS))
            .where(*_answered(task))
            .order_by(FEEDBACK.c.created_at.desc(), FEEDBACK.c.id.desc())
        )
        return self._read(query.limit(limit))

    def drawn_until(self, *, task: str) -> datetime | None:
        """The latest answer that a draw was made among; None before the first draw."""
        rows = self._read(sa.select(sa.func.max(SELECTIONS.c.draw_until).label("at")).where(SELECTIONS.c.task == task))
        found: datetime | None = rows[0]["at"]
        return found

    def spent(self, *, task: str, day: str) -> int:
        """Slots of a day's budget that are taken."""
        query = sa.select(sa.func.max(SELECTIONS.c.slot).label("last")).where(
            SELECTIONS.c.task == task, SELECTIONS.c.day == day
        )
        last = self._read(query)[0]["last"]
        return 0 if last is None else int(last) + 1

    def waiting(self, *, task: str, since: datetime) -> list[dict[str, Any]]:
        """Chosen since a moment and judged by nobody: `id`, `image_sha256`, `reason`, `usefulness`; oldest first."""
        table, chosen = PREDICTIONS.c, SELECTIONS.c
        query = (
            sa.select(table.id, table.image_sha256, chosen.reason, chosen.usefulness)
            .select_from(SELECTIONS.join(PREDICTIONS))
            .where(chosen.task == task, chosen.chosen_at >= since, chosen.slot.is_not(None), ~_exists(FEEDBACK))
            .order_by(chosen.chosen_at, chosen.slot)
        )
        return self._read(query)

    def add(self, rows: Sequence[SelectionRow]) -> None:
        """Keep choices. A slot, or a prediction, that another worker has taken meanwhile stays as it is; but what was
        chosen before and is drawn by chance now is of the draw as well."""
        if not rows:
            return
        table = SELECTIONS
        of_draw = [row for row in rows if row.draw is not None]
        with store_errors(self._where, "written"), self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                # Two workers at it would wait for each other's rows. SQLite has one writer at a time anyway.
                connection.exec_driver_sql(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE")
            for row in rows:
                connection.execute(insert_into(table, self._engine).values(asdict(row)).on_conflict_do_nothing())
            for row in of_draw:
                drawn = {name: getattr(row, name) for name in ("draw", "draw_images", "draw_size", "draw_until")}
                connection.execute(
                    sa.update(table)
                    .where(table.c.prediction_id == row.prediction_id, table.c.draw.is_(None))
                    .values(drawn)
                )

    def _read(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        with store_errors(self._where, "read"), self._engine.connect() as connection:
            return [{str(name): value for name, value in row.items()} for row in connection.execute(query).mappings()]


def _answered(task: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Answers that somebody got."""
    return PREDICTIONS.c.task == task, PREDICTIONS.c.variant != "shadow"


def _exists(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.exists().where(table.c.prediction_id == PREDICTIONS.c.id)
