"""The store as the rest of the program uses it: log, look up, count, prune."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store.deletions import Deletions
from visionloop.monitoring.store.engine import open_engine
from visionloop.monitoring.store.errors import (
    breaks_constraint,
    reason_of,
    row_is_unfit,
    store_errors,
    unavailable,
)
from visionloop.monitoring.store.inserts import insert_into, insert_missing
from visionloop.monitoring.store.reader import StoreReader, plain
from visionloop.monitoring.store.rows import (
    ComparisonRow,
    FeedbackRow,
    PredictionRow,
    Row,
    as_stored,
    values_of,
)
from visionloop.monitoring.store.selections import Selections
from visionloop.monitoring.store.tables import COMPARISONS, FEEDBACK, PREDICTIONS
from visionloop.monitoring.store.writer import Writer

_log = logging.getLogger(__name__)

_PRUNE_CHUNK = 1000
_SLICE = 20
"""Rows that are brought into the database's form at a stretch: about a millisecond."""
_PAUSE_S = 0.0002

_T = TypeVar("_T")


class PredictionStore(StoreReader):
    """Predictions, feedback and comparisons in a database; one instance in each process, for all its threads.

    `log` and `log_comparison` may be called on an event loop; everything else waits for the database.

    Attributes:
        selections: What was chosen to be labelled.
        deletions: What a person does not want kept.
    """

    def __init__(self, engine: sa.Engine, settings: StoreSettings, where: str) -> None:
        """Start the writer on a migrated database; use `open`."""
        super().__init__(engine, where)
        self._settings = settings
        self._writer = Writer(self._save, settings)
        self.selections = Selections(engine, where)
        self.deletions = Deletions(engine, where)

    @classmethod
    def open(cls, settings: StoreSettings, root: Path) -> Self:
        """Open the database; creates or migrates it where needed, one process at a time.

        Args:
            settings: Where, and how much may wait in memory.
            root: The project's folder, for a relative SQLite path.

        Raises:
            StoreError: the URL is no such database, it cannot be used, or a newer version made it.
        """
        engine, where = open_engine(settings, root)
        return cls(engine, settings, where)

    @property
    def database(self) -> tuple[sa.Engine, str]:
        """The database and its name for errors, for those who only count."""
        return self._engine, self._where

    @property
    def pending(self) -> int:
        """Rows in memory, not yet in the database."""
        return self._writer.pending

    @property
    def written(self) -> int:
        """Rows this process has written through `log` and `log_comparison`."""
        return self._writer.written

    @property
    def dropped(self) -> int:
        """Rows this process has lost: the queue was full, the database was away, or the row was unfit."""
        return self._writer.refused + self._writer.lost

    def log(self, row: PredictionRow) -> None:
        """Hand over a prediction; never waits for the database and never raises."""
        self._writer.put(row)

    def log_comparison(self, row: ComparisonRow) -> None:
        """Hand over a comparison, after the prediction it belongs to; never waits and never raises."""
        self._writer.put(row)

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until what is pending now has been written.

        Returns:
            False when that took longer than `timeout_s`, or rows were lost meanwhile.
        """
        return self._writer.flush(timeout_s)

    def close(self) -> None:
        """Write what is pending, for at most five seconds; what then remains is dropped."""
        self._writer.close()
        self._engine.dispose()

    def prediction(self, id: str) -> dict[str, Any] | None:
        """The prediction with its `feedback`, a list with the oldest first; None when the id is unknown.

        An id this process does not know is looked for again after twice `flush_s`: another worker
        may hold it in memory.

        Raises:
            StoreError: the database cannot be read.
        """
        with store_errors(self._where, "read"):
            return self._twice(lambda: self._find(id))

    def image_of(self, id: str) -> str | None:
        """The SHA-256 of a stored prediction's image; None when the id is unknown.

        Raises:
            StoreError: the database cannot be read.
        """
        query = sa.select(PREDICTIONS.c.image_sha256).where(PREDICTIONS.c.id == id)
        with store_errors(self._where, "read"), self._engine.connect() as connection:
            return connection.scalar(query)

    def add_feedback(self, row: FeedbackRow) -> bool:
        """Commit feedback; the same key's earlier feedback on this prediction is replaced.

        Returns:
            False when the prediction is unknown, also to a second look after twice `flush_s`.

        Raises:
            StoreError: the database cannot be written.
        """
        if self._writer.waiting(row.prediction_id):
            self.flush(self._settings.timeout_s)
            if self._writer.waiting(row.prediction_id):
                raise unavailable(self._where, "written", "its prediction is still waiting to be written")
        with store_errors(self._where, "written"):
            return self._twice(lambda: self._replace_feedback(row))

    def remove_feedback(self, prediction_id: str, key_id: str | None) -> bool:
        """Take back what a key said of a prediction.

        Returns:
            False when it has said nothing.

        Raises:
            StoreError: the database cannot be written.
        """
        said = (FEEDBACK.c.prediction_id == prediction_id, FEEDBACK.c.key_id == (key_id or ""))
        with store_errors(self._where, "written"), self._engine.begin() as connection:
            return connection.execute(sa.delete(FEEDBACK).where(*said)).rowcount > 0

    def prune(self, now: datetime) -> int:
        """Delete the predictions older than `retention_days`, with their feedback and comparisons.

        Returns:
            Number of predictions deleted.

        Raises:
            StoreError: the database cannot be written.
        """
        limit = now - timedelta(days=self._settings.retention_days)
        with store_errors(self._where, "written"):
            with self._engine.connect() as connection:
                tasks = connection.scalars(sa.select(PREDICTIONS.c.task).distinct()).all()
            # Task by task, because that is what the index begins with.
            return sum(self._prune_task(task, limit) for task in tasks)

    def _prune_task(self, task: str, limit: datetime) -> int:
        table = PREDICTIONS.c
        old = sa.select(table.id).where(table.task == task, table.created_at < limit).limit(_PRUNE_CHUNK)
        total = 0
        while True:
            with self._engine.begin() as connection:
                deleted = connection.execute(sa.delete(PREDICTIONS).where(table.id.in_(old))).rowcount
            total += deleted
            if deleted < _PRUNE_CHUNK:
                return total
            time.sleep(0.01)  # let the writers in: SQLite has no queue for its lock

    def _twice(self, look: Callable[[], _T]) -> _T:
        found = look()
        if not found:
            time.sleep(2 * self._settings.flush_s)
            found = look()
        return found

    def _find(self, id: str) -> dict[str, Any] | None:
        # Memory first: a row leaves it only when it is in the database.
        if (row := self._writer.waiting(id)) is not None:
            return as_stored(row) | {"feedback": []}
        said = sa.select(FEEDBACK).where(FEEDBACK.c.prediction_id == id)
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(PREDICTIONS).where(PREDICTIONS.c.id == id)).mappings().first()
            if found is None:
                return None
            feedback = connection.execute(said.order_by(FEEDBACK.c.created_at, FEEDBACK.c.id)).mappings().all()
        return plain(found) | {"feedback": [plain(item) | {"key_id": item["key_id"] or None} for item in feedback]}

    def _replace_feedback(self, row: FeedbackRow) -> bool:
        values = values_of(row) | {"key_id": row.key_id or ""}
        replaced = {name: values[name] for name in ("created_at", "verdict", "label", "note")}
        statement = insert_into(FEEDBACK, self._engine).values(values)
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    statement.on_conflict_do_update(index_elements=["prediction_id", "key_id"], set_=replaced)
                )
        except exc.DBAPIError as error:
            if breaks_constraint(error):
                return False  # the foreign key: every other constraint is kept by the row and by the update
            raise
        return True

    def _save(self, rows: list[Row]) -> int:
        """Write a batch; returns how many rows of it are unfit. Raises what the database's state causes."""
        try:
            self._write(rows)
        except Exception as error:
            if not row_is_unfit(error):
                raise
            if len(rows) > 1:
                return sum(self._save([row]) for row in rows)
            _log.warning("the prediction store refuses a row: %s", reason_of(error))
            return 1
        return 0

    def _write(self, rows: list[Row]) -> None:
        groups: tuple[tuple[sa.Table, type[Row]], ...] = ((PREDICTIONS, PredictionRow), (COMPARISONS, ComparisonRow))
        with self._engine.begin() as connection:
            for table, kind in groups:
                chosen = [row for row in rows if isinstance(row, kind)]
                for start in range(0, len(chosen), _SLICE):
                    # A batch that is tried again may have been committed the first time.
                    insert_missing(connection, table, [values_of(row) for row in chosen[start : start + _SLICE]])
                    # Threads that answer requests wait for the interpreter for as long as this one computes.
                    time.sleep(_PAUSE_S)
