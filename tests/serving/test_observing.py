"""What drift is seen by is stored with each prediction, off the event loop, within its budget, as privacy allows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tests.serving.conftest import SETTINGS, Service, encoded, variant
from visionloop.artifact.deployment import Lineup
from visionloop.core.images import decode_image
from visionloop.monitoring.drift.features import image_features
from visionloop.monitoring.drift.observations import Observation, observe
from visionloop.monitoring.drift.summary import FOLDER
from visionloop.serving import observing
from visionloop.serving.observing import Observer
from visionloop.serving.settings import ObserveSettings, ServingSettings

PNG = {"Content-Type": "image/png"}


def stored(service: Service, path: str, **query: Any) -> dict[str, Any]:
    """The row of an answered image; its embedding comes from the store."""
    response = service.client.post(path, content=encoded(), headers=PNG, params=query)
    (prediction,) = response.json()["predictions"]
    assert service.api.store is not None
    service.api.store.flush()
    row = service.api.store.prediction(prediction["id"])
    assert row is not None
    return row


@pytest.mark.parametrize(("path", "task"), [("/v1/classify", "classification"), ("/v1/detect", "detection")])
def test_a_stored_prediction_carries_what_drift_is_seen_by(service: Service, path: str, task: str) -> None:
    row = stored(service, path)
    live = service.api.fleet.lineup(task).champion
    image = decode_image(encoded())
    (prediction,) = live.predictor.predict_stream([image])
    assert row["features"] == json.loads(json.dumps(observe(live.predictor.task, image, prediction).to_record()))
    again = Observation.from_record(row["features"], id=row["id"], embedding=row["embedding"])
    assert np.allclose(again.embedding, prediction.embedding, rtol=1e-2, atol=1e-2)
    assert service.client.get(f"/v1/predictions/{row['id']}").json()["features"]["width"] == 48


def test_a_batch_is_measured_as_well(service: Service) -> None:
    form = [("image", (f"{number}.png", encoded(seed=number), "image/png")) for number in range(3)]
    answer = service.client.post("/v1/classify", files=form).json()
    assert service.api.store is not None
    service.api.store.flush()
    since = datetime.now(UTC) - timedelta(hours=1)
    digest = service.api.fleet.lineup("classification").champion.variant.digest
    rows, num = service.api.store.measured(digest=digest, since=since, until=datetime.now(UTC))
    assert (num, len(rows)) == (3, 3)
    assert {row["id"] for row in rows} == {prediction["id"] for prediction in answer["predictions"]}
    assert len({row["features"]["dhash"] for row in rows}) == 3


def test_nothing_but_the_answer_is_kept_of_a_request_that_says_so(service: Service) -> None:
    row = stored(service, "/v1/classify", store="false")
    assert (row["features"], row["embedding"]) == (None, None)
    assert row["result"]["id"] == row["id"]


def test_a_shadow_is_not_measured(service: Service, bundles: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[int] = []
    original = Observer.choose

    def spy(self: Observer, places: Any) -> Any:
        wanted.append(len(places))
        return original(self, places)

    monkeypatch.setattr(Observer, "choose", spy)
    lineup = Lineup(champion=variant(bundles["classification"]), shadow=variant(bundles["classification-2"], "2"))
    service.lineup("classification", lineup)
    sent = 0
    while 0 not in wanted and sent < 200:  # the shadow answers beside the client's requests
        service.client.post("/v1/classify", content=encoded(), headers=PNG)
        sent += 1
    assert 0 in wanted
    assert sum(wanted) == sent


class TestSwitchedOff:
    @pytest.fixture
    def settings(self) -> ServingSettings:
        return SETTINGS.model_copy(update={"observe": ObserveSettings(enabled=False, embedding=False)})

    def test_nothing_is_noted(self, service: Service) -> None:
        row = stored(service, "/v1/classify")
        assert (row["features"], row["embedding"]) == (None, None)


def test_the_budget_holds_and_chance_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image takes 1 ms of a clock that the test moves; they arrive faster than 3% of the time allows."""
    image = decode_image(encoded())
    features = image_features(image)
    now = [0.0]

    def measure(_: Any) -> Any:
        now[0] += 0.001
        return features

    monkeypatch.setattr(observing, "image_features", measure)
    observer = Observer(ObserveSettings(max_share=0.03), clock=lambda: now[0])
    places: list[int] = []

    def batch(num: int) -> int:
        chosen = observer.choose(range(num))
        assert all(observer.measure(image) is features for _ in chosen)
        places.extend(chosen)
        return len(chosen)

    assert batch(100) == 20  # what an idle worker has saved up
    places.clear()
    for _ in range(400):
        now[0] += 0.05
        batch(8)
    assert 550 < len(places) <= 1000 * 0.03 * now[0] + 21
    assert set(places) == set(range(8))
    now[0] += 60
    assert batch(5) == 5
    assert Observer(ObserveSettings(enabled=False)).choose(range(3)) == frozenset()


@pytest.mark.parametrize("broken", ["image_features", "observed"])
def test_an_image_that_cannot_be_measured_is_answered(
    service: Service, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fails(*_: Any) -> Any:
        raise ValueError("no number for this one")

    monkeypatch.setattr(observing, broken, fails)
    row = stored(service, "/v1/classify")
    assert row["features"] is None
    assert row["embedding"] is not None


def test_the_last_drift_check_is_among_the_metrics(service: Service) -> None:
    folder = service.root / FOLDER
    folder.mkdir(parents=True)
    (folder / "classification.json").write_text("{}")
    assert 'visionloop_drift_severity{task="classification"}' not in service.client.get("/metrics").text
    (folder / "classification.json").write_text(SUMMARY)
    text = service.client.get("/metrics").text
    assert 'visionloop_drift_severity{task="classification"} 2.0' in text
    assert 'visionloop_drift_tests{task="classification"} 1.0' in text
    assert 'visionloop_drift_auc{task="classification"} 0.875' in text
    assert 'visionloop_drift_estimated_accuracy{task="classification"} NaN' in text
    assert 'visionloop_drift_checked_seconds{task="classification"} 1.7723664e+09' in text


TEST = {
    "name": "embedding_domain", "subject": "embedding", "method": "domain_classifier", "outcome": "tested",
    "p": 0.0001, "p_adjusted": 0.001, "effect": 0.875, "effect_name": "AUC", "drifted": True, "num_reference": 500,
    "num_window": 200,
}  # fmt: skip
RESULT = {
    "status": "critical", "alpha": 0.01, "model_digest": "m", "bundle_digest": "b", "num_reference": 700,
    "small_reference": False, "num_seen": 210, "num_images": 200, "num_required": 200, "num_duplicates": 10,
    "num_capped": 0, "num_invalid_embeddings": 0, "tests": [TEST], "classes": [], "newest": [], "remarks": [],
    "accuracy": {"status": "not_valid", "metric": "accuracy", "reason": "embeddings drift"},
}  # fmt: skip
SUMMARY = json.dumps({
    "created_at": "2026-03-01T12:00:00Z", "task": "classification", "model": "m", "version": "1", "digest": "b",
    "since": "2026-02-22T12:00:00Z", "num_stored": 600, "num_measured": 600, "alarm": True, "num_looked_at": 3,
    "num_drifted": 3, "severity": "critical",
    "windows": [{"first_at": "2026-03-01T10:00:00Z", "last_at": "2026-03-01T11:00:00Z", "result": RESULT}],
})  # fmt: skip
