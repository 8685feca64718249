"""The prediction store: what was asked and answered, what people said about it, how a shadow differed.

Predictions are logged through a bounded queue in memory and one writer thread, so that a slow or
missing database never slows an answer. Feedback is committed before the call returns.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import logging
import math
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock, Timeout
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql, sqlite

from visionloop.core.errors import VisionloopError
from visionloop.monitoring.settings import StoreSettings

_log = logging.getLogger(__name__)

_ATTEMPTS = 5
"""How often a batch is tried; the wait between doubles, starting at `flush_s`."""
_MAX_WAIT_S = 5.0
_LOCK_WAIT_S = 60.0
"""Creating the tables takes under a second; several processes may queue for it."""
_ADVISORY_LOCK = 731_140_265
"""Any number; PostgreSQL lets one session at a time hold it, so one migrates."""
_PRUNE_CHUNK = 1000
_ROW_ERRORS = (
    exc.IntegrityError,
    exc.DataError,
    exc.InterfaceError,
    exc.ProgrammingError,
)
"""What a driver says of a row that cannot be stored as it is; anything else is the database's state."""

_T = TypeVar("_T")
Variant = Literal["champion", "canary", "shadow"]
Verdict = Literal["right", "wrong", "corrected"]


class StoreError(VisionloopError):
    """The prediction store cannot be opened, read or written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRow:
    """One answer of one model.

    Attributes:
        id: Hex UUID made by the caller.
        created_at: With a time zone.
        task: `classification`, `detection`.
        model: Registered name.
        version: Of the registered model.
        digest: Of the bundle.
        variant: In which role the model answered; a shadow's answer reached no client.
        request_id: Of the HTTP request, which may hold several images.
        key_id: Who asked, or None without keys.
        image_sha256: Hex, of the encoded image.
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        image_bytes: Size of the encoded image.
        result: JSON, as it was answered.
        top_class: The most confident class, or None where nothing was found.
        confidence: Of `top_class`, 0 to 1.
        features: JSON, image features for drift.
        embedding: A float16 array's bytes.
        latency_ms: Milliseconds the answer took.
    """

    id: str
    created_at: datetime
    task: str
    model: str
    version: str
    digest: str
    variant: Variant
    request_id: str
    key_id: str | None = None
    image_sha256: str
    width: int
    height: int
    image_bytes: int
    result: Any
    top_class: str | None = None
    confidence: float | None = None
    features: dict[str, Any] | None = None
    embedding: bytes | None = None
    latency_ms: float

    def __post_init__(self) -> None:
        _utc(self.created_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRow:
    """What somebody says about a prediction; the same key's later word replaces its earlier one.

    Attributes:
        prediction_id: Of the prediction.
        created_at: With a time zone.
        verdict: `corrected` comes with a label.
        label: JSON: the right class's name, or a list of boxes with classes.
        note: Free text.
        key_id: Who says it, or None without keys.
    """

    prediction_id: str
    created_at: datetime
    verdict: Verdict
    label: Any = None
    note: str | None = None
    key_id: str | None = None

    def __post_init__(self) -> None:
        _utc(self.created_at)
        if self.verdict not in get_args(Verdict):
            raise ValueError(f"verdict must be one of {', '.join(get_args(Verdict))}, found {self.verdict!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """How a shadow's answer differed from the one that was given.

    Attributes:
        prediction_id: Of the answer that was given; logged before its comparison.
        digest: Of the shadow's bundle.
        created_at: With a time zone.
        agreement: 0 to 1.
        details: JSON.
    """

    prediction_id: str
    digest: str
    created_at: datetime
    agreement: float
    details: Any

    def __post_init__(self) -> None:
        _utc(self.created_at)


_Row = PredictionRow | ComparisonRow


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time without a time zone cannot be stored; use datetime.now(UTC)")
    return moment.astimezone(UTC)


class _UtcDateTime(sa.TypeDecorator[datetime]):
    """UTC in and out. SQLite keeps text without a zone, which compares right only because it is always UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else _utc(value)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


METADATA = sa.MetaData()
_JSON = sa.JSON(none_as_null=True)

