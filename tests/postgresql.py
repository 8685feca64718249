"""A throw-away PostgreSQL server for tests, on a socket in a folder of its own, where its programs are installed."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import METADATA
from visionloop.monitoring.store.engine import open_engine

MISSING = (
    "PostgreSQL is not tested: install its server (Debian: postgresql), or name the folder of initdb in POSTGRES_BIN, "
    "and visionloop[postgres]"
)
_USER = "postgres"
_STORE = "store"

on_both = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
"""A test of the prediction store on either database."""
# What a crash would cost is of no interest here, and waiting for the disk takes most of the time.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "max_connections": "60",
}


def find_programs() -> Path | None:
    """The folder of `initdb` and `postgres`, or None."""
    named = os.environ.get("POSTGRES_BIN")
    found = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    places = [Path(named)] if named else [*([Path(found).resolve().parent] if found else []), *reversed(installed)]
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


class Server:
    """A server that can be stopped and started again."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._numbers = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        self._store: sa.Engine | None = None
        self._port = 5432  # the socket's name has it, even where no port is opened

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self._folder / f".s.PGSQL.{self._port}"

    def url(self, database: str) -> str:
        """Of one of its databases, over its socket."""
        return f"postgresql://{_USER}@/{database}?unix_sock={self.socket}"

    def create(self, name: str = "") -> str:
        """The name of a new database."""
        name = name or f"test_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def empty_store(self) -> str:
        """The name of a database that has the prediction store's tables, without rows; always the same one."""
        if self._store is None:
            url = self.url(self.create(_STORE))
            self._store, _ = open_engine(StoreSettings(url=url), Path())
        names = ", ".join(METADATA.tables)
        with self._store.begin() as connection:
            connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
        return _STORE

    def sql(self, statement: str, database: str = _USER) -> None:
        """Run a statement outside of a transaction."""
        engine = sa.create_engine(self.url(database).replace("://", "+pg8000://"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    def ask_for_passwords(self, role: str) -> None:
        """Let nobody in as `role` without its password."""
        rules = self._folder / "data" / "pg_hba.conf"
        rules.write_text(f"local all {role} scram-sha-256\n" + rules.read_text())
        self.sql("SELECT pg_reload_conf()")

    @contextmanager
    def on_loopback(self) -> Iterator[str]:
        """Let it listen on a port as well: host and port."""
        usual = self._port
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.stop()
        self.start(listen_addresses="127.0.0.1")
        try:
            yield f"127.0.0.1:{self._port}"
        finally:
            self.stop()
            self._port = usual
            self.start()

    def initialise(self) -> None:
        """Make the folder of its data."""
        arguments = ["--username", _USER, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        self._run("initdb", "--pgdata", self._folder / "data", *arguments)

    def start(self, **changes: str) -> None:
        """Start it, and wait until it answers."""
        # As a child and not by pg_ctl, so that it cannot outlive the tests unseen.
        options = [f"-c{name}={value}" for name, value in (_SETTINGS | changes).items()]
        with (self._folder / "log").open("ab") as log:
            places: list[str | Path] = ["-D", self._folder / "data", "-k", self._folder, "-p", str(self._port)]
            self._process = subprocess.Popen(
                [self._programs / "postgres", *places, *options],
                stdout=log, stderr=log, cwd=self._folder, **self._user(),
            )  # fmt: skip
        self._run("pg_isready", "--host", self._folder, f"--port={self._port}", tries=600)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends sessions in order, SIGQUIT as a crash would."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def close(self) -> None:
        """Stop it for good."""
        if self._store is not None:
            self._store.dispose()
        self.stop(signal.SIGQUIT)

    def _run(self, program: str, *arguments: str | Path, tries: int = 1) -> None:
        for left in reversed(range(tries)):
            done = subprocess.run(
                [self._programs / program, *arguments], capture_output=True, cwd=self._folder, **self._user()
            )
            if done.returncode == 0:
                return
            if left:
                time.sleep(0.05)  # pg_isready says at once that nobody listens yet
        raise RuntimeError(f"{program}: {done.stderr.decode(errors='replace')}")

    def _user(self) -> dict[str, Any]:
        return {"user": _USER, "group": _USER} if os.geteuid() == 0 else {}  # the server refuses to run as root


@contextmanager
def running_server() -> Iterator[Server | None]:
    """A server, or None where there is none to start; see `MISSING`."""
    programs = find_programs()
    if programs is None or importlib.util.find_spec("pg8000") is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="visionloop-postgresql-"))  # the path of a socket must be short
    server = Server(programs, folder)
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _USER, _USER)
        server.initialise()
        server.start()
        yield server
    finally:
        server.close()
        shutil.rmtree(folder)
