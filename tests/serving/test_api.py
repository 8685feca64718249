from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.serving.conftest import Service, encoded, problem
from visionloop.artifact.predictor import Predictor
from visionloop.serving.schema import PredictAnswer, ProblemBody, TaskAnswer


def test_the_answer_is_the_predictors(service: Service, bundles: dict[str, Path]) -> None:
    image = encoded()
    for verb, task in (("classify", "classification"), ("detect", "detection")):
        response = service.client.post(f"/v1/{verb}", content=image, headers={"Content-Type": "image/png"})
        assert response.status_code == 200, response.text
        answer = TaskAnswer.model_validate(response.json())
        predictor = Predictor.open(bundles[task])
        expected = predictor.predict([image])[0].to_record(predictor.classes)
        found = response.json()["predictions"][0]
        assert found.items() >= expected.items()
        assert (answer.model.name, answer.model.version) == (f"tiny-{task}", "1")
        assert (answer.predictions[0].image.width, answer.predictions[0].image.height) == (48, 40)
        assert answer.request_id == response.headers["X-Request-ID"]


def test_several_images_in_one_request_keep_their_order(service: Service) -> None:
    images = [encoded(seed=seed) for seed in range(5)]
    alone = [service.client.post("/v1/classify", files={"image": image}).json()["predictions"][0] for image in images]
    together = service.client.post("/v1/classify", files=[("image", image) for image in images]).json()["predictions"]
    assert [item["class"] for item in together] == [item["class"] for item in alone]
    assert [item["score"] for item in together] == pytest.approx([item["score"] for item in alone], abs=1e-5)
    assert len({item["id"] for item in together}) == 5


def test_predict_asks_every_task(service: Service) -> None:
    answer = PredictAnswer.model_validate(service.client.post("/v1/predict", files={"image": encoded()}).json())
    assert sorted(answer.results) == ["classification", "detection"]


def test_options(service: Service) -> None:
    files = {"image": encoded()}
    assert len(service.client.post("/v1/classify?top_k=2", files=files).json()["predictions"][0]["ranked"]) == 2
    all_boxes = service.client.post("/v1/detect", files=files, data={"threshold": "0"}).json()["predictions"][0]
    few = service.client.post("/v1/detect?threshold=0&top_k=3", files=files).json()["predictions"][0]
    assert few["detections"] == all_boxes["detections"][:3]
    for query in ("top_k=0", "threshold=2", "store=perhaps", "tresh=0.5"):
        problem(service.client.post(f"/v1/detect?{query}", files=files), 400, "bad_option")


def test_every_route_asks_for_the_task_alike(service: Service) -> None:
    def told(query: str) -> list[ProblemBody]:
        archive: dict[str, Any] = {"content": b"", "headers": {"Content-Type": "application/zip"}}
        answers = [
            service.client.post(f"/v1/explain{query}", files={"image": encoded()}),
            service.client.post(f"/v1/batches{query}", **archive),
        ]
        with service.client.websocket_connect(f"/v1/stream{query}") as socket:
            return [*(ProblemBody.model_validate(found.json()) for found in answers),
                    ProblemBody.model_validate(socket.receive_json()["problem"])]  # fmt: skip

    cases = [("?task=segmentation", 400, "bad_option"), ("", 400, "bad_option"), ("?task=", 400, "bad_option")]
    for query, status, code in [*cases, ("", 503, "not_deployed")]:
        if status == 503:
            service.lineup("classification", None)
            service.lineup("detection", None)
        first, *others = told(query)
        assert (first.status, first.code) == (status, code)
        assert others == [first, first]


def test_a_prediction_is_remembered_with_its_image_hashed_off_the_event_loop(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def hashed(data: bytes) -> str:
        threads.append(threading.current_thread().name)
        return hashlib.sha256(data).hexdigest()

    monkeypatch.setattr("visionloop.serving.live.sha256_bytes", hashed)
    image = encoded()
    answer = service.client.post("/v1/classify", files={"image": image}).json()
    found = service.client.get(f"/v1/predictions/{answer['predictions'][0]['id']}").json()
    assert (found["image_sha256"], found["image_bytes"]) == (hashlib.sha256(image).hexdigest(), len(image))
    assert (found["result"], found["request_id"]) == (answer["predictions"][0], answer["request_id"])
    assert [name.startswith("inference") for name in threads] == [True]


@pytest.mark.parametrize("verb", ["classify", "detect"])
def test_rows_mean_the_same_whatever_was_asked_for(service: Service, verb: str) -> None:
    files = {"image": encoded()}
    plain = service.client.post(f"/v1/{verb}", files=files).json()["predictions"][0]
    asked = service.client.post(f"/v1/{verb}?threshold=0&top_k=1", files=files).json()["predictions"][0]
    stored = service.client.get(f"/v1/predictions/{asked['id']}").json()["result"]
    # The page asks for everything and draws its own line; what is kept is what the model says by its operating point.
    assert stored == plain | {"id": asked["id"]}
    assert stored != asked


def test_stored_images_hold_pixels_only(service: Service) -> None:
    polyglot = encoded(format="JPEG") + b"<html><script>alert(1)</script></html>"
    service.client.post("/v1/classify", files={"image": polyglot})
    service.client.post("/v1/classify?store=false", files={"image": encoded(seed=9)})
    service.api.close()
    kept = [path for path in (service.root / "mlruns/images").rglob("*") if path.is_file()]
    assert len(kept) == 1
    assert b"script" not in kept[0].read_bytes()
    assert Image.open(kept[0]).size == (48, 40)


def test_unknown_routes_and_methods_are_problems(service: Service) -> None:
    problem(service.client.get("/nowhere"), 404, "no_such_route")
    problem(service.client.get("/v1/classify"), 405, "method_not_allowed")
    problem(
        service.client.post("/v1/classify", json={"image": "http://example.org/cat.jpg"}), 415, "unsupported_media_type"
    )


def test_the_openapi_document_names_every_route(service: Service) -> None:
    document = service.client.get("/openapi.json").json()
    assert {"/v1/classify", "/v1/detect", "/v1/predict", "/v1/feedback", "/v1/models"} <= document["paths"].keys()
    references = [part.split('"')[0] for part in json.dumps(document).split('"#/components/schemas/')[1:]]
    assert set(references) <= document["components"]["schemas"].keys()
