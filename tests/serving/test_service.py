"""The real thing: `bentoml serve` with two workers, over sockets, through swaps, dead workers and a stop."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.conftest import encoded, variant
from tests.serving.live import Server, serving, wait_for
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Lineup
from visionloop.serving.client import ApiError, Client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Path]) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("service"), bundles) as found:
        yield found


def test_no_timer_of_bentoml_outlives_a_request() -> None:
    # Its middleware kept a timer of each request for a quarter of an hour.
    script = """
from visionloop.serving.service import VisionLoop
print([middleware.cls.__name__ for middleware in VisionLoop.to_asgi(is_main=True).user_middleware])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    names = done.stdout.splitlines()[-1]
    assert "'NoTimeout'" in names
    assert "'front'" in names
    assert "TimeoutMiddleware" not in names


@pytest.mark.slow
def test_the_client_gets_every_kind_of_answer(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded())
    with Client(server.url, session="me") as client:
        answer = client.classify(tmp_path / "a.png", encoded(seed=1), top_k=2)
        assert len(answer.predictions) == 2
        assert len(answer.predictions[0].ranked or ()) == 2
        assert client.detect(encoded(), threshold=0.0).predictions[0].detections
        assert sorted(client.predict(encoded()).results) == ["classification", "detection"]
        assert {row.role for row in client.models().models} == {"champion"}
        id_ = answer.predictions[0].id
        # Another worker than the one that answered may take it.
        assert client.feedback(id_, "corrected", label="red").verdict == "corrected"
        assert client.prediction(id_).feedback[0].label == "red"
        with pytest.raises(ApiError) as refused:
            client.classify(b"no image")
        assert (refused.value.status, refused.value.code) == (415, "image_unsupported_format")
    with Client("http://127.0.0.1:9") as nobody, pytest.raises(ApiError, match="no answer"):
        nobody.models()


@pytest.mark.slow
def test_a_request_is_a_line_of_json_in_the_log(server: Server) -> None:
    with Client(server.url) as client:
        wanted = client.classify(encoded()).request_id

    def lines() -> list[dict[str, object]]:
        text = (server.folder / "log").read_text()
        return [json.loads(line) for line in text.splitlines() if wanted in line]

    wait_for(lines, "a line about the request")
    [line] = lines()
    assert (line["event"], line["level"], line["status"], line["method"]) == ("request", "info", 200, "POST")
    assert {"at", "route", "ms"} <= line.keys()


@pytest.mark.slow
def test_metrics_of_both_workers_are_summed(server: Server) -> None:
    def images() -> float:
        text = urllib.request.urlopen(server.url + "/metrics", timeout=5).read().decode()
        lines = [line for line in text.splitlines() if line.startswith('visionloop_images_total{role="champion"')]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    before = images()
    for seed in range(6):
        with Client(server.url) as client:
            client.classify(encoded(seed=seed))
    assert images() == before + 6


@pytest.mark.slow
def test_swaps_under_load_lose_nothing(server: Server, bundles: dict[str, Path]) -> None:
    versions: list[str] = []
    errors: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        with Client(server.url) as client:
            while not stop.is_set():
                try:
                    versions.append(client.classify(encoded()).model.version)
                except ApiError as error:
                    errors.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(6):
        name = ("classification-2", "classification")[turn % 2]
        lineup = Lineup(champion=variant(bundles[name], str(2 - turn % 2)))
        deployment.change(server.folder / "mlruns/deployment.json", "classification", lambda _, lineup=lineup: lineup)  # type: ignore[misc]
        time.sleep(1.0)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(versions) > 50
    assert set(versions) == {"1", "2"}


@pytest.mark.slow
def test_a_dead_worker_is_replaced_while_the_other_serves(server: Server) -> None:
    victim = server.workers()[0]
    victim.kill()
    answered = 0
    for _ in range(20):
        with Client(server.url, timeout_s=10) as client:
            try:
                client.classify(encoded())
                answered += 1
            except ApiError as error:
                # Connections that the dead worker held are lost; new ones go to the other.
                assert error.code == "unreachable"
    assert answered >= 18
    end = time.monotonic() + 15
    while len(server.workers()) < 2 and time.monotonic() < end:
        time.sleep(0.2)
    assert len(server.workers()) == 2


@pytest.mark.slow
def test_it_stops_cleanly(server: Server) -> None:
    server.stop()
    assert server.status("/livez") == 0
    assert "Traceback" not in (server.folder / "log").read_text()
