"""Many slow bodies at once: bounded together, refused in words, counted no longer once they are answered."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request

from tests.serving.conftest import SETTINGS, Service
from visionloop.serving.bodies import BodyBudget, held_body
from visionloop.serving.problems import Problem
from visionloop.serving.settings import ServingSettings, UploadSettings

HALF = 50_000


def noise() -> bytes:
    """A picture of more than half of the budget."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (140, 140, 3), np.uint8)).save(buffer, "PNG")
    assert HALF < len(buffer.getvalue()) < 2 * HALF
    return buffer.getvalue()


@pytest.fixture
def settings() -> ServingSettings:
    return SETTINGS.model_copy(update={"upload": UploadSettings(max_bodies_mb_at_once=2 * HALF / 1e6)})


def test_a_slow_body_leaves_others_only_the_rest(service: Service) -> None:
    picture, json_text = noise(), b'{"prediction_id": "a", "verdict": "right", "note": "' + b"x" * HALF + b'"}'

    async def scenario() -> list[httpx.Response]:
        arrived, go_on = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield picture[:HALF]
            yield picture[HALF : HALF + 1]
            arrived.set()  # what came before has been taken
            await go_on.wait()
            yield picture[HALF + 1 :]

        transport = httpx.ASGITransport(service.api.app())
        headers = {"content-type": "image/png"}
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client:
            slow = asyncio.create_task(client.post("/v1/classify", content=slowly(), headers=headers))
            await arrived.wait()
            refused = [
                await client.post("/v1/classify", content=picture, headers=headers),
                await client.post("/v1/classify", files={"image": picture}),
                await client.post("/v1/feedback", content=json_text, headers={"content-type": "application/json"}),
            ]
            go_on.set()
            return [*refused, await slow, await client.post("/v1/classify", content=picture, headers=headers)]

    *refused, slow, again = asyncio.run(scenario())
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (503, "bodies_exhausted")
        assert answer.json()["expected"] == "at most 0.1 MB at once in a worker (1 MB is 10**6 bytes)"
        assert answer.headers["Retry-After"] == "1"
    assert (slow.status_code, again.status_code) == (200, 200)


def test_a_client_that_leaves_and_one_that_is_refused_hold_nothing(service: Service) -> None:
    """Each takes more than half: one that was not given back would have the next refused."""

    async def leave() -> None:
        messages = iter([{"type": "http.request", "body": noise(), "more_body": True}, {"type": "http.disconnect"}])
        scope = {
            "type": "http", "method": "POST", "path": "/v1/classify", "query_string": b"",
            "headers": [(b"content-type", b"image/png")],
        }  # fmt: skip

        async def receive() -> Any:
            return next(messages)

        async def send(_: Any) -> None:
            pass

        await service.api.app()(scope, receive, send)

    async def scenario() -> list[int]:
        transport = httpx.ASGITransport(service.api.app())
        headers = {"content-type": "image/png"}
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client:
            for _ in range(3):
                await leave()
            broken = [await client.post("/v1/classify", content=noise()[:-400], headers=headers) for _ in range(3)]
            answered = await client.post("/v1/classify", content=noise(), headers=headers)
            return [*(one.status_code for one in broken), answered.status_code]

    assert asyncio.run(scenario()) == [400, 400, 400, 200]


def test_one_body_alone_may_have_more_than_all_together() -> None:
    budget = BodyBudget(100)
    scopes: list[dict[str, Any]] = [{"type": "http"}, {"type": "http"}]
    first, second = (budget.attach(Request(scope)) for scope in scopes)
    held_body(Request(scopes[0])).take(90)
    first.take(90)
    with pytest.raises(Problem) as caught:
        second.take(1)
    assert caught.value.code == "bodies_exhausted"
    first.give_back()
    first.give_back()
    second.take(100)
    assert budget.held == 100
    second.give_back()
    assert budget.held == 0
