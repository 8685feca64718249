"""Servers with real sockets: BentoML's processes, or a thread of this one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.serving.conftest import Service, variant
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Lineup
from visionloop.serving.front import role_of
from visionloop.serving.guard import Guard

PATIENCE_S = 240.0
"""How long a condition is waited for; a loaded machine is slow, and waiting costs nothing when it is not."""


def wait_for(condition: Callable[[], Any], what: str, *, timeout_s: float = PATIENCE_S) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"after {timeout_s:g} s still not: {what}"
        time.sleep(0.05)


class Server:
    """`visionloop serve` in a folder of its own.

    Args:
        folder: Has `mlruns/deployment.json`.
        serving: Settings of the block `serving`, on top of quick ones.
        environment: Further variables.
    """

    def __init__(
        self, folder: Path, serving: dict[str, Any] | None = None, environment: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        quick = {"workers": 2, "poll_s": 0.2, "drain_s": 0.1, "keys": {"requests_per_minute": 10**6}}
        (folder / "params.yaml").write_text(json.dumps({"serving": {**quick, **(serving or {})}}))
        self.log = (folder / "log").open("w")
        variables = os.environ | {"OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "True"} | (environment or {})
        # BentoML keeps all servers' metrics in one folder of its home, and empties it when another one starts.
        variables["BENTOML_HOME"] = str(folder / "bentoml")
        variables.pop("VISIONLOOP_PARAMS", None)
        self.process = subprocess.Popen(
            [str(Path(sys.executable).parent / "visionloop"), "serve", "--port", str(self.port)],
            cwd=folder, env=variables, stdout=self.log, stderr=self.log, start_new_session=True,
        )  # fmt: skip
        try:
            self.wait_ready()
        except AssertionError:
            self.stop()
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pointer(self) -> Path:
        return self.folder / "mlruns/deployment.json"

    def status(self, path: str) -> int:
        """0 where nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def metric(self, series: str) -> float:
        """The value of one series, written as Prometheus does; 0 where there is none yet."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=PATIENCE_S) as answer:
            text = answer.read().decode()
        found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def wait_ready(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while self.status("/readyz") != 200:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.1)

    def workers(self) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):  # a dead one may not have been reaped yet
                if "_bentoml_impl.worker" in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(PATIENCE_S)
        self.log.close()


@contextmanager
def serving(folder: Path, bundles: dict[str, Path]) -> Iterator[Server]:
    """A ready service of both tasks' bundles."""
    for task in ("classification", "detection"):
        lineup = Lineup(champion=variant(bundles[task]))
        deployment.change(folder / "mlruns/deployment.json", task, lambda _, lineup=lineup: lineup)  # type: ignore[misc]
    server = Server(folder)
    try:
        yield server
    finally:
        server.stop()


class Listening:
    """An application on a free port, in a thread.

    Attributes:
        port: Where.
        active: Requests being answered.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.port = port
        self.active = 0
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        self.active += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.active -= 1

    @property
    def num_tasks(self) -> int:
        """Tasks on the event loop, after the first request."""
        assert self._loop is not None

        async def count() -> int:
            return len(asyncio.all_tasks()) - 1  # this one

        return asyncio.run_coroutine_threadsafe(count(), self._loop).result(PATIENCE_S)


@contextmanager
def listening(service: Service) -> Iterator[Listening]:
    """The service behind its guard on a socket of this process."""
    guarded = Guard(service.api.app(), ring=None, settings=service.settings, role_of=role_of)
    with socket.create_server(("127.0.0.1", 0), backlog=256) as bound:
        found = Listening(guarded, bound.getsockname()[1])
        config = uvicorn.Config(found, lifespan="off", log_level="error", timeout_keep_alive=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield found
        finally:
            server.should_exit = True
            thread.join(timeout=PATIENCE_S)


class Reply(NamedTuple):
    """A response as it came over the socket."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def head(path: str, *headers: str, method: str = "POST") -> bytes:
    """The start of a request, up to its body."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode("latin-1")


def post(path: str, content_type: str, body: bytes) -> bytes:
    """A whole request."""
    return head(path, f"Content-Type: {content_type}", f"Content-Length: {len(body)}", "Connection: close") + body


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def reply(connection: socket.socket) -> Reply:
    """Read one response."""
    reader = connection.makefile("rb")
    line = reader.readline()
    assert line.startswith(b"HTTP/1.1 "), line
    headers = {}
    while (field := reader.readline()) not in (b"\r\n", b""):
        name, _, value = field.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return Reply(int(line.split()[1]), headers, reader.read(int(headers.get("content-length", 0))))


def ask(port: int, request: bytes) -> Reply:
    """Send bytes, read the response; the server may answer and hang up before it has read them all."""
    with connect(port) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        return reply(connection)
