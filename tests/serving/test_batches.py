from __future__ import annotations

import asyncio
import contextlib
import csv
import hashlib
import io
import json
import os
import sqlite3
import struct
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from tests.serving.conftest import SETTINGS, Service, encoded, variant
from tests.serving.test_api import problem
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Lineup
from visionloop.core.errors import VisionloopError
from visionloop.monitoring.settings import StoreSettings
from visionloop.serving import front
from visionloop.serving.api import Api
from visionloop.serving.client import ApiError, Client
from visionloop.serving.live import LiveModel
from visionloop.serving.problems import Problem
from visionloop.serving.settings import BatchingSettings, BatchJobSettings, ServingSettings, UploadSettings

ZIP = {"Content-Type": "application/zip"}
SMALL = SETTINGS.model_copy(
    update={
        "batching": BatchingSettings(timeout_s=5.0, max_batch=4),
        "batches": BatchJobSettings(max_archive_mb=1.0, max_images=50, max_unpacked_mb=2.0, max_waiting=3),
        "upload": UploadSettings(max_image_mb=0.5),
    }
)


@pytest.fixture
def settings() -> ServingSettings:
    return SMALL


def packed(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def pictures(count: int) -> dict[str, bytes]:
    return {f"photo {number}.png": encoded(20, 16, seed=number) for number in range(count)}


def submit(client: TestClient, archive: bytes, query: str = "task=classification") -> dict[str, Any]:
    response = client.post(f"/v1/batches?{query}", content=archive, headers=ZIP)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    assert job["status"] == "waiting"
    assert response.headers["location"] == job["url"] == f"/v1/batches/{job['id']}"
    return job


def until(condition: Callable[[], Any]) -> Any:
    limit = time.monotonic() + 10
    while not (value := condition()):
        assert time.monotonic() < limit, "it did not come true in time"
        time.sleep(0.01)
    return value


def finished(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        state: dict[str, Any] = client.get(job["url"]).json()
        return state if state["finished_at"] else None

    found: dict[str, Any] = until(look)
    return found


def rows_of(client: TestClient, job: dict[str, Any]) -> list[dict[str, Any]]:
    assert finished(client, job)["status"] == "done"
    response = client.get(f"{job['url']}/result?form=json")
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def table_of(client: TestClient, job: dict[str, Any]) -> list[dict[str, str]]:
    assert finished(client, job)["status"] == "done"
    response = client.get(f"{job['url']}/result")
    assert response.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(response.text)))


def folders(root: Path) -> list[Path]:
    folder = root / "mlruns/batches"
    return sorted(folder.iterdir()) if folder.exists() else []


@contextlib.contextmanager
def worker(root: Path, settings: ServingSettings = SMALL) -> Iterator[tuple[Api, TestClient]]:
    """Another worker on the same folder."""
    api = Api(settings, root, root, None)
    with TestClient(api.app()) as client:
        yield api, client


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """No model answers before the returned function is called."""
    answers = LiveModel.answer
    open_ = [False]

    async def answer(self: LiveModel, jobs: Any) -> Any:
        if not open_[0]:
            raise Problem(503, "overloaded", "full", where="queue", expected="room", action="wait", retry_after=1.0)
        return await answers(self, jobs)

    monkeypatch.setattr(LiveModel, "answer", answer)
    yield lambda: open_.__setitem__(0, True)


def test_a_zip_is_answered_as_single_requests_are(service: Service) -> None:
    images = pictures(30)
    job = submit(service.client, packed(images))
    assert job["total"] == 30
    rows = rows_of(service.client, job)
    assert [row["image"] for row in rows] == list(images)
    for row, data in zip(rows[:6], images.values(), strict=False):
        alone = service.client.post("/v1/classify", files={"image": data}).json()["predictions"][0]
        assert (row["class"], row["width"], row["height"]) == (alone["class"], 20, 16)
        assert row["score"] == pytest.approx(alone["score"], abs=1e-5)
    state = service.client.get(job["url"]).json()
    assert (state["status"], state["done"], state["total"], state["failures"]) == ("done", 30, 30, 0)
    assert state["models"] == ["tiny-classification 1"]
    assert state["images_per_s"] > 0
    assert state["eta_s"] is None


