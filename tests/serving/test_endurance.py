"""The real service through what an attacker, a full disk and a long day do to it; memory as the system counts it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import os
import shutil
import signal
import socket
import sqlite3
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.serving.altered import scaled
from tests.serving.conftest import encoded, variant
from tests.serving.day import MB, Day, Memory, descriptors
from tests.serving.live import PATIENCE_S, Reply, Server, ask, chunk, connect, head, post, reply, wait_for
from tests.serving.mutants import FORM
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Lineup
from visionloop.serving.client import Client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from Linux' /proc"),
]

IMAGE = encoded()


@pytest.fixture(scope="module")
def mlflow() -> Iterator[socket.socket]:
    """Where a tracking server would be: it never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Path], mlflow: socket.socket
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("endurance")
    (folder / "tmp").mkdir()
    for task in ("classification", "detection"):
        lineup = Lineup(champion=variant(bundles[task]))
        deployment.change(folder / "mlruns/deployment.json", task, lambda _, lineup=lineup: lineup)  # type: ignore[misc]
    (folder / "mlruns/mlflow.db").write_bytes(b"no database")
    found = Server(
        folder,
        {
            "drain_s": 5.0,
            "upload": {"body_timeout_s": 120},
            "store": {"flush_s": 0.05, "timeout_s": 0.5, "max_pending": 200},
        },
        {"TMPDIR": str(folder / "tmp"), "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow.getsockname()[1]}"},
    )
    yield found
    found.stop()


