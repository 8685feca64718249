"""Archives of pictures, and jobs from their start to their results."""

from __future__ import annotations

import csv
import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from tests.serving.conftest import SETTINGS, encoded
from visionloop.serving.settings import BatchingSettings, BatchJobSettings, UploadSettings

ZIP = {"Content-Type": "application/zip"}
SMALL = SETTINGS.model_copy(
    update={
        "batching": BatchingSettings(timeout_s=5.0, max_batch=4),
        "batches": BatchJobSettings(max_archive_mb=1.0, max_images=50, max_unpacked_mb=2.0, max_waiting=3),
        "upload": UploadSettings(max_image_mb=0.5),
    }
)


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
