"""The database's errors as ours, in sentences that name no path and no host."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from filelock import Timeout
from sqlalchemy import exc

from visionloop.core.errors import VisionloopError

_ROW_ERRORS = (
    exc.IntegrityError,
    exc.DataError,
    exc.InterfaceError,
    exc.ProgrammingError,
)
"""What a driver says of a row that cannot be stored as it is; anything else is the database's state."""


class StoreError(VisionloopError):
    """The prediction store cannot be opened, read or written."""


@contextlib.contextmanager
def store_errors(where: str, doing: str) -> Iterator[None]:
    """The database's errors as ours; `doing` completes "cannot be"."""
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error, OSError, ValueError, TypeError, OverflowError) as error:
        raise unavailable(where, doing, reason_of(error)) from error


def unavailable(where: str, doing: str, reason: str) -> StoreError:
    """The error to raise where the database fails; `doing` completes "cannot be"."""
    return StoreError(
        f"the prediction store cannot be {doing}: {reason}",
        where=where,
        expected="a database that answers in time and takes what is written",
        action="check that it runs, has space, and that this user may write to it; then try again",
    )


def reason_of(error: BaseException) -> str:
    """Why, without a path or a host: SQLite's own sentences name none, other drivers' do."""
    error = getattr(error, "orig", None) or error
    if isinstance(error, Timeout):
        return "another process has been migrating it for a minute"
    if isinstance(error, sqlite3.Error):
        return str(error)
    return getattr(error, "strerror", None) or type(error).__name__


def row_is_unfit(error: Exception) -> bool:
    """Whether a row caused the error, and would cause it again; otherwise it is the database's state."""
    if isinstance(error, exc.DBAPIError):
        return isinstance(error, _ROW_ERRORS) and not error.connection_invalidated
    return isinstance(error, (exc.StatementError, TypeError, ValueError, OverflowError))
