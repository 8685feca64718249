"""Jobs that wait, are cancelled, left behind, taken up again and removed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from tests.serving.batches.jobs import (
    SMALL,
    ZIP,
    finished,
    folders,
    left_behind,
    packed,
    pictures,
    rows_of,
    submit,
    until,
)
from tests.serving.conftest import Service, problem, variant
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Lineup
from visionloop.serving import front
from visionloop.serving.api import Api
from visionloop.serving.live import LiveModel
from visionloop.serving.settings import ServingSettings


@contextlib.contextmanager
def worker(root: Path, settings: ServingSettings = SMALL) -> Iterator[tuple[Api, TestClient]]:
    """Another worker on the same folder."""
    api = Api(settings, root, root, None)
    with TestClient(api.app()) as client:
        yield api, client


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