def classify(server: Server, image: bytes = IMAGE, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
    with Client(server.url, timeout_s=timeout_s) as client:
        return client.classify(image).model_dump(by_alias=True)


def use(server: Server, bundle: Path, version: str) -> None:
    lineup = Lineup(champion=variant(bundle, version))
    deployment.change(server.pointer, "classification", lambda _: lineup)


def served(server: Server) -> set[str]:
    """Versions that answer, asked on many connections so that every worker is met."""
    return {classify(server)["model"]["version"] for _ in range(12)}


def png(width: int, height: int, rows: int) -> bytes:
    """A black PNG whose header names a size and whose data hold that many of its rows."""

    def piece(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(1)
    row = bytes(1 + 3 * width)
    data = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + piece(b"IHDR", header) + piece(b"IDAT", data) + piece(b"IEND", b"")


def many(server: Server, requests: Iterable[bytes], clients: int = 4) -> Counter[int]:
    """Statuses of requests sent at once by some clients."""
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        return Counter(pool.map(lambda request: ask(server.port, request).status, requests))


# -- memory, files


def test_huge_bodies_and_pictures_leave_the_memory_flat(server: Server) -> None:
    many(server, [post("/v1/classify", "image/png", encoded(seed=seed)) for seed in range(40)])
    memory = Memory(server)
    # Complete: whoever decodes it needs 1.2 GB.
    whole = png(20_000, 20_000, 20_000)
    assert len(whole) < 10 * MB
    pictures = [whole, png(13_000, 13_000, 100), png(100_000, 100_000, 10), encoded(1, 1_000_000)]
    assert many(server, [post("/v1/classify", "image/png", data) for data in pictures * 6]) == {422: 24}
    assert many(server, [post("/v1/detect", "image/png", bytes(11 * MB))] * 8) == {413: 8}
    assert memory.peak_mb() < 150


def files_below(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


@pytest.mark.parametrize("content_type", ["image/png", FORM])
@pytest.mark.parametrize("path", ["/v1/classify", "/v1/explain"])
def test_a_chunked_body_above_the_limit_is_cut_off_and_leaves_no_file(
    server: Server, path: str, content_type: str
) -> None:
    before, memory = files_below(server.folder / "tmp"), Memory(server)
    opened = [{file.path for file in worker.open_files()} for worker in server.workers()]
    start = b'--edge\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    with connect(server.port) as connection:
        connection.sendall(head(path, f"Content-Type: {content_type}", "Transfer-Encoding: chunked") + chunk(start))
        sent = 0
        with contextlib.suppress(ConnectionError):
            for _ in range(400):
                connection.sendall(chunk(bytes(MB // 4)))
                sent += MB // 4
        found = reply(connection)
    assert found.status == 413, found.body
    assert files_below(server.folder / "tmp") == before
    for worker, paths in zip(server.workers(), opened, strict=True):
        assert {file.path for file in worker.open_files()} <= paths
    assert memory.peak_mb() < 60


# -- the database


def test_a_locked_database_delays_no_prediction_and_its_losses_are_counted(server: Server) -> None:
    id_ = classify(server)["predictions"][0]["id"]
    feedback = b'{"prediction_id": "%b", "verdict": "right"}' % id_.encode()

    def give() -> Reply:
        return ask(server.port, post("/v1/feedback", "application/json", feedback))

    assert give().status == 200  # the prediction is in the database
    dropped = server.metric('visionloop_log_rows{fate="dropped"}')
    with contextlib.closing(sqlite3.connect(server.folder / "mlruns/predictions.db", isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        wait_for(
            lambda: classify(server) and server.metric('visionloop_log_rows{fate="dropped"}') > dropped,
            "rows are dropped while predictions are answered",
        )
        refused = give()
        assert (refused.status, refused.json()["code"]) == (503, "store_unavailable")
        assert "retry-after" in refused.headers
        blocker.execute("ROLLBACK")
    wait_for(lambda: give().status == 200, "feedback is taken again")


def test_a_full_disk_fails_no_prediction_and_its_losses_are_counted(server: Server) -> None:
    classify(server)
    dropped = server.metric('visionloop_log_rows{fate="dropped"}')
    limits = [(worker, worker.rlimit(psutil.RLIMIT_FSIZE)) for worker in server.workers()]
    try:
        for worker, (_, hard) in limits:
            # No file can grow: what a full disk is to a program.
            worker.rlimit(psutil.RLIMIT_FSIZE, (4096, hard))
        seeds = itertools.count(1000)
        wait_for(
            lambda: (
                classify(server, encoded(seed=next(seeds)))
                and server.metric('visionloop_log_rows{fate="dropped"}') > dropped
            ),
            "rows are dropped while predictions are answered",
        )
        assert served(server) == {"1"}
    finally:
        for worker, limit in limits:
            worker.rlimit(psutil.RLIMIT_FSIZE, limit)
    written = server.metric('visionloop_log_rows{fate="written"}')
    wait_for(
        lambda: classify(server) and server.metric('visionloop_log_rows{fate="written"}') > written,
        "rows are written again",
    )


def test_mlflow_is_not_asked(server: Server, mlflow: socket.socket) -> None:
    # The service was started beside a tracking server that never answers, and a database of it that is none.
    assert served(server) == {"1"}
    with pytest.raises(BlockingIOError):
        mlflow.accept()


# -- models


def test_a_tampered_bundle_is_refused_by_every_worker_and_the_alert_is_raised(
    server: Server, bundles: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(bundles["classification-2"], tmp_path / "altered")
    with (tmp_path / "altered/model.onnx").open("ab") as file:
        file.write(b"x")
    series = 'visionloop_deployment_failed{slot="classification.champion"}'
    use(server, tmp_path / "altered", "9")
    wait_for(lambda: server.metric(series) == 1, "the gauge that VisionloopDeploymentFailed looks at")
    assert served(server) == {"1"}
    use(server, bundles["classification"], "1")
    wait_for(lambda: server.metric(series) == 0, "the gauge is down again")


def test_twenty_swaps_under_fifty_requests_a_second_lose_nothing(
    server: Server, bundles: dict[str, Path], tmp_path: Path
) -> None:
    versions = {"1": bundles["classification"], "2": tmp_path / "other"}
    shutil.copytree(versions["1"], versions["2"])
    scaled(versions["2"], 3.0)  # so that each version's answers are its own
    scores = {}
    for version, bundle in versions.items():
        use(server, bundle, version)
        wait_for(lambda version=version: served(server) == {version}, f"version {version} serves")  # type: ignore[misc]
        scores[version] = classify(server)["predictions"][0]["score"]
    assert abs(scores["1"] - scores["2"]) > 1e-3
    wrong: list[object] = []
    answered: Counter[str] = Counter()
    stop, lock = threading.Event(), threading.Lock()

    def send(offset: float) -> None:
        due = time.monotonic() + offset
        with Client(server.url, timeout_s=PATIENCE_S) as client:
            while not stop.is_set():
                time.sleep(max(0.0, due - time.monotonic()))
                due += 4 / 50
                try:
                    answer = client.classify(IMAGE)
                except Exception as error:
                    wrong.append(error)
                    continue
                version, score = answer.model.version, answer.predictions[0].score
                with lock:
                    answered[version] += 1
                    # What it says is what the version it names says.
                    if score is None or abs(score - scores[version]) > 1e-4:
                        wrong.append((version, score))

    threads = [threading.Thread(target=send, args=(turn / 50,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(20):
            version = "12"[turn % 2]
            before = answered[version]
            use(server, versions[version], version)
            wait_for(lambda: answered[version] > before, f"version {version} answers")  # noqa: B023
            time.sleep(0.3)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert min(answered[version] for version in versions) >= 10
    use(server, versions["1"], "1")
    wait_for(lambda: served(server) == {"1"}, "version 1 serves")


# -- a long day


def test_a_minute_of_everything_leaves_memory_and_descriptors_where_they_were(server: Server) -> None:
    pids = {worker.pid for worker in server.workers()}
    classify(server)
    idle = descriptors(server)
    day = Day(server)
    with day.going_on():
        time.sleep(15)  # until caches, pools and stacks are what they will be
        memory = Memory(server)
        time.sleep(45)
        # On a slow machine the 11,000 take longer.
        wait_for(lambda: day.damaged.total() == 11_000, "all damaged images and bodies were sent", timeout_s=400)
        grown = memory.growth_mb()
    assert grown <= 20
    assert {worker.pid for worker in server.workers()} == pids
    assert set(day.statuses) == {200}
    assert set(day.damaged) <= {200, 400, 413, 415, 422, 503, 504}, day.damaged
    assert min(day.damaged[200], day.damaged[400], day.damaged[415]) > 100, day.damaged
    # A few stay with pools that open on demand: threads of the executor, connections to the database.
    wait_for(lambda: descriptors(server) <= idle + 8, "descriptors are where they were")
    assert served(server) == {"1"}
    assert server.metric('visionloop_queue_images{role="champion",task="classification"}') == 0


# -- the end


def test_a_stopping_service_is_unready_first_and_finishes_what_it_has_begun(server: Server) -> None:
    half = len(IMAGE) // 2
    under_way = connect(server.port)
    under_way.sendall(head("/v1/classify", "Content-Type: image/png", f"Content-Length: {len(IMAGE)}") + IMAGE[:half])
    answered: list[int] = []
    os.kill(server.process.pid, signal.SIGTERM)
    wait_for(lambda: server.status("/readyz") != 200, "it is not ready")
    # Not ready, and yet it answers: a balancer that has not noticed loses nothing.
    document = ask(server.port, head("/readyz", "Connection: close", method="GET"))
    assert (document.status, document.json()["code"]) == (503, "stopping")
    answered.append(ask(server.port, post("/v1/classify", "image/png", IMAGE)).status)
    wait_for(lambda: server.status("/livez") == 0, "the socket is closed")
    assert server.process.poll() is None
    under_way.sendall(IMAGE[half:])
    answered.append(reply(under_way).status)
    under_way.close()
    assert answered == [200, 200]
    server.process.wait(PATIENCE_S)
    assert "Traceback" not in (server.folder / "log").read_text()
