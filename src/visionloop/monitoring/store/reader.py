"""What is asked of stored rows: pages of them, the latest, counts, and what was said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, get_args

import sqlalchemy as sa

from visionloop.monitoring.store.errors import store_errors
from visionloop.monitoring.store.listing import Place, PredictionFilter, feedback_query, page_query
from visionloop.monitoring.store.rows import Verdict
from visionloop.monitoring.store.tables import COMPARISONS, FEEDBACK, PREDICTIONS, SELECTIONS


class StoreReader:
    """Reads a migrated database; what still waits in a writer's memory it does not see."""

    def __init__(self, engine: sa.Engine, where: str) -> None:
        """`where` is its name for errors."""
        self._engine, self._where = engine, where

    def page(self, wanted: PredictionFilter, *, after: Place | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Stored answers that fit, newest first, each as `prediction` gives it; those still in memory are left out.

        Args:
            wanted: Which.
            after: Where the page before ended.
            limit: Most rows.

        Raises:
            StoreError: the database cannot be read.
        """
        return self._with_feedback(self._read(page_query(wanted, after, limit)))

    def predictions(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Those of some predictions that are in the database, by id, each as `prediction` gives it.

        Raises:
            StoreError: the database cannot be read.
        """
        rows = self._read(sa.select(PREDICTIONS).where(PREDICTIONS.c.id.in_(ids))) if ids else []
        return {row["id"]: row for row in self._with_feedback(rows)}

    def recent(
        self,
        *,
        task: str,
        since: datetime,
        until: datetime | None = None,
        digest: str | None = None,
        limit: int = 10_000,
    ) -> list[dict[str, Any]]:
        """Stored predictions of a task, newest first, in every variant.

        Args:
            task: Name of the task.
            since: Earliest, included.
            until: Latest, excluded.
            digest: Only this bundle's.
            limit: Most rows.

        Raises:
            StoreError: the database cannot be read.
        """
        table = PREDICTIONS.c
        query = sa.select(PREDICTIONS).where(table.task == task, table.created_at >= since)
        if until is not None:
            query = query.where(table.created_at < until)
        if digest is not None:
            query = query.where(table.digest == digest)
        return self._read(query.order_by(table.created_at.desc(), table.id).limit(limit))

    def measured(
        self, *, digest: str, since: datetime, until: datetime, limit: int = 10_000
    ) -> tuple[list[dict[str, Any]], int]:
        """What drift is seen by: the latest predictions of a bundle that were measured, oldest first.

        Args:
            digest: Of the bundle.
            since: Earliest, included.
            until: Latest, excluded.
            limit: Most rows.

        Returns:
            Of each what drift needs (not `result`, the largest column); and how many of the bundle's predictions,
            measured or not, are as late as the first of them.

        Raises:
            StoreError: the database cannot be read.
        """
        table = PREDICTIONS.c
        of_bundle = (table.digest == digest, table.created_at >= since, table.created_at < until)
        wanted = ("id", "created_at", "key_id", "image_sha256", "top_class", "confidence", "features", "embedding")
        chosen = [table[name] for name in wanted]
        query = (
            sa.select(*chosen)
            .where(*of_bundle, table.features.is_not(None))
            .order_by(table.created_at.desc(), table.id.desc())
            .limit(limit)
        )
        with store_errors(self._where, "read"), self._engine.connect() as connection:
            rows = [plain(row) for row in connection.execute(query).mappings()][::-1]
        first = rows[0]["created_at"] if len(rows) == limit else since
        return rows, self.count_since(digest=digest, since=first) - self.count_since(digest=digest, since=until)

    def count_since(self, *, digest: str, since: datetime) -> int:
        """Predictions of a bundle from `since` on, included.

        Raises:
            StoreError: the database cannot be read.
        """
        table = PREDICTIONS.c
        query = sa.select(sa.func.count()).select_from(PREDICTIONS)
        with store_errors(self._where, "read"), self._engine.connect() as connection:
            return int(connection.scalar(query.where(table.digest == digest, table.created_at >= since)) or 0)

    def comparisons(self, *, digest: str, since: datetime, limit: int = 10_000) -> list[dict[str, Any]]:
        """Comparisons with the shadow `digest` since `since` (included), newest first.

        Raises:
            StoreError: the database cannot be read.
        """
        table = COMPARISONS.c
        query = sa.select(COMPARISONS).where(table.digest == digest, table.created_at >= since)
        return self._read(query.order_by(table.created_at.desc(), table.prediction_id).limit(limit))

    def counts(self, *, task: str, since: datetime) -> dict[str, Any]:
        """How often what was answered since `since`; a shadow's predictions answer nobody and are left out.

        Returns:
            `total`; `by_class` without predictions that found nothing; `by_version`; and `feedback`,
            by verdict, on these predictions.

        Raises:
            StoreError: the database cannot be read.
        """
        table = PREDICTIONS.c
        answered = (table.task == task, table.created_at >= since, table.variant != "shadow")

        def grouped(column: sa.ColumnElement[Any], source: sa.FromClause = PREDICTIONS) -> dict[str, int]:
            query = sa.select(column, sa.func.count()).select_from(source).where(*answered).group_by(column)
            return {name: count for name, count in connection.execute(query.order_by(column)) if name is not None}

        with store_errors(self._where, "read"), self._engine.connect() as connection:
            by_version = grouped(table.version)
            verdicts = grouped(FEEDBACK.c.verdict, FEEDBACK.join(PREDICTIONS))
            return {
                "total": sum(by_version.values()),
                "by_class": grouped(table.top_class),
                "by_version": by_version,
                "feedback": {verdict: verdicts.get(verdict, 0) for verdict in get_args(Verdict)},
            }

    def judged(self, *, task: str, since: datetime | None = None) -> list[dict[str, Any]]:
        """Everything said about a task's answers, oldest first; a shadow's answers reached nobody.

        Args:
            task: Name of the task.
            since: Only what was said from then on.

        Returns:
            Rows with `prediction_id`, `created_at` (of the word), `verdict`, `label`, `key_id` (empty for nobody), and
            the answer's `image_sha256`, `width`, `height`, `digest`, `result`, `confidence`; and, where it was chosen
            to be labelled, `reason`, `draw`, `draw_images`, else None.

        Raises:
            StoreError: the database cannot be read.
        """
        said = [FEEDBACK.c[name] for name in ("prediction_id", "created_at", "verdict", "label", "key_id")]
        answer = [PREDICTIONS.c[name] for name in ("image_sha256", "width", "height", "digest", "result", "confidence")]
        chosen = [SELECTIONS.c[name] for name in ("reason", "draw", "draw_images")]
        joined = FEEDBACK.join(PREDICTIONS).outerjoin(SELECTIONS, SELECTIONS.c.prediction_id == PREDICTIONS.c.id)
        query = sa.select(*said, *answer, *chosen).select_from(joined)
        query = query.where(PREDICTIONS.c.task == task, PREDICTIONS.c.variant != "shadow")
        if since is not None:
            query = query.where(FEEDBACK.c.created_at >= since)
        return self._read(query.order_by(FEEDBACK.c.created_at, FEEDBACK.c.id))

    def _with_feedback(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        said: dict[str, list[dict[str, Any]]] = {row["id"]: [] for row in rows}
        for item in self._read(feedback_query(list(said))) if rows else ():
            said[item["prediction_id"]].append(item | {"key_id": item["key_id"] or None})
        return [row | {"feedback": said[row["id"]]} for row in rows]

    def _read(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        with store_errors(self._where, "read"), self._engine.connect() as connection:
            return [plain(row) for row in connection.execute(query).mappings()]


def plain(row: sa.RowMapping) -> dict[str, Any]:
    """A row as a dict."""
    # SQLAlchemy's names are a subclass of str, which strict JSON writers refuse.
    return {str(name): value for name, value in row.items()}
