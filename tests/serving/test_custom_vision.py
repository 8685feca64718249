"""The vendor's own client against our service."""

from __future__ import annotations

import io
import socket
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.cognitiveservices.vision.customvision.prediction import CustomVisionPredictionClient
from azure.cognitiveservices.vision.customvision.prediction.models import (
    CustomVisionErrorCodes,
    CustomVisionErrorException,
    ImagePrediction,
)
from msrest.authentication import ApiKeyCredentials

from tests.serving.conftest import Service, canary, encoded, listening, variant
from visionloop.artifact.deployment import Lineup
from visionloop.serving.front import role_of
from visionloop.serving.keys import KeyRing, create_key
from visionloop.serving.problems import Problem

PROJECT = "7f4e3c1a-5b0d-4c51-9a44-0d6a4ad5a1f2"
IMAGE = encoded()
WIDTH, HEIGHT = 48, 40


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    with listening(service) as address:
        yield address


def vendor_client(address: str, key: str = "any") -> CustomVisionPredictionClient:
    return CustomVisionPredictionClient(address, ApiKeyCredentials(in_headers={"Prediction-key": key}))


@pytest.fixture
def vendor(address: str) -> Iterator[CustomVisionPredictionClient]:
    with vendor_client(address) as client:
        yield client


def route(verb: str = "classify", end: str = "image", name: str = "champion", version: str = "v3.1") -> str:
    return f"/customvision/{version}/Prediction/{PROJECT}/{verb}/iterations/{name}/{end}"


def post(address: str, path: str, content: bytes = IMAGE, **options: Any) -> httpx.Response:
    headers = {"Content-Type": "application/octet-stream"}
    return httpx.post(address + path, content=content, headers=headers, **options)


def refused(ask: Callable[[], ImagePrediction], status: int, code: str) -> str:
    with pytest.raises(CustomVisionErrorException) as caught:
        ask()
    error = caught.value
    assert (error.response.status_code, error.error.code) == (status, code)
    assert code in list(CustomVisionErrorCodes)
    assert str(error) == error.error.message
    return str(error)


def kept_images(service: Service) -> list[Path]:
    service.api.close()
    return [path for path in (service.root / "mlruns/images").rglob("*") if path.is_file()]


def test_classification_has_every_tag_with_its_probability(address: str, vendor: CustomVisionPredictionClient) -> None:
    answer = vendor.classify_image(PROJECT, "champion", IMAGE)
    ours = post(address, "/v1/classify?top_k=1000").json()["predictions"][0]["ranked"]
    assert [(tag.tag_name, tag.probability) for tag in answer.predictions] == [
        (entry["class"], pytest.approx(entry["score"], abs=1e-5)) for entry in ours
    ]
    assert sum(tag.probability for tag in answer.predictions) == pytest.approx(1, abs=1e-4)
    assert {tag.tag_type for tag in answer.predictions} == {"Regular"}
    assert {tag.bounding_box for tag in answer.predictions} == {None}


def test_boxes_are_ours_as_shares_of_the_image(address: str, vendor: CustomVisionPredictionClient) -> None:
    answer = vendor.detect_image(PROJECT, "champion", IMAGE)
    ours = post(address, "/v1/detect?threshold=0").json()["predictions"][0]["detections"]
    assert ours
    assert [tag.tag_name for tag in answer.predictions] == [entry["class"] for entry in ours]
    probabilities = [tag.probability for tag in answer.predictions]
    assert probabilities == pytest.approx([entry["score"] for entry in ours], abs=1e-5)
    assert probabilities == sorted(probabilities, reverse=True)
    for tag, entry in zip(answer.predictions, ours, strict=True):
        box = tag.bounding_box
        assert min(box.left, box.top, box.width, box.height) >= 0
        assert max(box.left + box.width, box.top + box.height) <= 1 + 1e-9
        found = (
            box.left * WIDTH, box.top * HEIGHT, (box.left + box.width) * WIDTH, (box.top + box.height) * HEIGHT
        )  # fmt: skip
        assert found == pytest.approx(entry["box_xyxy"], abs=0.02)


