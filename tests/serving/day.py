"""A day of clients against a server, and what it takes of memory and files."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.serving.conftest import encoded
from tests.serving.live import Server, ask, connect, head, post
from tests.serving.mutants import FORM, mutated_forms, mutated_images

MB = 1_000_000


class Memory:
    """What the workers hold, and the most they have held since."""

    def __init__(self, server: Server) -> None:
        self._workers = server.workers()
        assert len(self._workers) == 2
        self.before = self._read("VmRSS")
        for worker in self._workers:
            Path(f"/proc/{worker.pid}/clear_refs").write_text("5")  # the peak starts anew

    def growth_mb(self) -> float:
        """Megabytes the worker that grew most holds more than at first."""
        return self._grown("VmRSS")

    def peak_mb(self) -> float:
        """Megabytes the worker that grew most has held more than at first."""
        return self._grown("VmHWM")

    def _grown(self, field: str) -> float:
        return max(now - before for now, before in zip(self._read(field), self.before, strict=True))

    def _read(self, field: str) -> list[float]:
        values = []
        for worker in self._workers:
            lines = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
            values += [int(line.split()[1]) * 1024 / MB for line in lines if line.startswith(f"{field}:")]
        return values


def descriptors(server: Server) -> int:
    return sum(worker.num_fds() for worker in server.workers())


class Day:
    """Clients of every kind, until they are told to stop.

    Attributes:
        statuses: How often which status was answered.
        damaged: Mutated images and bodies sent, out of 11,000.
    """

    def __init__(self, server: Server) -> None:
        self._port = server.port
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._damaged = itertools.chain(
            (("image/png", data) for data in mutated_images(10_000)), ((FORM, data) for data in mutated_forms(1_000))
        )
        self.statuses: Counter[int] = Counter()
        self.damaged: Counter[int] = Counter()

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            clients = [pool.submit(client) for client in (self._careful, self._vandal, self._vandal)]
            try:
                yield
            finally:
                self._stop.set()
        for client in clients:
            client.result()

    def _careful(self) -> None:
        images = [encoded(200 + seed, 150, "JPEG", seed) for seed in range(20)]
        for image in itertools.cycle(images):
            if self._stop.is_set():
                return
            for request in (
                post("/v1/classify", "image/jpeg", image),
                post("/v1/detect", "image/jpeg", image),
                post("/v1/predict?store=false", "image/jpeg", image),
                head("/v1/models", "Connection: close", method="GET"),
                head("/metrics", "Connection: close", method="GET"),
            ):
                self.statuses[ask(self._port, request).status] += 1
            with connect(self._port) as leaving:
                start = head("/v1/classify", "Content-Type: image/jpeg", f"Content-Length: {len(image)}")
                leaving.sendall(start + image[:99])

    def _vandal(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                content_type, data = next(self._damaged, ("", b""))
            if not content_type:
                return
            status = ask(self._port, post("/v1/classify?store=false", content_type, data)).status
            with self._lock:
                self.damaged[status] += 1
