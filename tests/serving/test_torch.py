"""The torch engine under several batches at once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.serving.conftest import SETTINGS, Service, encoded
from visionloop.artifact.predictor import Predictor
from visionloop.artifact.settings import RuntimeSettings
from visionloop.serving.settings import BatchingSettings, ServingSettings

ENGINE = RuntimeSettings(engine="torch", threads=1)


@pytest.fixture
def settings() -> ServingSettings:
    batching = BatchingSettings(parallel=4, max_batch=8, timeout_s=120.0)
    return SETTINGS.model_copy(update={"runtime": ENGINE, "batching": batching})


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns so often that they meet inside an inference."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_requests_of_many_images_at_once_get_their_own_answers(service: Service, bundles: dict[str, Path]) -> None:
    images = [[encoded(seed=8 * request + number) for number in range(request + 1)] for request in range(8)]

    async def scenario() -> list[httpx.Response]:
        transport = httpx.ASGITransport(service.api.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=120) as client:
            asked = (client.post("/v1/classify", files=[("image", one) for one in some]) for some in images)
            return await asyncio.gather(*asked)

    answers = asyncio.run(scenario())
    assert [answer.status_code for answer in answers] == [200] * 8
    store = service.api.store
    assert store is not None and store.flush()
    predictor = Predictor.open(bundles["classification"], ENGINE)
    for answer, some in zip(answers, images, strict=True):
        for told, expected in zip(answer.json()["predictions"], predictor.predict(some), strict=True):
            row = store.prediction(told["id"])
            assert row is not None
            # Another image's embedding would be stored without anybody noticing.
            embedding = np.frombuffer(row["embedding"], np.float16)
            assert np.allclose(embedding, expected.embedding.astype(np.float16), atol=1e-2)
            assert told["score"] == pytest.approx(float(expected.to_record(predictor.classes)["score"]), abs=1e-4)
