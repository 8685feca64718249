"""The service as an ML backend of Label Studio, asked as Label Studio's client asks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.serving.conftest import SETTINGS, Service, encoded, serving
from visionloop.monitoring.exchange.label_studio import labelling_config
from visionloop.serving.front import role_of
from visionloop.serving.guard import Guard
from visionloop.serving.keys import KeyRing, create_key
from visionloop.serving.settings import UploadSettings

IMAGE = f"data:image/png;base64,{base64.b64encode(encoded()).decode()}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Path]) -> Iterator[Service]:
    settings = SETTINGS.model_copy(update={"upload": UploadSettings(max_image_mb=0.5, max_request_mb=2)})
    with serving(tmp_path_factory.mktemp("label-studio"), bundles, settings) as served:
        yield served


def classes(service: Service, task: str) -> list[str]:
    models = service.client.get("/v1/models").json()["models"]
    return list(next(model["classes"] for model in models if model["task"] == task))


def config(service: Service, task: str) -> str:
    return labelling_config(classes(service, task), boxes=task == "detection")


def predict(service: Service, label_config: str, *data: dict[str, Any]) -> Any:
    """As `MLApi.make_predictions` of Label Studio does."""
    body = {
        "tasks": [{"id": 17 + place, "data": item, "predictions": []} for place, item in enumerate(data)],
        "model_version": None, "project": "3.1763732712", "label_config": label_config,
        "params": {"login": None, "password": None, "context": None},
    }  # fmt: skip
    return service.client.post("/label-studio/predict", json=body)


def refused(answer: Any) -> tuple[int, str, str]:
    problem = answer.json()
    return answer.status_code, problem["code"], problem["where"]


def test_label_studio_finds_the_model_of_its_project(service: Service) -> None:
    assert service.client.get("/label-studio/health").json()["status"] == "UP"
    for task in ("classification", "detection"):
        body = {"project": "3.1", "schema": config(service, task), "hostname": "http://x", "access_token": "t"}
        answer = service.client.post("/label-studio/setup", json=body)
        assert answer.json() == {"model_version": f"tiny-{task} 1"}


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_pre_annotations_are_what_the_model_answers(service: Service, task: str) -> None:
    verb = {"classification": "classify", "detection": "detect"}[task]
    (shown,) = service.client.post(f"/v1/{verb}", files={"image": encoded()}).json()["predictions"]
    told = predict(service, config(service, task), {"image": IMAGE}).json()
    assert told["model_version"] == f"tiny-{task} 1"
    (found,) = told["results"]
    if task == "classification":
        assert found["result"][0]["value"] == {"choices": [shown["class"]]}
        assert found["score"] == pytest.approx(shown["score"])
    else:
        assert len(found["result"]) == len(shown["detections"])
        for item, box in zip(found["result"], shown["detections"], strict=True):
            value = item["value"]
            assert value["rectanglelabels"] == [box["class"]]
            assert value["x"] * 48 / 100 == pytest.approx(box["box_xyxy"][0])
            assert (value["y"] + value["height"]) * 40 / 100 == pytest.approx(box["box_xyxy"][3])


def test_an_exported_task_is_answered_by_the_image_that_was_kept(service: Service) -> None:
    store = service.api.store
    assert store is not None
    (asked,) = service.client.post("/v1/classify", files={"image": encoded(seed=5)}).json()["predictions"]
    assert store.flush()
    row = store.prediction(asked["id"])
    assert row is not None
    service.client.get(f"/v1/predictions/{asked['id']}/image")  # waits until it is written
    task = {"image": "/data/local-files/?d=a.png", "prediction_id": asked["id"], "image_sha256": row["image_sha256"]}
    label_config = config(service, "classification")
    (found,) = predict(service, label_config, task).json()["results"]
    assert found["result"][0]["value"]["choices"] == [asked["class"]]
    # A labeller's look is no traffic.
    assert store.flush()
    before = len(service.client.get("/v1/predictions").json()["predictions"])
    predict(service, label_config, task, {"image": IMAGE})
    assert store.flush()
    assert len(service.client.get("/v1/predictions").json()["predictions"]) == before
    other = task | {"image_sha256": "0" * 64}
    assert refused(predict(service, label_config, other))[:2] == (404, "unknown_prediction")
    (lost,) = service.client.post("/v1/classify?store=false", files={"image": encoded(seed=6)}).json()["predictions"]
    assert store.flush()
    told = refused(predict(service, label_config, task, {"prediction_id": lost["id"]}))
    assert told == (404, "image_not_kept", "task 18")


def test_many_tasks_are_answered_in_order(service: Service) -> None:
    images = [f"data:image/png;base64,{base64.b64encode(encoded(seed=seed)).decode()}" for seed in range(20)]
    shown = [
        service.client.post("/v1/classify", files={"image": encoded(seed=seed)}).json()["predictions"][0]["class"]
        for seed in (0, 19)
    ]
    told = predict(service, config(service, "classification"), *({"image": image} for image in images)).json()
    assert len(told["results"]) == 20
    assert [told["results"][at]["result"][0]["value"]["choices"] for at in (0, 19)] == [[name] for name in shown]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"image": "https://example.org/a.png"}, (422, "images_by_url", "task 17")),
        ({"image": "/data/local-files/?d=a.png"}, (422, "images_by_url", "task 17")),
        ({"image": "file:///etc/passwd"}, (422, "images_by_url", "task 17")),
        ({}, (422, "images_by_url", "task 17")),
        ({"image": "data:image/png,abc"}, (422, "bad_task", "task 17")),
        ({"image": "data:image/png;base64,a%b"}, (422, "bad_task", "task 17")),
        ({"image": "data:image/svg+xml;base64,PHN2Zy8+"}, (415, "image_unsupported_format", "task 17")),
        ({"image": "data:image/png;base64," + "A" * 800_000}, (413, "image_too_many_bytes", "task 17")),
        ({"prediction_id": "none"}, (404, "unknown_prediction", "prediction id")),
    ],
)
def test_other_images_are_refused_with_their_task(
    service: Service, data: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    assert refused(predict(service, config(service, "classification"), data)) == expected


@pytest.mark.parametrize(
    "label_config",
    [
        "",
        "<View/>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><View>&b;</View>",
        labelling_config(["cat", "dog"], boxes=False),
        labelling_config(["cat"], boxes=True),
        "<View><Text name='t' value='$t'/><Choices name='c' toName='t'><Choice value='red'/></Choices></View>",
    ],
)
def test_a_project_that_no_model_fits_is_told_so(service: Service, label_config: str) -> None:
    answer = service.client.post("/label-studio/setup", json={"schema": label_config})
    assert refused(answer) == (422, "unfit_label_config", "labelling configuration")
    assert refused(predict(service, label_config, {"image": IMAGE}))[1] == "unfit_label_config"


@pytest.mark.parametrize("body", [{}, [], {"tasks": [], "label_config": ""}, {"tasks": [{}], "label_config": ""}])
def test_another_body_is_refused(service: Service, body: Any) -> None:
    assert refused(service.client.post("/label-studio/predict", json=body))[:2] == (422, "bad_task")


def test_the_key_is_the_password_of_basic_authentication(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    secrets = {role: create_key(file, role, role, datetime.now(UTC))[1] for role in ("predict", "feedback")}
    refusals: list[str] = []
    guarded = Guard(
        service.api.app(), ring=KeyRing(file), settings=service.settings, role_of=role_of,
        on_refusal=lambda path, _: refusals.append(path),
    )  # fmt: skip
    client = TestClient(guarded)
    body = json.dumps({"tasks": [{"data": {"image": IMAGE}}], "label_config": config(service, "classification")})
    ask = {"content": body, "headers": {"Content-Type": "application/json"}}
    assert client.get("/label-studio/health").status_code == 401
    assert client.get("/label-studio/health", auth=("anybody", secrets["predict"])).status_code == 200
    assert client.post("/label-studio/predict", auth=("", secrets["feedback"]), **ask).status_code == 200
    # A task may name a kept image: that takes the role of those who look at them.
    assert refused(client.post("/label-studio/predict", auth=("", secrets["predict"]), **ask))[1] == "role_too_low"
    assert client.get("/label-studio/health", auth=("anybody", "vl_wrong")).json()["code"] == "key_unknown"
    # Elsewhere a password is no key: a browser would send it along with another site's requests.
    assert client.get("/v1/models", auth=("anybody", secrets["predict"])).json()["code"] == "key_missing"
    # Its events come without the password it was given: no route, and no refusal that would raise an alert.
    assert client.post("/label-studio/webhook", json={"action": "ANNOTATION_CREATED"}).status_code == 404
    assert "/label-studio/webhook" not in refusals
