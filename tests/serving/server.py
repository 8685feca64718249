"""`visionloop serve` in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.serving.conftest import variant
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Lineup


@contextlib.contextmanager
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


class Server:
    """A service in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        (folder / "params.yaml").write_text(
            json.dumps({"serving": {"workers": 2, "poll_s": 0.2, "keys": {"requests_per_minute": 10**6}}})
        )
        self.log = (folder / "log").open("w")
        environment = os.environ | {"OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "True"}
        environment.pop("VISIONLOOP_PARAMS", None)
        self.process = subprocess.Popen(
            [str(Path(sys.executable).parent / "visionloop"), "serve", "--port", str(self.port)],
            cwd=folder, env=environment, stdout=self.log, stderr=self.log, start_new_session=True,
        )  # fmt: skip
        try:
            self.wait_ready()
        except AssertionError:
            self.stop()
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def wait_ready(self) -> None:
        end = time.monotonic() + 240  # on a machine that has much else to do
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
            self.process.wait(30)
        self.log.close()
