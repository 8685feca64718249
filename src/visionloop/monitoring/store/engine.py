"""Opening the database: its URL, its connections, its schema."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from filelock import FileLock
from sqlalchemy import exc

from visionloop.monitoring.migrations import HEAD
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store.errors import StoreError, store_errors
from visionloop.monitoring.store.postgresql import postgresql_engine, wait_for_locks

_LOCK_WAIT_S = 60.0
"""Creating the tables takes under a second; several processes may queue for it."""
_URL = "setting `url` of the prediction store"
_VERSIONS = "alembic_version"
"""Alembic's own table, of one row."""
_ADVISORY_LOCK = 731_140_265
"""Any number; PostgreSQL lets one session at a time hold it, so one migrates."""


def parse_url(text: str, root: Path) -> tuple[sa.URL, Path | None]:
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
        where=_URL,
        expected="sqlite:///<path> or postgresql://<user>:<password>@<host>/<database>",
        action="correct the URL",
    )


def make_engine(url: sa.URL, path: Path | None, timeout_s: float, *, patient: bool = False) -> sa.Engine:
    """An engine that connects when first used; `path` is the file of an SQLite one, `patient` as for a migration.

    Raises:
        StoreError: the URL's driver is not installed, or its options are wrong.
    """
    options: dict[str, Any] = {
        "hide_parameters": True,
        "json_serializer": _as_json,
        "pool_timeout": timeout_s,
    }
    if path is not None:
        return _sqlite_engine(path, timeout_s, options)
    try:
        return postgresql_engine(url, timeout_s, options, patient=patient)
    except (ImportError, exc.ArgumentError):
        raise StoreError(
            f"the driver of {url.drivername} is not installed",
            where=_URL,
            expected="postgresql:// with pg8000 installed, or postgresql+<driver>:// of another one",
            action="install visionloop[postgres] into this Python environment, or correct the URL",
        ) from None
    except (OSError, ValueError) as error:
        raise StoreError(
            "the URL's options of TLS cannot be used",
            where=_URL,
            expected=str(error) if type(error) is ValueError else "a certificate's file that can be read",
            action="correct sslmode or sslrootcert",
        ) from None


def _as_json(value: Any) -> str:
    """JSON; a ValueError or TypeError where a value has no place in it."""
    text = orjson.dumps(value).decode()
    # For what is not finite orjson writes null, silently.
    return json.dumps(value, allow_nan=False) if "null" in text else text


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


def open_engine(settings: StoreSettings, root: Path) -> tuple[sa.Engine, str]:
    """The migrated database of `settings`, and its name for errors; creates or migrates it where needed.

    Raises:
        StoreError: the URL is no such database, it cannot be used, or a newer version made it.
    """
    url, path = parse_url(settings.url, root)
    where = f"SQLite database {path.name}" if path else url.set(query={}).render_as_string(hide_password=True)
    migrating = make_engine(url, path, settings.timeout_s, patient=True)
    try:
        with store_errors(where, "opened"):
            prepare(migrating, path, where)
    finally:
        migrating.dispose()
    return make_engine(url, path, settings.timeout_s), where


def prepare(engine: sa.Engine, path: Path | None, where: str) -> None:
    """Create or migrate the database, one process at a time.

    Raises:
        StoreError: a newer version made it.
    """
    with contextlib.ExitStack() as stack:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_WAIT_S))
            _use_wal(path)
        connection = stack.enter_context(engine.begin())
        if path is None:
            wait_for_locks(connection, _LOCK_WAIT_S)
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        if _schema(connection) != HEAD:
            _migrate(connection, where)


def _use_wal(path: Path) -> None:
    """Create the file, and let readers and a writer work at the same time; the mode is kept in the file."""
    # On a file system that cannot (some network ones) the database stays as it is: slower, still correct.
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(path, timeout=_LOCK_WAIT_S)) as database,
    ):
        database.execute("PRAGMA journal_mode=WAL")


def _schema(connection: sa.Connection) -> str | None:
    """The version of the database's schema; None of an empty database."""
    if not sa.inspect(connection).has_table(_VERSIONS):
        return None
    return connection.execute(sa.select(sa.table(_VERSIONS, sa.column("version_num")))).scalar()


def _migrate(connection: sa.Connection, where: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

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
