from __future__ import annotations

import asyncio
import io
import threading

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.serving.conftest import SETTINGS, Service, canary, encoded, problem
from visionloop.artifact.deployment import Deployment
from visionloop.artifact.saliency import saliency
from visionloop.core.images import ImageArray
from visionloop.serving import explain
from visionloop.serving.client import Client
from visionloop.serving.schema import ModelRef
from visionloop.serving.settings import ServingSettings


@pytest.fixture
def settings() -> ServingSettings:
    return SETTINGS.model_copy(update={"explain_masks": 12})


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_the_answer_is_a_picture_as_large_as_the_image(service: Service, task: str) -> None:
    image = encoded(48, 40)
    response = service.client.post(f"/v1/explain?task={task}", content=image, headers={"Content-Type": "image/png"})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    picture = Image.open(io.BytesIO(response.content))
    assert (picture.format, picture.size) == ("PNG", (48, 40))
    again = service.client.post("/v1/explain", files={"image": image}, data={"task": task})
    assert again.content == response.content


def test_the_picture_is_upright(service: Service) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    response = service.client.post("/v1/explain?task=detection", files={"image": encoded(48, 40, exif=exif)})
    assert Image.open(io.BytesIO(response.content)).size == (40, 48)


@pytest.mark.parametrize(("task", "verb"), [("classification", "classify"), ("detection", "detect")])
def test_the_numbers_where_json_is_preferred(service: Service, task: str, verb: str) -> None:
    files = {"image": encoded(96, 48)}
    headers = {"Accept": "application/json"}
    answer = service.client.post(f"/v1/explain?task={task}", files=files, headers=headers).json()
    assert set(answer) == {"task", "model", "prediction", "grid"}
    assert answer["task"] == task
    model = ModelRef.model_validate(answer["model"])
    assert (model.task, model.name, model.role) == (task, f"tiny-{task}", "champion")
    said = service.client.post(f"/v1/{verb}", files=files).json()["predictions"][0]
    assert answer["prediction"].keys() == said.keys() - {"id", "image"}
    if task == "classification":
        assert answer["prediction"]["class"] == said["class"]
        assert answer["prediction"]["score"] == pytest.approx(said["score"], abs=1e-5)
    grid = np.array(answer["grid"])
    assert grid.shape == (16, 32)
    assert 0.0 <= grid.min() <= grid.max() <= 1.0


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "image/png"),
        ("", "image/png"),
        ("image/*, application/json;q=0.9", "image/png"),
        ("application/json;q=0", "image/png"),
        ("text/html", "image/png"),
        ("application/json, image/png", "image/png"),
        ("application/json, text/plain, */*", "application/json"),
        ("image/png;q=0.5, application/JSON; q=0.6", "application/json"),
        ("application/*", "application/json"),
    ],
)
def test_what_the_client_accepts_decides(service: Service, accept: str, kind: str) -> None:
    files = {"image": encoded()}
    response = service.client.post("/v1/explain?task=classification", files=files, headers={"Accept": accept})
    assert response.headers["content-type"] == kind


def test_one_image_at_a_time(service: Service) -> None:
    files = [("image", encoded(seed=seed)) for seed in range(2)]
    problem(service.client.post("/v1/explain?task=detection", files=files), 400, "too_many_images")


def test_the_task_is_named_where_there_are_several(service: Service) -> None:
    files = {"image": encoded()}
    body = problem(service.client.post("/v1/explain", files=files), 400, "bad_option")
    assert body.expected == "one of classification, detection"
    service.lineup("detection", None)
    assert service.client.post("/v1/explain", files=files).status_code == 200
    problem(service.client.post("/v1/explain?task=detection", files=files), 400, "bad_option")


def test_options_that_there_are_not(service: Service) -> None:
    files = {"image": encoded()}
    for query in ("task=segmentation", "task=detection&top_k=3", "tsk=detection"):
        problem(service.client.post(f"/v1/explain?{query}", files=files), 400, "bad_option")
    problem(service.client.post("/v1/explain", files=files, data={"top_k": "3"}), 400, "unexpected_field")


