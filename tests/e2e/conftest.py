from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.workspace import make_project


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by all modules here; each test makes what it needs, and leaves a working project."""
    return make_project(tmp_path_factory.mktemp("project"))