def test_ids_are_uuids_that_stay_while_the_model_stays(
    service: Service, vendor: CustomVisionPredictionClient, bundles: dict[str, Path]
) -> None:
    before = datetime.now(UTC)
    answers = [vendor.classify_image(PROJECT, "champion", encoded(seed=seed)) for seed in range(2)]
    service.lineup("classification", Lineup(champion=variant(bundles["classification-2"], "2")))
    answers.append(vendor.classify_image(PROJECT, "champion", IMAGE))
    first, second, other_model = answers
    tags = [{tag.tag_name: tag.tag_id for tag in answer.predictions} for answer in answers]
    assert tags[0] == tags[1] != tags[2]
    assert first.iteration == second.iteration != other_model.iteration
    assert len({answer.id for answer in answers}) == 3
    for answer in answers:
        assert answer.project == PROJECT
        assert all(
            str(uuid.UUID(text)) == text
            for text in (answer.id, answer.iteration, *(tag.tag_id for tag in answer.predictions))
        )
        assert abs(answer.created - before) < timedelta(minutes=1)


def test_a_project_that_is_no_uuid_gets_one(vendor: CustomVisionPredictionClient) -> None:
    answers = [vendor.classify_image("traffic", "champion", IMAGE) for _ in range(2)]
    assert answers[0].project == answers[1].project == str(uuid.UUID(answers[0].project))


def test_a_prediction_is_logged_as_those_of_v1_are(
    service: Service, address: str, vendor: CustomVisionPredictionClient
) -> None:
    answer = vendor.detect_image(PROJECT, "champion", IMAGE, application="shop floor")
    id_ = answer.id.replace("-", "")
    assert service.api.store is not None and service.api.store.flush()
    row = service.api.store.prediction(id_)
    assert row is not None
    assert (row["task"], row["model"], row["version"]) == ("detection", "tiny-detection", "1")
    # The vendor's answers have every box; a row has those that the other routes' rows have.
    ours = post(address, "/v1/detect").json()["predictions"][0]["detections"]
    assert row["result"]["detections"] == ours
    assert len(ours) < len(answer.predictions)
    feedback = {"prediction_id": id_, "verdict": "right"}
    assert httpx.post(f"{address}/v1/feedback", json=feedback).status_code == 200
    assert f'route="{"/customvision/{path:path}"}",status="200"' in httpx.get(f"{address}/metrics").text


@pytest.mark.parametrize("form", ["bytes", "stream", "file"])
def test_images_come_as_the_client_sends_them(tmp_path: Path, vendor: CustomVisionPredictionClient, form: str) -> None:
    (tmp_path / "a.png").write_bytes(IMAGE)
    with (tmp_path / "a.png").open("rb") as file:
        data = {"bytes": IMAGE, "stream": io.BytesIO(IMAGE), "file": file}[form]
        assert vendor.classify_image(PROJECT, "champion", data).predictions


def test_nostore_keeps_no_image(service: Service, vendor: CustomVisionPredictionClient) -> None:
    assert vendor.classify_image_with_no_store(PROJECT, "champion", IMAGE).predictions
    assert vendor.detect_image_with_no_store(PROJECT, "champion", IMAGE).predictions
    assert kept_images(service) == []


def test_images_are_kept_otherwise(service: Service, vendor: CustomVisionPredictionClient) -> None:
    vendor.classify_image(PROJECT, "champion", IMAGE)
    assert len(kept_images(service)) == 1


@pytest.mark.parametrize("version", ["v3.0", "v3.1", "V3.4"])
@pytest.mark.parametrize("case", [str, str.lower])
def test_bytes_as_the_body_and_paths_in_any_case(address: str, version: str, case: Callable[[str], str]) -> None:
    answer = post(address, case(route(version=version)))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


def test_published_names(vendor: CustomVisionPredictionClient) -> None:
    names = ("champion", "tiny-classification", "1", "tiny-classification-1")
    assert len({vendor.classify_image(PROJECT, name, IMAGE).iteration for name in names}) == 1
    for name in ("tiny-detection", "2", "tiny-classification-2", "Champion", "Iteration 5"):
        message = refused(lambda name=name: vendor.classify_image(PROJECT, name, IMAGE), 404, "NotFoundIteration")
        assert repr(name) in message
        assert all(known in message for known in names)


def test_a_name_with_a_version_is_not_answered_by_the_canary(
    service: Service, vendor: CustomVisionPredictionClient, bundles: dict[str, Path]
) -> None:
    alone = vendor.classify_image(PROJECT, "champion", IMAGE).iteration
    service.lineup(
        "classification",
        Lineup(champion=variant(bundles["classification"]), canary=canary(bundles["classification-2"], 1.0)),
    )
    assert vendor.classify_image(PROJECT, "tiny-classification-1", IMAGE).iteration == alone
    assert vendor.classify_image(PROJECT, "tiny-classification", IMAGE).iteration != alone


