"""Bundles deployed by a pointer; the API under a test client."""

from __future__ import annotations

import io
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image
from starlette.testclient import TestClient

from visionloop.artifact import deployment
from visionloop.artifact.bundle import Bundle
from visionloop.artifact.deployment import Canary, Lineup, Variant
from visionloop.monitoring.store import PredictionStore
from visionloop.serving.api import Api
from visionloop.serving.front import role_of
from visionloop.serving.guard import Guard
from visionloop.serving.keys import KeyRing
from visionloop.serving.models import verbs
from visionloop.serving.openapi import openapi_document
from visionloop.serving.schema import ProblemBody
from visionloop.serving.settings import BatchingSettings, ServingSettings
from visionloop.task import task_names


def encoded(width: int = 48, height: int = 40, format: str = "PNG", seed: int = 0, **options: object) -> bytes:
    """An image file of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def variant(bundle: Path, version: str = "1") -> Variant:
    opened = Bundle.open(bundle, verify=False)
    return Variant(
        model=f"tiny-{opened.manifest.task}", version=version, digest=opened.digest, bundle=str(bundle.resolve())
    )


def canary(bundle: Path, share: float, version: str = "2") -> Canary:
    return Canary(**variant(bundle, version).model_dump(), share=share)


OPERATIONS = [
    (method.upper(), re.compile(path.replace("{id}", "[^/]+").replace("{name}", "[^/]+")), operation)
    for path, operations in openapi_document(verbs(task_names()))["paths"].items()
    for method, operation in operations.items()
]


def documented(response: httpx.Response) -> None:
    """Every answer of every test is one that the OpenAPI document promises, with a code that it names."""
    method, path = response.request.method, response.request.url.path
    operation = next((found for verb, pattern, found in OPERATIONS if verb == method and pattern.fullmatch(path)), None)
    if operation is None:
        return
    promised = operation["responses"].get(str(response.status_code))
    assert promised is not None, f"{method} {path} answers {response.status_code}, which openapi.py does not say"
    media_type = response.headers.get("content-type", "").split(";")[0]
    assert media_type in promised.get("content", {"": None}), f"{method} {path} answers {media_type}"
    if media_type == "application/problem+json":
        response.read()
        code = response.json()["code"]
        assert code in promised["x-codes"], f"{method} {path} answers {code}, which codes.py does not say of it"


def problem(response: object, status: int, code: str) -> ProblemBody:
    """The body of a refusal, which is complete."""
    assert response.status_code == status, response.text  # type: ignore[attr-defined]
    assert response.headers["content-type"] == "application/problem+json"  # type: ignore[attr-defined]
    body = ProblemBody.model_validate(response.json())  # type: ignore[attr-defined]
    assert (body.status, body.code) == (status, code)
    assert all((body.detail, body.where, body.expected, body.action))
    return body


@dataclass
class Service:
    """An API with its client and folder."""

    root: Path
    api: Api
    client: TestClient
    settings: ServingSettings

    def lineup(self, task: str, lineup: Lineup | None) -> None:
        """Change what serves, and have it noticed."""
        deployment.change(self.root / "mlruns/deployment.json", task, lambda _: lineup)
        self.api.fleet.refresh()


SETTINGS = ServingSettings(poll_s=60.0, hosts=("*",), batching=BatchingSettings(timeout_s=5.0), workers=1)


@pytest.fixture
def settings() -> ServingSettings:
    """Override it to serve otherwise."""
    return SETTINGS


@pytest.fixture
def service(tmp_path: Path, bundles: dict[str, Path], settings: ServingSettings) -> Iterator[Service]:
    with serving(tmp_path, bundles, settings) as served:
        yield served


@contextmanager
def serving(root: Path, bundles: dict[str, Path], settings: ServingSettings) -> Iterator[Service]:
    """Champions of both tasks behind a client."""
    pointer = root / settings.pointer
    for task in ("classification", "detection"):
        deployment.change(pointer, task, lambda _, task=task: Lineup(champion=variant(bundles[task])))  # type: ignore[misc]
    store = PredictionStore.open(settings.store, root)
    api = Api(settings, root, root, store)
    guarded = Guard(api.app(), ring=None, settings=settings, role_of=role_of)
    with TestClient(guarded) as client:
        client.event_hooks = {"response": [documented]}
        yield Service(root, api, client, settings)


@contextmanager
def listening(service: Service, ring: KeyRing | None = None) -> Iterator[str]:
    """The address of a real server in front of a service, whose API its client keeps running."""
    guarded = Guard(service.api.app(), ring=ring, settings=service.settings, role_of=role_of)
    server = uvicorn.Server(uvicorn.Config(guarded, http="httptools", lifespan="off", log_level="error"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)