def test_a_form_of_files(service: Service) -> None:
    files = [("images", ("a=1.png", encoded())), ("image", ("../no suffix", encoded(seed=1))), ("image", ("/", b"x"))]
    response = service.client.post("/v1/batches", files=files, data={"task": "classification", "top_k": "2"})
    rows = rows_of(service.client, response.json())
    assert [row["image"] for row in rows] == ["a=1.png", "../no suffix", "image 3"]
    assert [len(row.get("ranked", [])) for row in rows] == [2, 2, 0]
    assert rows[2]["error"]["code"] == "image_unsupported_format"


def test_a_member_that_is_no_image_stops_nothing(service: Service) -> None:
    members = {
        "good.png": encoded(),
        "text.png": b"no image",
        "empty.jpg": b"",
        "large.png": b"\0" * 600_000,
        "notes.txt": b"skipped",
        "inner.zip": packed(pictures(1)),
        "__MACOSX/._good.png": b"ignored",
        ".hidden.png": b"ignored",
        "folder/.git/a.png": b"ignored",
        "folder/": b"",
        "last.JPG": encoded(format="JPEG"),
    }
    job = submit(service.client, packed(members))
    assert (job["total"], job["skipped"]) == (5, 2)
    errors = {row["image"]: row.get("error", {}).get("code") for row in rows_of(service.client, job)}
    assert errors == {
        "good.png": None,
        "text.png": "image_unsupported_format",
        "empty.jpg": "image_empty",
        "large.png": "image_too_many_bytes",
        "last.JPG": None,
    }
    assert finished(service.client, job)["failures"] == 3


def test_an_image_of_a_form_that_is_too_large_stops_no_other(service: Service) -> None:
    large = b"\x89PNG" + b"\0" * 600_000
    parts = [("image", ("a.png", encoded())), ("image", ("large.png", large)), ("image", ("b.png", encoded()))]
    answer = service.client.post("/v1/batches?task=detection", files=parts)
    errors = {row["image"]: row.get("error", {}).get("code") for row in rows_of(service.client, answer.json())}
    assert errors == {"a.png": None, "large.png": "image_too_many_bytes", "b.png": None}


def test_names_are_text_only(service: Service) -> None:
    names = ["../../outside.png", "/etc/absolute.png", "C:\\windows.png", "=cmd|' /C calc'!A0.png", "twice.png"]
    before = set(service.root.parent.iterdir())
    job = submit(service.client, packed(dict.fromkeys(names, encoded())))
    table = table_of(service.client, job)
    assert [row["image"] for row in table] == [*names[:3], "'" + names[3], names[4]]
    assert set(service.root.parent.iterdir()) == before
    assert not list(service.root.rglob("*outside*"))


def test_two_members_of_one_name_are_two_images(service: Service) -> None:
    archive = packed({"a.png": encoded(20, 20), "b.png": encoded(30, 30)}).replace(b"b.png", b"a.png")
    rows = rows_of(service.client, submit(service.client, archive))
    assert [(row["image"], row["width"]) for row in rows] == [("a.png", 20), ("a.png", 30)]


def test_a_bomb_is_refused(service: Service) -> None:
    bomb = packed({f"{number}.png": b"\0" * 490_000 for number in range(10)})
    assert len(bomb) < 20_000
    refused = service.client.post("/v1/batches?task=detection", content=bomb, headers=ZIP)
    problem(refused, 413, "archive_too_large")
    assert folders(service.root) == []


def test_a_member_that_lies_about_its_size_is_damaged(service: Service) -> None:
    honest = packed({"a.png": b"\0" * 400_000, "b.png": encoded(20, 16)})
    archive = honest.replace(struct.pack("<L", 400_000), struct.pack("<L", 100))
    assert archive != honest
    rows = rows_of(service.client, submit(service.client, archive))
    assert [row.get("error", {}).get("code") for row in rows] == ["image_damaged", None]