def test_a_key_with_the_role_predict_is_asked_for(service: Service, tmp_path: Path) -> None:
    assert role_of("POST", route()) == "predict"
    _, secret = create_key(tmp_path / "keys.json", "phone", "predict", datetime.now(UTC))
    with listening(service, KeyRing(tmp_path / "keys.json")) as address:
        with vendor_client(address, secret) as client:
            assert client.classify_image(PROJECT, "champion", IMAGE).predictions
        with vendor_client(address, "wrong") as client, pytest.raises(CustomVisionErrorException) as caught:
            client.classify_image(PROJECT, "champion", IMAGE)
        assert caught.value.response.status_code == 401
        assert "Unauthorized" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"hello", "BadRequestImageFormat", "JPEG"),
        (encoded(format="JPEG")[:-300], "BadRequestImageFormat", "image 1"),
        (encoded(1, 1), "BadRequestImageDimensions", "2 pixels"),
        (b"x" * 10_000_001, "BadRequestImageSizeBytes", "10 MB"),
    ],
    ids=["text", "cut", "tiny", "large"],
)
def test_what_is_no_accepted_image_is_refused_in_the_vendors_form(
    vendor: CustomVisionPredictionClient, data: bytes, code: str, words: str
) -> None:
    assert words in refused(lambda: vendor.classify_image(PROJECT, "champion", data), 400, code)


def test_a_large_image_is_answered(vendor: CustomVisionPredictionClient) -> None:
    image = encoded(1500, 1200, "BMP")
    assert len(image) > 4_000_000
    assert vendor.detect_image(PROJECT, "champion", io.BytesIO(image)).predictions


def test_urls_are_refused_and_never_fetched(vendor: CustomVisionPredictionClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/cat.jpg"
        for ask, end in (
            (vendor.classify_image_url, "classify/iterations/champion/image"),
            (vendor.classify_image_url_with_no_store, "classify/iterations/champion/image/nostore"),
            (vendor.detect_image_url, "detect/iterations/champion/image"),
            (vendor.detect_image_url_with_no_store, "detect/iterations/champion/image/nostore"),
        ):
            message = refused(lambda ask=ask: ask(PROJECT, "champion", url), 400, "BadRequestImageUrl")
            assert "never fetches images by URL" in message
            assert message.endswith(end)
        with pytest.raises(BlockingIOError):
            trap.accept()


def test_requests_that_no_client_of_the_vendors_makes(address: str) -> None:
    def code(answer: httpx.Response) -> tuple[int, str]:
        assert answer.json()["message"]
        return answer.status_code, answer.json()["code"]

    files = [("imageData", IMAGE), ("imageData", IMAGE)]
    assert code(httpx.post(address + route(), files=files)) == (400, "BadRequestImageExceededCount")
    assert code(httpx.post(address + route(), json={"url": "http://a/b"})) == (415, "UnsupportedMediaType")
    assert code(post(address, route(), b"")) == (400, "BadRequestImageStream")
    assert code(post(address, route() + "?threshold=0.5")) == (400, "BadRequestPredictionInvalidQueryParameters")
    assert code(httpx.post(address + route(), data={"store": "false"}, files=files[:1])) == (400, "BadRequest")
    for path in (route("segment"), route(version="v2.0"), route(end="images"), "/customvision/v3.3/training/projects"):
        assert code(post(address, path)) == (404, "NotFound")


def test_nothing_deployed_says_when_to_come_back(service: Service, address: str) -> None:
    service.lineup("classification", None)
    answer = post(address, route())
    assert (answer.status_code, answer.json()["code"]) == (503, "ErrorPredictionModelNotFound")
    assert answer.headers["retry-after"] == "5"


def test_an_overloaded_service_and_its_bugs_in_the_vendors_form(
    service: Service, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(error: Exception) -> Any:
        def run(_: object) -> None:
            raise error

        return run

    busy = Problem(503, "overloaded", "busy", where="queue", expected="room", action="wait", retry_after=1.0)
    champion = service.api.fleet.lineups["classification"].champion
    for error, status, code in (
        (busy, 503, "ErrorPredictionServiceUnavailable"),
        (RuntimeError("secret"), 500, "ErrorUnknown"),
    ):
        monkeypatch.setattr(champion.predictor, "run", failing(error))
        answer = post(address, route())
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert "secret" not in answer.text
