from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.factory import make_dataset
from tests.once import made_once
from tests.postgresql import MISSING, Server, running_server
from visionloop.data.samples import Dataset

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
torch.set_num_threads(1)

# pytest-xdist deals files out in turn: one worker makes the project that all of tests/e2e begins with, while
# another plays the drill.
_LONGEST_FIRST = (
    "tests/web/test_browser.py",
    "tests/e2e/test_pipeline.py",
    "tests/e2e/test_drill.py",
    "tests/e2e/test_readme.py",
    "tests/e2e/",
    "tests/tasks/detection/test_models.py",
    "tests/serving/test_endurance.py",
    "tests/retraining/test_kills.py",
    "tests/training/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no worker is left with one of them when the other has nothing to do."""

    def rank(item: pytest.Item) -> int:
        return next((place for place, name in enumerate(_LONGEST_FIRST) if name in item.nodeid), len(_LONGEST_FIRST))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def folder_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("folder"), "folder")


@pytest.fixture(scope="session")
def voc_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("voc"), "voc")


@pytest.fixture(scope="session")
def datasets(folder_dataset: Dataset, voc_dataset: Dataset) -> dict[str, Dataset]:
    """A dataset for every task."""
    return {"classification": folder_dataset, "detection": voc_dataset}


@pytest.fixture(scope="session")
def bundles(datasets: dict[str, Dataset], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`classification`, `classification-2` and `detection`."""

    def make(folder: Path) -> None:
        from tests.bundles import make_bundle, same_with_another_digest  # with it comes all that trains

        for task, dataset in datasets.items():
            make_bundle(task, dataset, folder / task / "bundle")
        same_with_another_digest(folder / "classification/bundle", folder / "classification-2/bundle")

    folder = made_once(tmp_path_factory, "bundles", make)
    return {name: folder / name / "bundle" for name in (*datasets, "classification-2")}


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server, whose database `store` has the prediction store's tables; skipped where none is installed."""
    with running_server() as server:
        if server is None:
            pytest.skip(MISSING)
        yield server


@pytest.fixture
def store_url(request: pytest.FixtureRequest) -> str:
    """Of an empty database, relative to the test's folder; `tests.postgresql.on_both` gives PostgreSQL's too."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return "sqlite:///mlruns/predictions.db"
    server: Server = request.getfixturevalue("postgresql")
    return server.url(server.empty_store())
