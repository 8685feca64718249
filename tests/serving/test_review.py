"""Looking back at predictions: pages, images, what to label next, feedback taken back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.serving.conftest import SETTINGS, Service, encoded, serving
from visionloop.monitoring.store import ComparisonRow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Path]) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("review"), bundles, SETTINGS) as served:
        yield served


@pytest.fixture(scope="module")
def ids(service: Service) -> list[str]:
    """Seven classifications of different images, oldest first; the last one's image is not kept."""
    found = [ask(service, seed, "classify", store=seed < 6) for seed in range(7)]
    assert flushed(service)
    return found


def ask(service: Service, seed: int, verb: str, *, store: bool = True) -> str:
    answer = service.client.post(f"/v1/{verb}?store={store}", files={"image": encoded(320, 300, seed=seed)})
    return str(answer.json()["predictions"][0]["id"])


def flushed(service: Service) -> bool:
    return bool(service.api.store and service.api.store.flush())


def listed(service: Service, **options: Any) -> list[str]:
    answer = service.client.get("/v1/predictions", params=options)
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["predictions"]]


def test_pages_follow_one_another_without_gap_or_repetition(service: Service, ids: list[str]) -> None:
    found, cursor = [], None
    for _ in range(4):
        page = service.client.get(
            "/v1/predictions", params={"limit": 3, **({"cursor": cursor} if cursor else {})}
        ).json()
        found += [row["id"] for row in page["predictions"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == ids[::-1]
    assert cursor is None


def test_filters_let_through_what_fits(service: Service, ids: list[str]) -> None:
    rows = service.client.get("/v1/predictions").json()["predictions"]
    name, confidence = rows[2]["top_class"], rows[2]["confidence"]
    assert listed(service, **{"class": name}) == [row["id"] for row in rows if row["top_class"] == name]
    assert listed(service, min_confidence=confidence) == [row["id"] for row in rows if row["confidence"] >= confidence]
    assert listed(service, max_confidence=confidence) == [row["id"] for row in rows if row["confidence"] <= confidence]
    assert listed(service, since=rows[3]["created_at"]) == ids[:-5:-1]
    assert listed(service, until=rows[3]["created_at"]) == ids[2::-1]
    assert listed(service, task="detection") == []


def test_feedback_is_filtered_by_and_taken_back(service: Service, ids: list[str]) -> None:
    client = service.client
    right, corrected = ids[0], ids[1]
    client.post("/v1/feedback", json={"prediction_id": right, "verdict": "right"})
    client.post("/v1/feedback", json={"prediction_id": corrected, "verdict": "corrected", "label": "red"})
    assert listed(service, feedback="any") == [corrected, right]
    assert listed(service, feedback="right") == [right]
    assert listed(service, feedback="corrected") == [corrected]
    assert listed(service, feedback="none") == ids[:1:-1]
    (row,) = client.get("/v1/predictions", params={"feedback": "corrected"}).json()["predictions"]
    assert row["feedback"][0]["label"] == "red"
    for id_ in (right, corrected, right):
        assert client.delete(f"/v1/predictions/{id_}/feedback").status_code == 204
    assert listed(service, feedback="any") == []


def test_an_image_comes_back_whole_or_small(service: Service, ids: list[str]) -> None:
    whole = service.client.get(f"/v1/predictions/{ids[0]}/image")
    assert whole.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(whole.content)).size == (320, 300)
    small = service.client.get(f"/v1/predictions/{ids[0]}/image", params={"size": 64})
    assert Image.open(io.BytesIO(small.content)).size == (64, 60)
    rows = {row["id"]: row["has_image"] for row in service.client.get("/v1/predictions").json()["predictions"]}
    assert rows == {id_: id_ != ids[6] for id_ in ids}
    assert service.client.get(f"/v1/predictions/{ids[6]}/image").json()["code"] == "image_not_kept"
    assert service.client.get("/v1/predictions/none/image").json()["code"] == "unknown_prediction"


def test_the_queue_says_what_to_label_and_why(service: Service, ids: list[str]) -> None:
    store = service.api.store
    assert store is not None
    row = ComparisonRow(prediction_id=ids[3], digest="s", created_at=datetime.now(UTC), agreement=0.0, details={})
    store.log_comparison(row)
    assert flushed(service)
    of_task = {"task": "classification"}
    for _ in range(2):
        before = service.client.get("/v1/queue", params=of_task).json()
        assert (before["items"], before["left_today"]) == ([], 200)
    queue = service.client.post("/v1/queue", params=of_task).json()
    assert queue["waiting"] == 7
    assert service.client.get("/v1/queue", params=of_task).json() == queue
    chosen = [item["prediction"]["id"] for item in queue["items"]]
    assert set(chosen) <= set(ids[:6])
    assert len(chosen) >= 4
    assert queue["left_today"] == 200 - len(chosen)
    reasons = {item["prediction"]["id"]: item["reason"] for item in queue["items"]}
    assert set(reasons.values()) <= {"uncertain", "novel", "disagreement", "balance", "random"}
    assert reasons.get(ids[3]) in ("disagreement", "random")
    assert all("embedding" not in item["prediction"] for item in queue["items"])
    service.client.post("/v1/feedback", json={"prediction_id": chosen[0], "verdict": "right"})
    again = service.client.get("/v1/queue", params={"task": "classification", "limit": 2}).json()
    assert [item["prediction"]["id"] for item in again["items"]] == chosen[1:3]
    service.client.delete(f"/v1/predictions/{chosen[0]}/feedback")


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/v1/predictions?min_confidence=2", "option min_confidence"),
        ("/v1/predictions?since=2026-01-01T00:00:00", "option since"),
        ("/v1/predictions?until=0.5", "option until"),
        ("/v1/predictions?cursor=WzFd", "option cursor"),
        ("/v1/predictions?feedback=maybe", "option feedback"),
        ("/v1/predictions?klass=1", "option klass"),
        ("/v1/predictions/x/image?size=3", "option size"),
        ("/v1/queue", "option task"),
        ("/v1/queue?task=classification&limit=0", "option limit"),
    ],
)
def test_a_wrong_option_is_named(service: Service, path: str, where: str) -> None:
    answer = service.client.get(path)
    assert (answer.status_code, answer.json()["code"], answer.json()["where"]) == (400, "bad_option", where)


def test_without_a_store_there_is_nothing_to_look_at(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.api._memory, "store", None)
    for path in ("/v1/predictions", "/v1/queue?task=detection", "/v1/predictions/x/image"):
        assert service.client.get(path).json()["code"] == "store_off"
    assert service.client.delete("/v1/predictions/x/feedback").json()["code"] == "store_off"


def test_a_time_ahead_finds_nothing(service: Service) -> None:
    assert listed(service, since=(datetime.now(UTC) + timedelta(hours=1)).isoformat()) == []