def test_encrypted_members_and_strange_methods_are_told(service: Service) -> None:
    stored = bytearray(packed({"a.png": encoded(20, 16)}, zipfile.ZIP_STORED))
    stored[stored.index(b"PK\x01\x02") + 8] |= 1
    rows = rows_of(service.client, submit(service.client, bytes(stored)))
    assert rows[0]["error"]["code"] == "image_encrypted"
    rows = rows_of(service.client, submit(service.client, packed(pictures(1), zipfile.ZIP_LZMA)))
    assert rows[0]["error"]["code"] == "image_compression"


@pytest.mark.parametrize(
    ("archive", "status", "code"),
    [
        (b"", 400, "bad_archive"),
        (b"no zip", 400, "bad_archive"),
        (packed(pictures(2))[:-30], 400, "bad_archive"),
        (packed({"a.txt": b"x"}), 400, "missing_image"),
        (packed({f"{number}.png": b"" for number in range(51)}), 413, "too_many_images"),
        (packed({f"{number}": b"" for number in range(20_000)}), 413, "body_too_large"),
    ],
    ids=["empty", "no zip", "cut", "no image", "too many", "too large"],
)
def test_archives_that_are_refused(service: Service, archive: bytes, status: int, code: str) -> None:
    problem(service.client.post("/v1/batches?task=detection", content=archive, headers=ZIP), status, code)
    assert folders(service.root) == []


def test_files_of_a_form_may_share_a_name(service: Service, recwarn: pytest.WarningsRecorder) -> None:
    files = [("image", ("a.png", data)) for data in pictures(2).values()]
    job = service.client.post("/v1/batches?task=classification", files=files).json()
    assert [row["image"] for row in rows_of(service.client, job)] == ["a.png", "a.png"]
    assert not recwarn.list


def test_a_member_without_a_name_is_no_image(service: Service) -> None:
    archive = bytearray(packed({"a": b"text", **pictures(1)}))
    for name in (30, archive.index(b"PK\x01\x02") + 46):
        archive[name] = 0  # a name ends at its first NUL
    (row,) = rows_of(service.client, submit(service.client, bytes(archive)))
    assert row["image"] == "photo 0.png"


def test_a_directory_that_would_fill_the_memory_is_not_read(service: Service) -> None:
    archive = bytearray(packed(pictures(1)))
    end = archive.rindex(b"PK\x05\x06")
    archive[end + 12 : end + 16] = struct.pack("<L", 2**31)
    problem(service.client.post("/v1/batches?task=detection", content=bytes(archive), headers=ZIP), 400, "bad_archive")


@pytest.mark.parametrize("chunked", [True, False])
def test_too_large_a_body_leaves_nothing(service: Service, chunked: bool) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(12):
            yield b"\0" * 100_000

    content = pieces() if chunked else b"\0" * 1_200_000
    refused = service.client.post("/v1/batches?task=detection", content=content, headers=ZIP)
    problem(refused, 413, "body_too_large")
    assert folders(service.root) == []


def test_forms_that_are_refused_leave_nothing(service: Service) -> None:
    post = service.client.post
    image = ("a.png", encoded())
    problem(post("/v1/batches?task=detection", files={"photo": image}), 400, "unexpected_field")
    problem(post("/v1/batches", files={"image": image}), 400, "bad_option")
    cut = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nabc'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    problem(post("/v1/batches?task=detection", content=cut, headers=headers), 400, "malformed_multipart")
    problem(post("/v1/batches", content=b"x", headers={"Content-Type": "image/png"}), 415, "unsupported_media_type")
    assert folders(service.root) == []


@pytest.mark.parametrize(
    "query", ["", "task=", "task=segmentation", "task=detection&store=perhaps", "task=detection&top_k=0"]
)
def test_options_that_are_refused(service: Service, query: str) -> None:
    refused = service.client.post(f"/v1/batches?{query}", content=packed(pictures(1)), headers=ZIP)
    problem(refused, 400, "bad_option")


