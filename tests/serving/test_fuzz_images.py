"""10,000 damaged images: each is answered or refused by the rules, in bounded time and memory, without a word."""

from __future__ import annotations

import json
import warnings
from collections import Counter

import psutil
import pytest

from tests.serving.conftest import SETTINGS, Service
from tests.serving.mutate import Seed, image_seeds, mutants, pieces
from visionloop.core.errors import ImageError
from visionloop.core.images import decode_image, image_size
from visionloop.serving.schema import ProblemBody, TaskAnswer
from visionloop.serving.settings import KeySettings, ServingSettings, UploadSettings

MAX_PIXELS = 1_000_000
NUM_DECODED, NUM_SENT, NUM_FRAMES = 7_000, 2_600, 400
REFUSED = {
    "image_empty": 400,
    "empty_body": 400,
    "image_truncated": 400,
    "image_unsupported_format": 415,
    "image_animated": 422,
    "image_too_many_pixels": 422,
    "image_too_small": 422,
}
CUSTOM_VISION = "/customvision/v3.1/Prediction/p/classify/iterations/champion/image"
ROUTES = ("/v1/classify", "/v1/detect", "/v1/predict", CUSTOM_VISION)


@pytest.fixture(scope="module")
def seeds() -> list[Seed]:
    return image_seeds()


@pytest.fixture
def settings() -> ServingSettings:
    update = {"upload": UploadSettings(max_pixels=MAX_PIXELS), "keys": KeySettings(requests_per_minute=10**6)}
    return SETTINGS.model_copy(update=update)


def memory_mb() -> float:
    return float(psutil.Process().memory_info().rss / 1e6)


def test_the_seeds_are_sound_and_of_every_kind(seeds: list[Seed]) -> None:
    for name, data in seeds:
        assert b"".join(pieces(data)) == data
        if "animated" in name:
            with pytest.raises(ImageError, match="animated"):
                decode_image(data)
        else:
            assert sorted(decode_image(data).shape) == [3, 20, 24], name


def test_the_decoder(seeds: list[Seed], capfd: pytest.CaptureFixture[str]) -> None:
    outcomes: Counter[str] = Counter()
    before = 0.0
    with warnings.catch_warnings():
        # Whatever still warned would fail here.
        warnings.simplefilter("error")
        for number, data in enumerate(mutants(seeds, NUM_DECODED, seed=1)):
            try:
                image = decode_image(data, max_pixels=MAX_PIXELS)
                outcomes["decoded"] += 1
                assert image.shape[2] == 3 and image.size <= 3 * MAX_PIXELS
                assert image_size(data) == (image.shape[1], image.shape[0])
            except ImageError as error:
                outcomes[error.code] += 1
                assert error.what and error.where and error.expected and error.action
            if number == NUM_DECODED // 10:
                before = memory_mb()
    assert memory_mb() - before < 60
    assert capfd.readouterr().err == ""
    # The mutations are worth something only while every outcome is met, and a good part gets past the header.
    assert min(outcomes[code] for code in ("decoded", "truncated", "unsupported_format", "animated", "too_large")) > 20
    assert outcomes["decoded"] + outcomes["truncated"] > NUM_DECODED / 3, outcomes


def test_the_routes(service: Service, seeds: list[Seed], capfd: pytest.CaptureFixture[str]) -> None:
    outcomes: Counter[str] = Counter()
    before = 0.0
    for number, data in enumerate(mutants(seeds, NUM_SENT, seed=2)):
        route = ROUTES[number % len(ROUTES)]
        if number % 2:
            response = service.client.post(route, files={"image": data})
        else:
            response = service.client.post(route, content=data, headers={"Content-Type": "image/png"})
        outcomes[check(route, response.status_code, response.content)] += 1
        if number == NUM_SENT // 10:
            before = memory_mb()
    assert memory_mb() - before < 60
    assert capfd.readouterr().err == ""
    assert outcomes["answered"] > NUM_SENT / 8, outcomes


def check(route: str, status: int, content: bytes) -> str:
    body = json.loads(content)
    if status == 200:
        if route in ROUTES[:2]:
            TaskAnswer.model_validate(body)
        return "answered"
    if route == CUSTOM_VISION:
        assert status in (400, 415, 422), content
        assert body.keys() == {"code", "message"}
        return str(body["code"])
    problem = ProblemBody.model_validate(body)
    assert REFUSED[problem.code] == problem.status == status, content
    return problem.code


@pytest.mark.parametrize("task", ["classification"])
def test_frames_of_a_stream(service: Service, seeds: list[Seed], task: str) -> None:
    outcomes: Counter[str] = Counter()
    with service.client.websocket_connect(f"/v1/stream?task={task}") as socket:
        for number, data in enumerate(mutants(seeds, NUM_FRAMES, seed=3), 1):
            socket.send_bytes(data)
            answer = json.loads(socket.receive_text())
            assert (answer["frame"], answer["dropped"]) == (number, 0)
            problem = answer.get("problem")
            if problem is not None:
                assert REFUSED[problem["code"]] == problem["status"]
            outcomes["refused" if problem else "answered"] += 1
    assert min(outcomes.values()) > NUM_FRAMES / 8
