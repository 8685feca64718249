"""A load generator that costs little: prepared requests over kept-alive connections, answers counted by length."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Load:
    """What a run of clients met.

    Attributes:
        seconds: Duration.
        latencies: Seconds of each answered request.
        statuses: Count by HTTP status; 0 where the connection broke.
    """

    seconds: float
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Requests answered with 200, per second."""
        return self.statuses.get(200, 0) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds below which that share of the answered requests stayed."""
        return float(1000 * np.percentile(self.latencies, 100 * share)) if self.latencies else float("nan")


def request(path: str, body: bytes, content_type: str, port: int) -> bytes:
    """A whole HTTP/1.1 request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def run(port: int, requests: Sequence[bytes], *, clients: int, seconds: float, rate: float | None = None) -> Load:
    """Send requests in turn from so many clients; each waits for its answer.

    Args:
        port: On 127.0.0.1.
        requests: Whole requests.
        clients: Connections.
        seconds: How long.
        rate: Requests a second over all clients; None for as many as there can be.
    """
    return asyncio.run(_run(port, requests, clients, seconds, rate))


async def _run(port: int, requests: Sequence[bytes], clients: int, seconds: float, rate: float | None) -> Load:
    load = Load(seconds)
    started = time.perf_counter()
    end = started + seconds
    pace = clients / rate if rate else 0.0
    await asyncio.gather(*(_client(port, requests, index, end, pace, load) for index in range(clients)))
    load.seconds = time.perf_counter() - started
    return load


async def _client(port: int, requests: Sequence[bytes], index: int, end: float, pace: float, load: Load) -> None:
    turn = index
    reader = writer = None
    due = time.perf_counter() + pace * index / max(len(requests), 1)
    while time.perf_counter() < end:
        if pace:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            due += pace
        started = time.perf_counter()
        try:
            if writer is None or reader is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(requests[turn % len(requests)])
            status = await _answer(reader)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            status, writer = 0, None
            await asyncio.sleep(0.05)
        load.statuses[status] = load.statuses.get(status, 0) + 1
        if status == 200:
            load.latencies.append(time.perf_counter() - started)
        turn += 1
    if writer is not None:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    status = int(head[9:12])
    if b"content-length:" in lower:
        length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
    elif b"transfer-encoding: chunked" in lower:
        while size := int((await reader.readline()).strip() or b"0", 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    return status