def test_the_only_task_needs_no_name_and_none_is_refused(service: Service) -> None:
    service.lineup("detection", None)
    job = service.client.post("/v1/batches", content=packed(pictures(1)), headers=ZIP).json()
    assert job["task"] == "classification"
    service.lineup("classification", None)
    problem(service.client.post("/v1/batches", content=packed(pictures(1)), headers=ZIP), 503, "not_deployed")


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


def test_unknown_ids(service: Service) -> None:
    (service.root / "mlruns/batches/x").mkdir(parents=True)
    for id_ in (uuid.uuid4().hex, "x", "..", "%2e%2e%2f..", "A" * 32, "0" * 500):
        for response in (
            service.client.get(f"/v1/batches/{id_}"),
            service.client.delete(f"/v1/batches/{id_}"),
            service.client.get(f"/v1/batches/{id_}/result"),
        ):
            assert response.status_code == 404
    problem(service.client.get(f"/v1/batches/{uuid.uuid4().hex}"), 404, "unknown_batch")


def test_a_busy_service_is_waited_for_and_a_job_cancelled(service: Service, held: Callable[[], None]) -> None:
    first, second = (submit(service.client, packed(pictures(5))) for _ in range(2))
    until(lambda: service.client.get(first["url"]).json()["status"] == "running")
    state = service.client.get(first["url"]).json()
    assert (state["done"], state["failures"]) == (0, 0)
    refused = problem(service.client.get(f"{first['url']}/result"), 409, "batch_not_done")
    assert "running" in refused.detail
    assert service.client.delete(second["url"]).json()["status"] == "cancelled"
    assert service.client.delete(first["url"]).json()["status"] == "cancelled"
    assert finished(service.client, first)["status"] == "cancelled"
    problem(service.client.get(f"{first['url']}/result"), 409, "batch_not_done")
    third = submit(service.client, packed(pictures(5)))
    held()
    assert finished(service.client, third)["failures"] == 0
    for job in (first, second, third):
        assert service.client.delete(job["url"]).status_code == 204
        problem(service.client.get(job["url"]), 404, "unknown_batch")
    assert folders(service.root) == []


def test_a_task_that_is_served_no_more_holds_up_no_other(service: Service, held: Callable[[], None]) -> None:
    first = submit(service.client, packed(pictures(2)), "task=detection")
    until(lambda: service.client.get(first["url"]).json()["status"] == "running")
    service.lineup("detection", None)
    second = submit(service.client, packed(pictures(2)))
    held()
    assert finished(service.client, second)["status"] == "done"
    assert service.client.get(first["url"]).json()["status"] == "waiting"


def test_too_many_waiting_are_refused(service: Service, held: Callable[[], None]) -> None:
    running = submit(service.client, packed(pictures(1)))
    until(lambda: service.client.get(running["url"]).json()["status"] == "running")
    jobs = [submit(service.client, packed(pictures(1))) for _ in range(3)]
    refused = service.client.post("/v1/batches?task=detection", content=packed(pictures(1)), headers=ZIP)
    problem(refused, 503, "too_many_batches")
    assert int(refused.headers["retry-after"]) > 0
    held()
    assert all(finished(service.client, job)["status"] == "done" for job in jobs)


def left_behind(root: Path, images: dict[str, bytes], results: bytes, **fields: object) -> Path:
    """What a worker leaves that died at work."""
    id_ = uuid.uuid4().hex
    folder = root / "mlruns/batches" / id_
    folder.mkdir(parents=True)
    (folder / "images.zip").write_bytes(packed(images))
    (folder / "results.jsonl").write_bytes(results)
    (folder / "lock").touch()
    job = {"id": id_, "task": "classification", "status": "running", "total": len(images), "created_at": time.time()}
    (folder / "job.json").write_text(json.dumps({**job, "done": 1, **fields}))
    return folder


def row(index: int, name: str) -> bytes:
    told = {"index": index, "image": name, "model": "earlier 7", "class": "marked", "class_id": 0, "score": 1.0}
    return orjson.dumps(told) + b"\n"


