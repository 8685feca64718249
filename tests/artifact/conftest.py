from __future__ import annotations

from pathlib import Path

import pytest

from visionloop.task import task_names


@pytest.fixture(scope="session", params=task_names())
def bundle_root(request: pytest.FixtureRequest, bundles: dict[str, Path]) -> Path:
    """A real bundle of every task, of an untrained network."""
    return bundles[request.param]
