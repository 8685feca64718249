"""Connections to PostgreSQL, by pg8000 unless the URL names another driver."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import ssl
from typing import Any

import sqlalchemy as sa

_SILENCE_S = 60.0
"""A server that says nothing for so long has stalled; a slow query over millions of rows has long been answered."""
_TLS = {"disable": False, "prefer": None, "require": True}
"""The names that PostgreSQL's own clients have for it, as pg8000 wants them; `prefer` is what they do unasked."""


def postgresql_engine(url: sa.URL, timeout_s: float, options: dict[str, Any], *, patient: bool) -> sa.Engine:
    """An engine that connects when first used.

    Args:
        url: `postgresql://`, which means pg8000, or `postgresql+<driver>://`. Of pg8000's, `sslmode` may be `disable`,
            `prefer`, `require` or `verify-full`, which `sslrootcert` gives another authority's certificate;
            `unix_sock` is the path of a socket. Without a password, `PGPASSWORD` is used.
        timeout_s: Seconds to wait for a connection, or a lock.
        options: Of `sqlalchemy.create_engine`.
        patient: Whether a server may work without a word for as long as it needs, as a migration does.

    Raises:
        ImportError, sqlalchemy.exc.ArgumentError: the driver is not installed.
        ValueError: an unknown `sslmode`.
    """
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+pg8000")
    driver = url.get_driver_name()
    if driver in ("psycopg", "psycopg2"):
        options = options | {"connect_args": {"connect_timeout": max(2, math.ceil(timeout_s))}}
    elif driver == "pg8000":
        url, connect_args = _pg8000(url)
        options = options | {"connect_args": connect_args}
    engine = sa.create_engine(url, pool_pre_ping=True, **options)

    if driver == "pg8000":
        silence_s = None if patient else max(_SILENCE_S, timeout_s)

        @sa.event.listens_for(engine, "do_connect")
        def connect(dialect: Any, _: Any, __: Any, arguments: dict[str, Any]) -> Any:
            if "unix_sock" in arguments:
                arguments["timeout"] = silence_s
                return None
            # Connected here, because pg8000 has one timeout for connecting and for every answer.
            host, port = arguments.get("host", "localhost"), arguments.get("port", 5432)
            connected = _connected(host, port, timeout_s, silence_s)
            try:
                return dialect.loaded_dbapi.Connection(**arguments, sock=connected)
            except BaseException:
                connected.close()
                raise

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        wait_for_locks(connection, timeout_s)

    return engine


def wait_for_locks(connection: sa.Connection, timeout_s: float) -> None:
    """Set how long this transaction waits for a lock."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {math.ceil(timeout_s * 1000)}")


def _pg8000(url: sa.URL) -> tuple[sa.URL, dict[str, Any]]:
    """The URL without what pg8000 does not read from it, and that as arguments."""
    query = dict(url.query)
    mode, authority = query.pop("sslmode", "prefer"), query.pop("sslrootcert", None)
    arguments: dict[str, Any] = {}
    if mode == "verify-full":
        arguments["ssl_context"] = ssl.create_default_context(cafile=None if authority is None else str(authority))
    elif mode in _TLS and authority is None:
        arguments["ssl_context"] = _TLS[str(mode)]
    else:
        raise ValueError("sslmode must be disable, prefer, require or verify-full; sslrootcert is of verify-full")
    # pg8000 does not look for it, as PostgreSQL's own clients do.
    if url.password is None and (password := os.environ.get("PGPASSWORD")):
        arguments["password"] = password
    return url.set(query=query), arguments


def _connected(host: str, port: int, timeout_s: float, silence_s: float | None) -> socket.socket:
    connection = socket.create_connection((host, port), timeout_s)
    connection.settimeout(silence_s)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # A host that is gone without a word is noticed after about a minute, not after hours. Not every system has these.
    with contextlib.suppress(AttributeError, OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return connection
