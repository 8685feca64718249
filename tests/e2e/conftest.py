from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.workspace import SAID, call, copy_project, make_project
from tests.once import made_once


def _reproduce(folder: Path) -> None:
    make_project(folder)
    (folder / SAID).write_text(call(folder, "dvc", "repro"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after its first `dvc repro`, which takes as long as all else here; only copies of it are changed."""
    return made_once(tmp_path_factory, "finished", _reproduce)


@pytest.fixture(scope="module")
def project(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of its own for each module: whichever modules a worker gets, each begins with the first `dvc repro` done."""
    return copy_project(finished, tmp_path_factory.mktemp("project"))