_predictions = sa.Table(
    "predictions",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("created_at", _UtcDateTime, nullable=False),
    sa.Column("task", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("variant", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text),
    sa.Column("image_sha256", sa.Text, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("image_bytes", sa.Integer, nullable=False),
    sa.Column("result", _JSON, nullable=False),
    sa.Column("top_class", sa.Text),
    sa.Column("confidence", sa.Double),
    sa.Column("features", _JSON),
    sa.Column("embedding", sa.LargeBinary),
    sa.Column("latency_ms", sa.Double, nullable=False),
    sa.Index("ix_predictions_task", "task", "created_at"),
    sa.Index("ix_predictions_digest", "digest", "created_at"),
)

_feedback = sa.Table(
    "feedback",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("prediction_id", sa.Text, sa.ForeignKey("predictions.id", ondelete="CASCADE"), nullable=False),
    sa.Column("created_at", _UtcDateTime, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("label", _JSON),
    sa.Column("note", sa.Text),
    # Empty for nobody: NULLs would all be distinct in the constraint below.
    sa.Column("key_id", sa.Text, nullable=False),
    sa.UniqueConstraint("prediction_id", "key_id", name="uq_feedback_prediction_key"),
)

_comparisons = sa.Table(
    "comparisons",
    METADATA,
    sa.Column("prediction_id", sa.Text, sa.ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("created_at", _UtcDateTime, nullable=False),
    sa.Column("agreement", sa.Double, nullable=False),
    sa.Column("details", _JSON, nullable=False),
    sa.Index("ix_comparisons_digest", "digest", "created_at"),
)


class PredictionStore:
    """Predictions, feedback and comparisons in a database; one instance in each process, for all its threads.

    `log` and `log_comparison` may be called on an event loop; everything else waits for the database.
    """

    def __init__(self, engine: sa.Engine, settings: StoreSettings, where: str) -> None:
        """Start the writer on a migrated database; use `open`."""
        self._engine = engine
        self._settings = settings
        self._where = where
        self._writer = _Writer(self._save, settings)

    @classmethod
    def open(cls, settings: StoreSettings, root: Path) -> Self:
        """Open the database; creates or migrates it where needed, one process at a time.

        Args:
            settings: Where, and how much may wait in memory.
            root: The project's folder, for a relative SQLite path.

        Raises:
            StoreError: the URL is no such database, it cannot be used, or a newer version made it.
        """
        url, path = _parse_url(settings.url, root)
        where = f"SQLite database {path.name}" if path else url.set(query={}).render_as_string(hide_password=True)
        engine = _engine(url, path, settings.timeout_s)
        try:
            with _store_errors(where, "opened"):
                _prepare(engine, path, where)
        except StoreError:
            engine.dispose()
            raise
        return cls(engine, settings, where)

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
        with _store_errors(self._where, "read"):
            return self._twice(lambda: self._find(id))

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
                raise _unavailable(self._where, "written", "its prediction is still waiting to be written")
        with _store_errors(self._where, "written"):
            return self._twice(lambda: self._replace_feedback(row))

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
        table = _predictions.c
        query = sa.select(_predictions).where(table.task == task, table.created_at >= since)
        if until is not None:
            query = query.where(table.created_at < until)
        if digest is not None:
            query = query.where(table.digest == digest)
        return self._read(query.order_by(table.created_at.desc(), table.id).limit(limit))

    def comparisons(self, *, digest: str, since: datetime, limit: int = 10_000) -> list[dict[str, Any]]:
        """Comparisons with the shadow `digest` since `since` (included), newest first.

        Raises:
            StoreError: the database cannot be read.
        """
        table = _comparisons.c
        query = sa.select(_comparisons).where(table.digest == digest, table.created_at >= since)
        return self._read(query.order_by(table.created_at.desc(), table.prediction_id).limit(limit))

    def counts(self, *, task: str, since: datetime) -> dict[str, Any]:
        """How often what was answered since `since`; a shadow's predictions answer nobody and are left out.

        Returns:
            `total`; `by_class` without predictions that found nothing; `by_version`; and `feedback`,
            by verdict, on these predictions.

        Raises:
            StoreError: the database cannot be read.
        """
        table = _predictions.c
        answered = (table.task == task, table.created_at >= since, table.variant != "shadow")

        def grouped(column: sa.ColumnElement[Any], source: sa.FromClause = _predictions) -> dict[str, int]:
            query = sa.select(column, sa.func.count()).select_from(source).where(*answered).group_by(column)
            return {name: count for name, count in connection.execute(query.order_by(column)) if name is not None}

        with _store_errors(self._where, "read"), self._engine.connect() as connection:
            by_version = grouped(table.version)
            verdicts = grouped(_feedback.c.verdict, _feedback.join(_predictions))
            return {
                "total": sum(by_version.values()),
                "by_class": grouped(table.top_class),
                "by_version": by_version,
                "feedback": {verdict: verdicts.get(verdict, 0) for verdict in get_args(Verdict)},
            }

    def prune(self, now: datetime) -> int:
        """Delete the predictions older than `retention_days`, with their feedback and comparisons.

        Returns:
            Number of predictions deleted.

        Raises:
            StoreError: the database cannot be written.
        """
        limit = now - timedelta(days=self._settings.retention_days)
        with _store_errors(self._where, "written"):
            with self._engine.connect() as connection:
                tasks = connection.scalars(sa.select(_predictions.c.task).distinct()).all()
            # Task by task, because that is what the index begins with.
            return sum(self._prune_task(task, limit) for task in tasks)

    def _prune_task(self, task: str, limit: datetime) -> int:
        table = _predictions.c
        old = sa.select(table.id).where(table.task == task, table.created_at < limit).limit(_PRUNE_CHUNK)
        total = 0
        while True:
            with self._engine.begin() as connection:
                deleted = connection.execute(sa.delete(_predictions).where(table.id.in_(old))).rowcount
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
            return _as_stored(row) | {"feedback": []}
        said = sa.select(_feedback).where(_feedback.c.prediction_id == id)
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(_predictions).where(_predictions.c.id == id)).mappings().first()
            if found is None:
                return None
            feedback = connection.execute(said.order_by(_feedback.c.created_at, _feedback.c.id)).mappings().all()
        return _plain(found) | {"feedback": [_plain(item) | {"key_id": item["key_id"] or None} for item in feedback]}

    def _replace_feedback(self, row: FeedbackRow) -> bool:
        values = _values(row) | {"key_id": row.key_id or ""}
        replaced = {name: values[name] for name in ("created_at", "verdict", "label", "note")}
        statement = self._insert(_feedback).values(values)
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    statement.on_conflict_do_update(index_elements=["prediction_id", "key_id"], set_=replaced)
                )
        except exc.IntegrityError:
            return False  # the foreign key: every other constraint is kept by the row and by the update
        return True

    def _read(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        with _store_errors(self._where, "read"), self._engine.connect() as connection:
            return [_plain(row) for row in connection.execute(query).mappings()]

    def _save(self, rows: list[_Row]) -> int:
        """Write a batch; returns how many rows of it are unfit. Raises what the database's state causes."""
        try:
            self._write(rows)
        except Exception as error:
            if not _row_is_unfit(error):
                raise
            if len(rows) > 1:
                return sum(self._save([row]) for row in rows)
            _log.warning("the prediction store refuses a row: %s", _reason(error))
            return 1
        return 0

    def _write(self, rows: list[_Row]) -> None:
        groups: tuple[tuple[sa.Table, type[_Row]], ...] = ((_predictions, PredictionRow), (_comparisons, ComparisonRow))
        with self._engine.begin() as connection:
            for table, kind in groups:
                values = [_values(row) for row in rows if isinstance(row, kind)]
                if values:
                    # A batch that is tried again may have been committed the first time.
                    connection.execute(self._insert(table).on_conflict_do_nothing(), values)

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self._engine.dialect.name == "sqlite" else postgresql.insert(table)


class _Writer:
    """A bounded queue and the thread that empties it into `save`.

    Args:
        save: Writes a batch and returns how many of its rows were unfit; raises when it should be tried again.
        settings: Sizes and times.
    """

    def __init__(self, save: Callable[[list[_Row]], int], settings: StoreSettings) -> None:
        self.written = self.lost = self.refused = 0
        self._accepted = 0
        self._flush_to = 0
        self._save = save
        self._settings = settings
        self._queue: deque[_Row] = deque()
        self._predictions: dict[str, PredictionRow] = {}
        lock = threading.Lock()
        self._work = threading.Condition(lock)
        self._settled = threading.Condition(lock)
        self._stopping = threading.Event()
        self._away = False
        self._thread = threading.Thread(target=self._run, name="prediction-store", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        with self._work:
            return self._count()

    def put(self, row: _Row) -> None:
        with self._work:
            if self._stopping.is_set() or self._count() >= self._settings.max_pending:
                self.refused += 1
                return
            self._queue.append(row)
            self._accepted += 1
            if isinstance(row, PredictionRow):
                self._predictions[row.id] = row
            if len(self._queue) in (1, self._settings.batch):
                self._work.notify()

    def waiting(self, id: str) -> PredictionRow | None:
        with self._work:
            return self._predictions.get(id)

    def flush(self, timeout_s: float) -> bool:
        with self._work:
            goal, lost = self._accepted, self.lost
            self._flush_to = max(self._flush_to, goal)
            self._work.notify()
            settled = self._settled.wait_for(lambda: self.written + self.lost >= goal, timeout_s)
            return settled and self.lost == lost

    def close(self) -> None:
        if self._stopping.is_set():
            return
        self.flush(5.0)
        with self._work:
            self._stopping.set()
            self._work.notify()
        self._thread.join(self._settings.timeout_s + 1)

    def _count(self) -> int:
        return self._accepted - self.written - self.lost

    def _run(self) -> None:
        while batch := self._take():
            self._settle(batch, self._attempt(batch))
        with self._work:
            rest = list(self._queue)
            self._queue.clear()
        self._settle(rest, len(rest))

    def _take(self) -> list[_Row]:
        with self._work:
            self._work.wait_for(lambda: self._queue or self._stopping.is_set())
            self._work.wait_for(self._due, self._settings.flush_s)
            if self._stopping.is_set():
                return []
            return [self._queue.popleft() for _ in range(min(len(self._queue), self._settings.batch))]

    def _due(self) -> bool:
        asked = self.written + self.lost < self._flush_to
        return asked or len(self._queue) >= self._settings.batch or self._stopping.is_set()

    def _attempt(self, batch: list[_Row]) -> int:
        """Number of rows lost."""
        for attempt in itertools.count(1):
            try:
                lost = self._save(batch)
            except Exception as error:
                self._report(away=True, reason=_reason(error))
            else:
                self._report(away=False)
                return lost
            wait_s = min(self._settings.flush_s * 2 ** (attempt - 1), _MAX_WAIT_S)
            if attempt == _ATTEMPTS or self._stopping.wait(wait_s):
                break
        return len(batch)

    def _settle(self, batch: list[_Row], lost: int) -> None:
        with self._work:
            self.lost += lost
            self.written += len(batch) - lost
            for row in batch:
                if isinstance(row, PredictionRow):
                    self._predictions.pop(row.id, None)
            self._settled.notify_all()

    def _report(self, *, away: bool, reason: str = "") -> None:
        if away and not self._away:
            _log.warning("the prediction store cannot be written: %s; rows wait, then are dropped", reason)
        elif self._away and not away:
            _log.warning("the prediction store is written again; %d rows were dropped", self.lost + self.refused)
        self._away = away


def _values(row: _Row | FeedbackRow) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(row)}


def _as_stored(row: PredictionRow) -> dict[str, Any]:
    """The row as the database would give it back."""
    plain = {name: json.loads(json.dumps(getattr(row, name))) for name in ("result", "features")}
    return _values(row) | plain | {"created_at": _utc(row.created_at)}


def _row_is_unfit(error: Exception) -> bool:
    if isinstance(error, exc.DBAPIError):
        return isinstance(error, _ROW_ERRORS) and not error.connection_invalidated
    return isinstance(error, (exc.StatementError, TypeError, ValueError, OverflowError))


def _parse_url(text: str, root: Path) -> tuple[sa.URL, Path | None]:
    """The URL, and the file of an SQLite one. A wrong URL is not repeated: it may hold a password."""
    with contextlib.suppress(exc.ArgumentError, ValueError):
        url = sa.make_url(text)
        if url.get_backend_name() == "postgresql":
            return url, None
        name = url.database or ""
        if url.drivername == "sqlite" and not url.query and name and not name.startswith((":", "file:")):
            return url, (root / name).resolve()
    raise StoreError(
        "the URL names no database that can hold predictions",
        where="setting `url` of the prediction store",
        expected="sqlite:///<path> or postgresql://<user>:<password>@<host>/<database>",
        action="correct the URL",
    )


def _engine(url: sa.URL, path: Path | None, timeout_s: float) -> sa.Engine:
    options: dict[str, Any] = {
        "hide_parameters": True,
        "json_serializer": functools.partial(json.dumps, allow_nan=False),
        "pool_timeout": timeout_s,
    }
    if path is not None:
        return _sqlite_engine(path, timeout_s, options)
    try:
        return _postgresql_engine(url, timeout_s, options)
    except (ImportError, exc.ArgumentError):
        raise StoreError(
            f"the driver of {url.drivername} is not installed",
            where="setting `url` of the prediction store",
            expected="postgresql+<driver>:// of an installed driver; without one, psycopg",
            action="install the driver into this Python environment, or correct the URL",
        ) from None


def _postgresql_engine(url: sa.URL, timeout_s: float, options: dict[str, Any]) -> sa.Engine:
    if url.get_driver_name() in ("psycopg", "psycopg2"):
        options = options | {"connect_args": {"connect_timeout": max(2, math.ceil(timeout_s))}}
    engine = sa.create_engine(url, pool_pre_ping=True, **options)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        _wait_for_locks(connection, timeout_s)

    return engine


def _wait_for_locks(connection: sa.Connection, timeout_s: float) -> None:
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {math.ceil(timeout_s * 1000)}")


def _sqlite_engine(path: Path, timeout_s: float, options: dict[str, Any]) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        # Never creates the file: an empty one in the place of a lost database would hide the loss.
        # SQLAlchemy begins the transactions, as the driver would leave changes of the schema outside of them.
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.QueuePool, **options)

    @sa.event.listens_for(engine, "connect")
    def remember(_: Any, record: Any) -> None:
        record.info["file"] = _file_id(path)

    @sa.event.listens_for(engine, "checkout")
    def same_file(_: Any, record: Any, __: Any) -> None:
        # A connection to a file that was removed or replaced goes on writing into nothing, without an error.
        if record.info["file"] != _file_id(path):
            raise exc.DisconnectionError

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _prepare(engine: sa.Engine, path: Path | None, where: str) -> None:
    with contextlib.ExitStack() as stack:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_WAIT_S))
            _use_wal(path)
        connection = stack.enter_context(engine.begin())
        if path is None:
            _wait_for_locks(connection, _LOCK_WAIT_S)
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        _migrate(connection, where)


