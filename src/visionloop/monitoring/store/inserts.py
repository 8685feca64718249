"""Inserting with a word on what happens to a row that is there already, in the dialect of the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def insert_into(table: sa.Table, engine: sa.Engine) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
    # One of them is loaded already, by its engine; the other need not be.
    if engine.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def insert_missing(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows that are not there yet; some there may be."""
    statement = insert_into(table, connection.engine).on_conflict_do_nothing()
    if connection.dialect.name == "sqlite":
        connection.execute(statement, rows)
    else:
        # With RETURNING, SQLAlchemy sends many rows in one statement; else each waits for the server's word.
        connection.execute(statement.returning(sa.literal_column("1")), rows)
