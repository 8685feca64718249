"""What is told of a batch's pictures, and what is kept of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from tests.serving.batches.jobs import SMALL, finished, left_behind, packed, pictures, rows_of, submit, table_of, until
from tests.serving.conftest import Service, encoded, problem
from visionloop.core.errors import VisionloopError
from visionloop.monitoring.settings import StoreSettings
from visionloop.serving.client import ApiError, Client
from visionloop.serving.settings import ServingSettings


def test_result_forms_of_a_detector(service: Service) -> None:
    boxes = [
        {"class": "-cell", "class_id": 1, "score": 0.9, "box_xyxy": [1.5, 2.0, 11.5, 8.25]},
        {"class": "dot", "class_id": 0, "score": 0.8, "box_xyxy": [0.0, 0.0, 4.0, 4.0]},
    ]
    told = [
        {"index": 0, "image": "photo 0.png", "model": "m 1", "detections": boxes},
        {"index": 1, "image": "bad.png", "error": {"code": "image_unsupported_format", "detail": "no image"}},
    ]
    results = b"".join(orjson.dumps(line) + b"\n" for line in told)
    folder = left_behind(service.root, pictures(2), results, status="done", boxes=True, finished_at=time.time())
    job = {"url": f"/v1/batches/{folder.name}"}
    rows = rows_of(service.client, job)
    assert rows == told
    found = [(row["image"], box) for row in rows for box in row.get("detections", [])]
    table = table_of(service.client, job)
    assert list(table[0]) == ["image", "class", "score", "x_min", "y_min", "x_max", "y_max", "error"]
    assert [(row["image"], float(row["x_max"])) for row in table[:-1]] == [
        (image, box["box_xyxy"][2]) for image, box in found
    ]
    assert table[0]["class"] == "'-cell"
    assert (table[-1]["image"], table[-1]["class"], table[-1]["error"]) == ("bad.png", "", "image_unsupported_format")
    coco = service.client.get(f"{job['url']}/result?form=coco").json()
    assert len(coco) == len(found)
    (_, first), entry = found[0], coco[0]
    left, top, right, bottom = first["box_xyxy"]
    assert entry["bbox"] == pytest.approx([left, top, right - left, bottom - top], abs=0.01)
    assert (entry["image_id"], entry["file_name"], entry["category_id"]) == (0, "photo 0.png", first["class_id"])


def test_a_detector_that_finds_nothing_gives_a_row_an_image(service: Service) -> None:
    job = submit(service.client, packed(pictures(2)), "task=detection&threshold=1")
    assert [(row["image"], row["class"]) for row in table_of(service.client, job)] == [
        ("photo 0.png", ""),
        ("photo 1.png", ""),
    ]
    assert service.client.get(f"{job['url']}/result?form=coco").json() == []


def test_answers_are_remembered_as_those_of_requests_are(service: Service) -> None:
    images = pictures(6)
    job = submit(service.client, packed(images | {"bad.png": b"no image"}), "task=classification&top_k=2")
    rows = rows_of(service.client, job)
    store = service.api.store
    assert store is not None and store.flush()
    assert len(store.recent(task="classification", since=datetime.fromtimestamp(0, UTC))) == 6
    for index, (row, data) in enumerate(zip(rows, images.values(), strict=False)):
        # An image that is asked about again, after a crash, gets the same id, and so no second row.
        assert row["id"] == uuid.uuid5(uuid.UUID(job["id"]), str(index)).hex
        found = service.client.get(f"/v1/predictions/{row['id']}").json()
        assert found["image_sha256"] == hashlib.sha256(data).hexdigest()
        assert (found["top_class"], found["variant"], found["key_id"]) == (row["class"], "champion", None)
        # The row has what the model says, the result what was asked for.
        assert (found["result"]["ranked"][:2], len(row["ranked"])) == (row["ranked"], 2)
        assert len(found["result"]["ranked"]) > 2
        assert len(found["request_id"]) == 32
    feedback = {"prediction_id": rows[0]["id"], "verdict": "right"}
    assert service.client.post("/v1/feedback", json=feedback).status_code == 200
    assert "id" not in rows[-1]
    service.api.close()
    assert len(list((service.root / "mlruns/images").rglob("*.png"))) == 6


def test_store_false_keeps_no_image_of_a_batch(service: Service) -> None:
    rows_of(service.client, submit(service.client, packed(pictures(2)), "task=classification&store=false"))
    service.api.close()
    assert not list((service.root / "mlruns/images").rglob("*.png"))


class TestSlowStore:
    @pytest.fixture
    def settings(self) -> ServingSettings:
        return SMALL.model_copy(update={"store": StoreSettings(max_pending=8)})

    def test_a_batch_waits_for_the_writer_and_leaves_requests_their_room(self, service: Service) -> None:
        store = service.api.store
        assert store is not None
        with contextlib.closing(sqlite3.connect(service.root / "mlruns/predictions.db")) as other:
            other.execute("BEGIN IMMEDIATE")  # nobody else can write
            job = submit(service.client, packed(pictures(30)))
            until(lambda: store.pending == 4)
            asked = service.client.post("/v1/classify", files={"image": encoded()}).json()["predictions"][0]["id"]
            assert service.client.get(job["url"]).json()["status"] == "running"
            assert (store.pending, store.dropped) == (5, 0)
            other.rollback()
        rows = rows_of(service.client, job)
        assert len(rows) == 30
        assert store.flush()
        assert store.dropped == 0
        assert all(store.prediction(id_) for id_ in (asked, rows[0]["id"], rows[-1]["id"]))

    def test_a_waiting_batch_is_cancelled(self, service: Service) -> None:
        store = service.api.store
        assert store is not None
        with contextlib.closing(sqlite3.connect(service.root / "mlruns/predictions.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            job = submit(service.client, packed(pictures(30)))
            until(lambda: store.pending == 4)
            service.client.delete(job["url"])
            assert finished(service.client, job)["status"] == "cancelled"


def test_result_forms_of_a_classifier(service: Service) -> None:
    job = submit(service.client, packed(pictures(2)))
    assert list(table_of(service.client, job)[0]) == ["image", "class", "score", "error"]
    problem(service.client.get(f"{job['url']}/result?form=coco"), 400, "bad_option")
    problem(service.client.get(f"{job['url']}/result?form=xml"), 400, "bad_option")


def test_the_client_sends_archives_folders_and_files(service: Service, tmp_path: Path) -> None:
    client = Client("http://testserver", transport=service.client._transport)
    folder = tmp_path / "photos"
    (folder / "inner").mkdir(parents=True)
    for name, data in pictures(2).items():
        (folder / "inner" / name).write_bytes(data)
    archive = tmp_path / "photos.zip"
    archive.write_bytes(packed(pictures(3)))
    files = sorted(folder.rglob("*.png"))
    for source, names in (
        (archive, list(pictures(3))),
        (str(folder), ["inner/photo 0.png", "inner/photo 1.png"]),
        (files, ["photo 0.png", "photo 1.png"]),
    ):
        batch = client.wait_batch(
            client.submit_batch(source, task="detection", threshold=0, top_k=1).id, timeout_s=10, poll_s=0.01
        )
        assert (batch.status, batch.done) == ("done", len(names))
        rows = [json.loads(line) for line in client.batch_result(batch.id, form="json").splitlines()]
        assert [row["image"] for row in rows] == names
        assert client.batch_result(batch.id).startswith("image,class,score")
        client.cancel_batch(batch.id)
        with pytest.raises(ApiError, match="there is no batch"):
            client.batch(batch.id)
    with pytest.raises(VisionloopError, match="cannot be read"):
        client.submit_batch(tmp_path / "missing.zip", task="detection")
