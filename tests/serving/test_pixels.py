"""What a worker holds of large images: little, and not many at once."""

from __future__ import annotations

import asyncio
import io
import threading
import tracemalloc

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.serving.conftest import SETTINGS, Service, encoded, problem
from visionloop.serving.pixels import PixelBudget, shrunk
from visionloop.serving.problems import Problem
from visionloop.serving.settings import BatchingSettings, ServingSettings, UploadSettings

WIDTH, HEIGHT = 2500, 1600


def large(seed: int) -> bytes:
    """A file of a few kilobytes with four million pixels."""
    picture = Image.new("1", (WIDTH, HEIGHT))
    picture.paste(1, (40 * seed, 40 * seed, 40 * seed + 400, 40 * seed + 300))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    assert buffer.tell() < 20_000
    return buffer.getvalue()


def held_at_most(megabytes: float) -> None:
    peak = tracemalloc.get_traced_memory()[1]
    assert peak < megabytes * 1e6, f"{peak / 1e6:.0f} MB"


class TestOneAfterTheOther:
    @pytest.fixture
    def settings(self) -> ServingSettings:
        return SETTINGS.model_copy(
            update={"explain_masks": 2, "batching": BatchingSettings(parallel=1, timeout_s=120.0)}
        )

    def test_a_request_of_large_images_takes_the_memory_of_one(self, service: Service) -> None:
        images = [large(seed % 2) for seed in range(8)]
        tracemalloc.start()
        try:
            answer = service.client.post("/v1/classify", files=[("image", image) for image in images])
            service.api.close()
            # Decoded, each takes 12 MB; eight of them would take 96.
            held_at_most(40)
        finally:
            tracemalloc.stop()
        assert answer.status_code == 200
        assert [one["image"] for one in answer.json()["predictions"]] == [{"width": WIDTH, "height": HEIGHT}] * 8
        kept = sorted((service.root / "mlruns/images").rglob("*.jpg"))
        assert [Image.open(path).size for path in kept] == [(WIDTH, HEIGHT)] * 2

    def test_a_large_image_is_explained_by_a_smaller_picture(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("visionloop.serving.explain._SHOWN_PIXELS", 1_000_000)
        files = {"image": large(1)}
        sent = {"Accept": "application/json"}
        told = service.client.post("/v1/explain?task=detection", files=files, headers=sent).json()
        # Boxes stay those of the image.
        said = service.client.post("/v1/detect", files=files).json()["predictions"][0]
        assert told["prediction"] == {"detections": said["detections"]}
        response = service.client.post("/v1/explain?task=detection", files=files)
        assert Image.open(io.BytesIO(response.content)).size == (1250, 800)


class TestTooMany:
    @pytest.fixture
    def settings(self) -> ServingSettings:
        return SETTINGS.model_copy(
            update={
                "upload": UploadSettings(max_pixels_at_once=5_000),
                "batching": BatchingSettings(parallel=2, timeout_s=60.0),
            }
        )

    def test_an_image_beyond_the_budget_is_refused_and_may_come_again(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, release = threading.Event(), threading.Event()

        def slow(*args: object) -> object:
            begun.set()
            assert release.wait(60)
            return shrunk(*args)  # type: ignore[arg-type]

        monkeypatch.setattr("visionloop.serving.live.shrunk", slow)

        async def scenario() -> tuple[httpx.Response, httpx.Response, httpx.Response]:
            transport = httpx.ASGITransport(service.api.app())
            async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client:
                first = asyncio.create_task(client.post("/v1/classify", files={"image": encoded(100, 60)}))
                assert await asyncio.to_thread(begun.wait, 60)
                refused = await client.post("/v1/classify", files={"image": encoded(60, 60)})
                release.set()
                answered = await first
                return answered, refused, await client.post("/v1/classify", files={"image": encoded(60, 60)})

        # Alone even an image beyond the whole budget is answered.
        answered, refused, again = asyncio.run(scenario())
        body = problem(refused, 503, "pixels_exhausted")
        assert body.expected == "at most 5,000 pixels at once in a worker"
        assert refused.headers["Retry-After"] == "1"
        assert (answered.status_code, again.status_code) == (200, 200)


def test_pixels_are_given_back_whatever_happens() -> None:
    budget = PixelBudget(100)
    with pytest.raises(ValueError, match="broken"), budget.share() as share:
        share.take(60)
        share.take(40)
        with pytest.raises(Problem) as caught, budget.share() as other:
            other.take(1)
        assert caught.value.what == "images of 100 pixels are being decoded already"
        raise ValueError("broken")
    assert budget.held == 0


def test_who_has_patience_waits_for_others() -> None:
    budget = PixelBudget(100)
    waiting = threading.Event()
    done: list[int] = []

    def wait() -> None:
        with budget.share() as share:
            waiting.set()
            share.take(80, patience_s=60)
            done.append(budget.held)

    thread = threading.Thread(target=wait)
    with budget.share() as share:
        share.take(50)
        thread.start()
        assert waiting.wait(60)
        assert not done
    thread.join(60)
    assert done == [80]


@pytest.mark.parametrize(
    ("size", "expected"), [((40, 30), (40, 30)), ((4000, 1000), (1000, 250)), ((2, 900_000), (1, 250_000))]
)
def test_a_picture_is_scaled_down_to_so_many_pixels(size: tuple[int, int], expected: tuple[int, int]) -> None:
    picture = shrunk(np.full((*size, 3), 7, np.uint8), 250_000)
    assert picture.shape == (*expected, 3)
    assert (picture == 7).all()
