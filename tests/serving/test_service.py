"""The real thing: `bentoml serve` with two workers, over sockets, through swaps, dead workers and a stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.serving.conftest import encoded, variant
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Lineup
from visionloop.serving.client import ApiError, Client

ROOT = Path(__file__).resolve().parents[2]


class Server:
    """A service in a folder of its own."""

    def __init__(self, folder: Path, **serving: object) -> None:
        """`serving` are settings in place of those here."""
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        defaults = {"workers": 2, "poll_s": 0.2, "keys": {"requests_per_minute": 10**6}}
        (folder / "params.yaml").write_text(json.dumps({"serving": defaults | serving}))
        self.log = (folder / "log").open("w")
        environment = os.environ | {"OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "True"}
        environment.pop("VISIONLOOP_PARAMS", None)
        self.process = subprocess.Popen(
            [str(Path(sys.executable).parent / "visionloop"), "serve", "--port", str(self.port)],
            cwd=folder, env=environment, stdout=self.log, stderr=self.log, start_new_session=True,
        )  # fmt: skip
        self.wait_ready()

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
        end = time.monotonic() + 240
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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Path]) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("service")
    for task in ("classification", "detection"):
        lineup = Lineup(champion=variant(bundles[task]))
        deployment.change(folder / "mlruns/deployment.json", task, lambda _, lineup=lineup: lineup)  # type: ignore[misc]
    found = Server(folder)
    yield found
    found.stop()


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
        assert client.prediction(id_)["feedback"][0]["label"] == "red"
        with pytest.raises(ApiError) as refused:
            client.classify(b"no image")
        assert (refused.value.status, refused.value.code) == (415, "image_unsupported_format")
    with Client("http://127.0.0.1:9") as nobody, pytest.raises(ApiError, match="no answer"):
        nobody.models()


@pytest.mark.slow
def test_the_examples_of_the_documentation(server: Server, tmp_path: Path) -> None:
    for name in ("photo.jpg", "a.jpg", "b.jpg", "scan.png"):
        (tmp_path / name).write_bytes(encoded(format="JPEG" if name.endswith("jpg") else "PNG"))
    text = (ROOT / "docs/serving.md").read_text().replace("http://127.0.0.1:3000", server.url)
    block = next(part for part in text.split("```") if part.strip().startswith("curl"))
    for line in block.strip().splitlines():
        done = subprocess.run(
            ["bash", "-ec", f"{line} --fail --silent"], cwd=tmp_path, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, line
        assert json.loads(done.stdout)["request_id"]
    script = next(part for part in text.split("```") if part.startswith("python")).removeprefix("python")
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] in ("blue", "green", "red")


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
    end = time.monotonic() + 20
    while len(server.workers()) < 2 and time.monotonic() < end:
        time.sleep(0.2)
    assert len(server.workers()) == 2


@pytest.mark.slow
def test_it_stops_cleanly(server: Server) -> None:
    server.stop()
    assert server.status("/livez") == 0
    assert "Traceback" not in (server.folder / "log").read_text()
