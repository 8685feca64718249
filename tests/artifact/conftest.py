from __future__ import annotations

from pathlib import Path

import pytest

from tests.bundles import make_bundle
from visionloop.data.samples import Dataset
from visionloop.task import task_names


@pytest.fixture(scope="session", params=task_names())
def bundle_root(
    request: pytest.FixtureRequest, datasets: dict[str, Dataset], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A real bundle of every task, of an untrained network."""
    return make_bundle(request.param, datasets[request.param], tmp_path_factory.mktemp(request.param) / "bundle", 0)