def test_what_is_no_image_is_refused(service: Service) -> None:
    files = {"image": b"no image at all"}
    problem(service.client.post("/v1/explain?task=detection", files=files), 415, "image_unsupported_format")
    problem(service.client.post("/v1/explain?task=detection", files={"image": encoded()[:200]}), 400, "image_truncated")


def test_the_champion_is_explained_and_nothing_is_stored(service: Service, bundles: dict[str, object]) -> None:
    deployed = Deployment.read(service.root / "mlruns/deployment.json").tasks["classification"]
    trial = deployed.model_copy(update={"canary": canary(bundles["classification-2"], 1.0)})  # type: ignore[arg-type]
    service.lineup("classification", trial)
    headers = {"Accept": "application/json"}
    files = {"image": encoded()}
    answer = service.client.post("/v1/explain?task=classification", files=files, headers=headers).json()
    assert (answer["model"]["role"], answer["model"]["version"]) == ("champion", "1")
    assert not list((service.root / "mlruns").glob("images/**/*.png"))


def test_predictions_go_on_and_a_fourth_explanation_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, release = threading.Event(), threading.Event()
    real = explain.saliency

    def slow(*args: object, **options: object) -> object:
        begun.set()
        assert release.wait(20)
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(explain, "saliency", slow)
    files = {"image": encoded()}

    async def scenario() -> tuple[list[httpx.Response], httpx.Response, httpx.Response]:
        transport = httpx.ASGITransport(service.api.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            tasks = [asyncio.create_task(client.post("/v1/explain?task=detection", files=files)) for _ in range(4)]
            refused = await next(asyncio.as_completed(tasks))
            predicted = await client.post("/v1/detect", files=files)
            assert await asyncio.to_thread(begun.wait, 10)
            release.set()
            return list(await asyncio.gather(*tasks)), refused, predicted

    explained, refused, predicted = asyncio.run(scenario())
    problem(refused, 503, "overloaded")
    assert int(refused.headers["Retry-After"]) >= 1
    assert predicted.status_code == 200
    assert sorted(response.status_code for response in explained) == [200, 200, 200, 503]


class TestDeadline:
    @pytest.fixture
    def settings(self) -> ServingSettings:
        return SETTINGS.model_copy(update={"explain_masks": 64, "explain_timeout_s": 0.5})

    def test_an_explanation_that_takes_too_long_is_given_up_and_its_work_stops(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        release, ended = threading.Event(), threading.Event()
        batches: list[int] = []
        predictor = service.api.fleet.lineups["detection"].champion.predictor
        run = predictor.run

        def slow(images: ImageArray) -> object:
            if len(images) > 1:  # masks; the image itself is asked about alone
                batches.append(len(images))
                assert release.wait(60)
            return run(images)

        def watched(*args: object, **options: object) -> object:
            try:
                return saliency(*args, **options)  # type: ignore[arg-type]
            finally:
                ended.set()

        monkeypatch.setattr(predictor, "run", slow)
        monkeypatch.setattr("visionloop.serving.explain.saliency", watched)
        files = {"image": encoded()}
        while not batches:  # a machine that stands still may take all the time before the work has begun
            response = service.client.post("/v1/explain?task=detection", files=files)
            body = problem(response, 504, "too_late")
        assert "0.5 s" in body.detail
        assert response.headers["Retry-After"] == "1"
        release.set()
        assert ended.wait(60)
        assert len(batches) == 1  # of four
        told = service.client.get("/metrics").text
        assert 'visionloop_explanation_seconds_count{outcome="too_late",task="detection"}' in told


def test_the_client_brings_the_picture(service: Service) -> None:
    with Client("http://testserver", transport=service.client._transport) as client:
        picture = client.explain(encoded(48, 40), task="classification")
    assert Image.open(io.BytesIO(picture)).size == (48, 40)


def test_the_document_describes_both_forms(service: Service) -> None:
    operation = service.client.get("/openapi.json").json()["paths"]["/v1/explain"]["post"]
    assert set(operation["responses"]["200"]["content"]) == {"image/png", "application/json"}
    assert [parameter["name"] for parameter in operation["parameters"]] == ["task"]
