from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.serving.guard.application import NOW, client
from visionloop.serving.keys import ROLES, KeyRing, Role, create_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def secrets(path: Path) -> dict[Role, str]:
    return {role: create_key(path, role, role, NOW)[1] for role in ROLES}


@pytest.fixture
def guarded(path: Path, secrets: dict[Role, str]) -> Iterator[TestClient]:
    yield client(ring=KeyRing(path))
