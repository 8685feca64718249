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
"""What SQLite says of a row that cannot be stored as it is; anything else is the database's state."""
_CONSTRAINT = "23"
_ROW_CLASSES = (_CONSTRAINT, "22", "54")
"""Likewise of PostgreSQL, as classes of SQLSTATE: a constraint broken, data out of range, an index entry too large.
Its drivers have no agreement on which exception that is."""


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
    """Why, without a path, a host or a value: SQLite's own sentences name none."""
    # A session that PostgreSQL refuses is closed by its driver, whose own failure hides why.
    told = next((one for one in _causes(error) if _sqlstate(one)), error)
    state = _sqlstate(told)
    error = getattr(told, "orig", None) or told
    if isinstance(error, Timeout):
        return "another process has been migrating it for a minute"
    if isinstance(error, sqlite3.Error):
        return str(error)
    if state is not None:
        # PostgreSQL's sentences name values where a row is at fault, and else what an operator needs to know.
        says = "" if state.startswith(_ROW_CLASSES) else f": {_message(error)}"
        return f"PostgreSQL's error {state}{says}"
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    return getattr(cause, "strerror", None) or type(cause).__name__


def row_is_unfit(error: Exception) -> bool:
    """Whether a row caused the error, and would cause it again; otherwise it is the database's state."""
    if (state := _sqlstate(error)) is not None:
        return state.startswith(_ROW_CLASSES)
    if isinstance(error, exc.DBAPIError):
        return isinstance(error.orig, sqlite3.Error) and isinstance(error, _ROW_ERRORS)
    return isinstance(error, (exc.StatementError, TypeError, ValueError, OverflowError))


def breaks_constraint(error: exc.DBAPIError) -> bool:
    """Whether a row was refused by a constraint, such as a foreign key."""
    return isinstance(error, exc.IntegrityError) or (_sqlstate(error) or "").startswith(_CONSTRAINT)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__


def _sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's code of five characters, however its driver gives it; None of any other error."""
    error = getattr(error, "orig", None) or error
    fields = error.args[0] if error.args else None
    state = fields.get("C") if isinstance(fields, dict) else getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else getattr(error, "pgcode", None)


def _message(error: BaseException) -> str:
    fields = error.args[0] if error.args else ""
    text = fields.get("M", "") if isinstance(fields, dict) else str(fields)
    return str(text).partition("\n")[0]
