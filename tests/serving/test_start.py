"""What the processes of the service load before it is ready: it is most of the time that a start takes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tests.serving.conftest import variant
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Lineup
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import PredictionStore
from visionloop.serving.rare import Late

NEVER = ("torch", "pytorch_lightning", "albumentations", "mlflow", "pyarrow", "matplotlib", "hydra", "dvc")
NOT_TO_START_WORKERS = ("numpy", "PIL", "onnxruntime", "sqlalchemy", "prometheus_client", "visionloop.serving.api")
NOT_TO_BE_READY = (
    # A database that needs no migration, of SQLite.
    "alembic",
    "sqlalchemy.dialects.postgresql",
    # What people who watch and label ask for.
    "visionloop.serving.schema",
    "visionloop.serving.openapi",
    "visionloop.serving.monitoring",
    "visionloop.serving.label_studio",
    "visionloop.serving.administration",
    "visionloop.serving.to_label",
    "visionloop.monitoring.drift.profile",
    "visionloop.monitoring.exchange",
    "visionloop.monitoring.alerts.store",
)


def loaded(code: str, names: tuple[str, ...], folder: Path) -> list[str]:
    """Those of `names` that a new interpreter in `folder` has loaded after `code`."""
    code = f"{code}\nimport sys; print('loaded:', *sorted(set({names!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


def test_the_process_that_starts_the_workers_loads_the_settings_alone(tmp_path: Path) -> None:
    assert loaded("import visionloop.serving.service", NEVER + NOT_TO_START_WORKERS, tmp_path) == []


def test_a_worker_loads_what_predicting_needs(tmp_path: Path, bundles: dict[str, Path]) -> None:
    for task in ("classification", "detection"):
        lineup = Lineup(champion=variant(bundles[task]))
        deployment.change(tmp_path / "mlruns/deployment.json", task, lambda _, lineup=lineup: lineup)  # type: ignore[misc]
    PredictionStore.open(StoreSettings(), tmp_path).close()
    code = """
from visionloop.serving import service
from visionloop.serving.front import Front, open_api
api = open_api(service._SETTINGS, service._ROOT)
api.start()
api.app()
assert sorted(api.fleet.lineups) == ["classification", "detection"], api.fleet.failures
assert api.store is not None
api.close()
"""
    assert loaded(code, NEVER + NOT_TO_BE_READY, tmp_path) == []


def test_what_is_rare_is_made_once_and_beside_other_requests() -> None:
    made: list[str] = []
    going_on = threading.Event()

    class Page:
        async def answer(self, request: Request) -> Response:
            return PlainTextResponse(request.scope["path"])

    def make() -> Page:
        if not made:
            made.append("failed")
            raise ImportError("a file is gone")
        assert going_on.wait(10), "the event loop stands still while it is made"
        made.append("made")
        return Page()

    handler = Late(make).route(lambda page: page.answer)

    async def ask() -> list[Response]:
        with pytest.raises(ImportError):
            await handler(Request({"type": "http", "path": "/0"}))
        asked = [asyncio.ensure_future(handler(Request({"type": "http", "path": f"/{n}"}))) for n in (1, 2)]
        await asyncio.sleep(0)
        going_on.set()
        return await asyncio.gather(*asked)

    assert [bytes(answer.body) for answer in asyncio.run(ask())] == [b"/1", b"/2"]
    assert made == ["failed", "made"]
