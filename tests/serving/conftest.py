"""Real bundles of untrained networks, deployed by a pointer; the API under a test client."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import uvicorn
from PIL import Image
from starlette.testclient import TestClient

from tests.contract import tiny_plan
from visionloop.artifact import deployment
from visionloop.artifact.bundle import Bundle
from visionloop.artifact.deployment import Canary, Lineup, Variant
from visionloop.artifact.export import Trained, export_bundle
from visionloop.artifact.settings import ExportSettings
from visionloop.data.samples import Dataset
from visionloop.monitoring.store import PredictionStore
from visionloop.serving.api import Api
from visionloop.serving.front import role_of
from visionloop.serving.guard import Guard
from visionloop.serving.settings import BatchingSettings, ServingSettings


def encoded(width: int = 48, height: int = 40, format: str = "PNG", seed: int = 0, **options: object) -> bytes:
    """An image file of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def make_bundle(task: str, dataset: Dataset, out: Path, seed: int) -> Path:
    plan = tiny_plan(task)
    torch.manual_seed(seed)
    trained = Trained(
        task=plan.task,
        learner=plan.learner(len(dataset.classes)),
        model=plan.model,
        recipe=plan.recipe,
        training={"seed": seed},
    )
    export_bundle(ExportSettings(), trained, dataset, out)
    return out


@pytest.fixture(scope="session")
def bundles(datasets: dict[str, Dataset], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`classification`, `classification-2` and `detection`."""
    folder = tmp_path_factory.mktemp("bundles")
    return {
        name: make_bundle(name.split("-")[0], datasets[name.split("-")[0]], folder / name / "bundle", seed)
        for seed, name in enumerate(("classification", "classification-2", "detection"))
    }


def variant(bundle: Path, version: str = "1") -> Variant:
    opened = Bundle.open(bundle, verify=False)
    return Variant(
        model=f"tiny-{opened.manifest.task}", version=version, digest=opened.digest, bundle=str(bundle.resolve())
    )


def canary(bundle: Path, share: float, version: str = "2") -> Canary:
    return Canary(**variant(bundle, version).model_dump(), share=share)


@dataclass
class Service:
    """An API with its client and folder."""

    root: Path
    api: Api
    client: TestClient

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
        yield Service(root, api, client)


@contextmanager
def listening(service: Service) -> Iterator[int]:
    """The port of a real server in front of a service, whose API its client keeps running."""
    app: Any = service.client.app
    server = uvicorn.Server(uvicorn.Config(app, http="httptools", lifespan="off", log_level="error"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(timeout=20)