@pytest.mark.parametrize("half", [b"", b'{"index":2,"image":"pho', b"\0\0\0\n"], ids=["whole", "half", "garbage"])
def test_a_fresh_worker_goes_on_after_the_last_whole_row(tmp_path: Path, bundles: dict[str, Path], half: bytes) -> None:
    pointer = tmp_path / SMALL.pointer
    deployment.change(pointer, "classification", lambda _: Lineup(champion=variant(bundles["classification"])))
    images = pictures(6)
    folder = left_behind(tmp_path, images, row(0, "photo 0.png") + row(1, "photo 1.png") + half)
    with worker(tmp_path) as (_, client):
        job = {"url": f"/v1/batches/{folder.name}"}
        rows = rows_of(client, job)
        state = finished(client, job)
    assert [row["image"] for row in rows] == list(images)
    assert [row["class"] == "marked" for row in rows] == [True, True, False, False, False, False]
    assert (state["done"], state["models"]) == (6, ["earlier 7", "tiny-classification 1"])


def test_a_worker_that_stops_leaves_its_job_to_another(service: Service, held: Callable[[], None]) -> None:
    job = submit(service.client, packed(pictures(3)))
    until(lambda: service.client.get(job["url"]).json()["status"] == "running")
    service.api.batches.stop()
    assert service.client.get(job["url"]).json()["status"] == "waiting"
    held()
    with worker(service.root) as (_, client):
        assert finished(client, job)["done"] == 3


def test_two_workers_do_not_run_one_job_twice(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    answers = LiveModel.answer

    async def answer(self: LiveModel, jobs: Any) -> Any:
        asked.extend(job.name for job in jobs)
        return await answers(self, jobs)

    monkeypatch.setattr(LiveModel, "answer", answer)
    with worker(service.root) as (_, other):
        jobs = [submit(client, packed({f"{n} {name}": data for name, data in pictures(8).items()}))
                for n, client in enumerate((service.client, other, service.client))]  # fmt: skip
        for job in jobs:
            assert finished(other, job) == finished(service.client, job)
            assert len(rows_of(other, job)) == 8
    assert len(asked) == len(set(asked)) == 24


def test_old_jobs_are_removed_at_the_start(service: Service) -> None:
    long_ago = time.time() - 80 * 3600
    old = left_behind(service.root, {}, b"", status="done", finished_at=long_ago)
    recent = left_behind(service.root, {}, b"", status="done", finished_at=time.time())
    broken_off = service.root / "mlruns/batches" / f".new-{uuid.uuid4().hex}"
    broken_off.mkdir()
    os.utime(broken_off, (long_ago, long_ago))
    with worker(service.root):
        until(lambda: not old.exists() and not broken_off.exists())
        assert recent.exists()


def test_a_damaged_folder_fails_its_job_and_no_other(service: Service) -> None:
    damaged = left_behind(service.root, pictures(1), b"")
    (damaged / "images.zip").write_bytes(b"no zip")
    (left_behind(service.root, pictures(1), b"") / "job.json").write_text("{")
    job = submit(service.client, packed(pictures(1)))
    assert finished(service.client, job)["status"] == "done"
    state = finished(service.client, {"url": f"/v1/batches/{damaged.name}"})
    assert state["status"] == "failed"
    assert "zip" in state["error"]


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


def test_the_openapi_document_names_the_routes(service: Service) -> None:
    paths = service.client.get("/openapi.json").json()["paths"]
    assert set(paths["/v1/batches/{id}"]) == {"get", "delete"}
    assert "202" in paths["/v1/batches"]["post"]["responses"]
    assert "409" in paths["/v1/batches/{id}/result"]["get"]["responses"]


def test_jobs_left_behind_wait_for_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Fake:
        def attend(self) -> None:
            calls.append("attend")

    async def bento(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope["type"])

    async def nothing(*_: object) -> Any:
        return {}

    monkeypatch.setattr(front, "_APIS", [Fake()])
    asyncio.run(front.Front(bento, SMALL, tmp_path)({"type": "lifespan"}, nothing, nothing))
    assert calls == ["attend", "lifespan"]
