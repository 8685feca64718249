from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.workspace import make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by a module's tests: whichever modules a worker gets, each begins with nothing made."""
    return make_project(tmp_path_factory.mktemp("project"))