def _use_wal(path: Path) -> None:
    """Create the file, and let readers and a writer work at the same time; the mode is kept in the file."""
    # On a file system that cannot (some network ones) the database stays as it is: slower, still correct.
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(path, timeout=_LOCK_WAIT_S)) as database,
    ):
        database.execute("PRAGMA journal_mode=WAL")


def _migrate(connection: sa.Connection, where: str) -> None:
    config = Config()
    config.set_main_option("script_location", "visionloop.monitoring:migrations")
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    current = set(MigrationContext.configure(connection).get_current_heads())
    unknown = current - {script.revision for script in scripts.walk_revisions()}
    if unknown:
        raise StoreError(
            f"the prediction store has schema {', '.join(sorted(unknown))}, which this version does not know",
            where=where,
            expected=f"schema {scripts.get_current_head()} or older: a newer version of visionloop made this one",
            action="upgrade visionloop, or set the store's `url` to another database",
        )
    if current != set(scripts.get_heads()):
        command.upgrade(config, "head")


@contextlib.contextmanager
def _store_errors(where: str, doing: str) -> Iterator[None]:
    """The database's errors as ours; `doing` completes "cannot be"."""
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error, OSError, ValueError, TypeError, OverflowError) as error:
        raise _unavailable(where, doing, _reason(error)) from error


def _unavailable(where: str, doing: str, reason: str) -> StoreError:
    return StoreError(
        f"the prediction store cannot be {doing}: {reason}",
        where=where,
        expected="a database that answers in time and takes what is written",
        action="check that it runs, has space, and that this user may write to it; then try again",
    )


def _reason(error: BaseException) -> str:
    """Why, without a path or a host: SQLite's own sentences name none, other drivers' do."""
    error = getattr(error, "orig", None) or error
    if isinstance(error, Timeout):
        return "another process has been migrating it for a minute"
    if isinstance(error, sqlite3.Error):
        return str(error)
    return getattr(error, "strerror", None) or type(error).__name__


def _plain(row: sa.RowMapping) -> dict[str, Any]:
    # SQLAlchemy's names are a subclass of str, which strict JSON writers refuse.
    return {str(name): value for name, value in row.items()}
