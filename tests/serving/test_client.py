"""The client's own behaviour: what it retries, what it raises, how it streams."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.conftest import Service, encoded, listening
from visionloop.core.errors import VisionloopError
from visionloop.serving.client import ApiError, Client
from visionloop.serving.keys import KeyRing, create_key
from visionloop.serving.problems import Problem, problem_response

MODELS: dict[str, Any] = {"models": [], "failures": {}, "max_image_bytes": 10_000_000}
BATCH = {
    "id": "1", "task": "detection", "status": "waiting", "total": 1, "done": 0, "failures": 0, "skipped": 0,
    "created_at": 0.0, "url": "/v1/batches/1",
}  # fmt: skip


def refusal(status: int, retry_after: float | None = None) -> httpx.Response:
    problem = Problem(status, "why", "what", where="where", expected="that", action="do", retry_after=retry_after)
    sent = problem_response(problem, {"X-Request-ID": "r1"})
    return httpx.Response(status, headers=dict(sent.headers), content=bytes(sent.body))


class Answers(httpx.MockTransport):
    """Gives these answers one after another, and keeps the requests."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.bodies: list[bytes] = []
        self._answers = iter(answers)
        super().__init__(self._next)

    def _next(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.read())
        return next(self._answers)


def test_a_refusal_that_says_when_is_sent_again() -> None:
    slept: list[float] = []
    answers = Answers(refusal(503, 2), refusal(429, 7), httpx.Response(200, json=MODELS))
    with Client("http://service", transport=answers, sleep=slept.append) as client:
        assert client.models().models == []
    assert slept == [2, 7]


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        (lambda: refusal(503, 11), {}),  # longer than anybody wants to wait
        (lambda: refusal(503), {}),  # the service does not expect it to get better
        (lambda: refusal(504, 1), {}),  # the work would be done twice
        (lambda: refusal(400), {}),
        (lambda: refusal(503, 1), {"retries": 0}),
    ],
)
def test_what_is_not_sent_again(answer: Callable[[], httpx.Response], options: dict[str, int]) -> None:
    answers = Answers(answer())
    client = Client("http://service", transport=answers, sleep=pytest.fail, **options)  # type: ignore[arg-type]
    with client, pytest.raises(ApiError):
        client.models()
    assert len(answers.bodies) == 1


def test_retries_end() -> None:
    slept: list[float] = []
    answers = Answers(*(refusal(503, 1) for _ in range(4)))
    client = Client("http://service", transport=answers, retries=3, sleep=slept.append)
    with client, pytest.raises(ApiError) as refused:
        client.models()
    assert (slept, refused.value.retry_after) == ([1, 1, 1], 1)


def test_bodies_are_sent_whole_again(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded())
    answers = Answers(refusal(503, 1), httpx.Response(202, json=BATCH))
    with Client("http://service", transport=answers, sleep=lambda _: None) as client:
        assert client.submit_batch([tmp_path / "a.png"]).status == "waiting"
    first, second = answers.bodies
    assert first == second
    assert encoded() in first


def test_errors_say_what_the_service_said() -> None:
    with Client("http://service", transport=Answers(refusal(400))) as client, pytest.raises(ApiError) as refused:
        client.models()
    error = pickle.loads(pickle.dumps(refused.value))
    assert (error.status, error.code, error.request_id) == (400, "why", "r1")
    assert (error.what, error.where, error.expected, error.action) == ("what", "where", "that", "do")


def test_errors_of_others_are_told_apart() -> None:
    proxy = httpx.Response(502, html="<h1>Bad Gateway</h1>")
    with Client("http://service", transport=Answers(proxy)) as client, pytest.raises(ApiError) as refused:
        client.models()
    assert (refused.value.status, refused.value.code, refused.value.what) == (502, "unknown", "Bad Gateway")
    with Client("http://service") as client, pytest.raises(VisionloopError, match="cannot be read"):
        client.classify("missing.png")


def test_readiness_is_waited_for() -> None:
    slept: list[float] = []
    answers = Answers(refusal(503, 5), refusal(503, 5), httpx.Response(200, text="ready\n"))
    with Client("http://service", transport=answers, sleep=slept.append) as client:
        client.wait_ready(poll_s=0.5)
    assert slept == [0.5, 0.5]
    client = Client("http://service", transport=Answers(refusal(503, 5)), sleep=slept.append)
    with client, pytest.raises(TimeoutError, match="not ready after 0 s"):
        client.wait_ready(0)
    with Client("http://service", transport=Answers(refusal(400))) as client, pytest.raises(ApiError):
        client.ready()  # nobody gets ready who does not know the host


def test_frames_are_answered_to_the_last(service: Service) -> None:
    frames = [encoded(seed=seed) for seed in range(8)]
    frames[-2] = b"no image"
    with listening(service) as url, Client(url) as client:
        # One at a time, so that none is dropped; the last answer ends the stream.
        answered = threading.Semaphore(1)

        def paced() -> Iterator[bytes]:
            for frame in frames:
                assert answered.acquire(timeout=30)
                yield frame

        answers = []
        for answer in client.stream(paced(), task="classification", top_k=1):
            answers.append(answer)
            answered.release()
        assert [answer.frame for answer in answers] == list(range(1, 9))
        assert answers[-2].problem is not None
        assert answers[-2].problem.code == "image_unsupported_format"
        expected = client.classify(*frames[:-2]).predictions
        assert [answer.prediction and answer.prediction["class"] for answer in answers[:-2]] == [
            prediction.class_name for prediction in expected
        ]
        # All at once: what is dropped is counted, and the last is always answered.
        *_, last = client.stream(frames, task="classification")
        assert last.frame == 8
        assert list(client.stream([], task="classification")) == []


def test_a_stream_ends_as_it_should(service: Service, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield encoded()
        raise OSError("the camera is gone")

    create_key(tmp_path / "keys.json", "camera", "predict", datetime.now(UTC))
    with listening(service) as url, Client(url) as client:
        with pytest.raises(OSError, match="the camera is gone"):
            list(client.stream(broken(), task="detection"))
        with pytest.raises(ApiError) as refused:
            list(client.stream([encoded()]))
        assert (refused.value.status, refused.value.code) == (400, "bad_option")
        for answer in client.stream(iter(encoded, b""), task="detection"):  # never ends by itself
            assert answer.model is not None
            break
    with listening(service, KeyRing(tmp_path / "keys.json")) as url, Client(url) as client:
        with pytest.raises(ApiError) as refused:
            list(client.stream([encoded()], task="detection"))
        assert (refused.value.status, refused.value.code) == (401, "key_missing")
    with Client(url) as client, pytest.raises(ApiError) as refused:
        list(client.stream([encoded()], task="detection"))
    assert refused.value.code == "unreachable"


def test_it_loads_nothing_that_a_client_does_not_need() -> None:
    code = "import sys, visionloop.serving.client, visionloop.serving.client.frames; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"torch", "mlflow", "bentoml", "onnxruntime", "starlette", "numpy", "PIL", "sqlalchemy"})
