"""What several processes of one run of the suite need, and one of them makes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name, filled by whichever process asks first; nobody may change it.

    Args:
        factory: pytest's; its folders lie where all workers of one pytest-xdist run see them.
        name: What names it in this run.
        make: Fills an empty folder. What fails is tried again by whoever asks next.
    """
    folder = _shared(factory) / name
    whole = folder.with_suffix(".whole")
    with FileLock(folder.with_suffix(".lock")):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            # Not under another name first: an MLflow database holds absolute paths.
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder


def _shared(factory: pytest.TempPathFactory) -> Path:
    """`make test` runs two pytests side by side and names a folder for both."""
    named = os.environ.get("TESTS_SHARED")
    own = factory.getbasetemp()
    folder = Path(named) if named else (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
