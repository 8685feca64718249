from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.factory import make_dataset
from tests.postgresql import MISSING, Server, running_server
from visionloop.data.samples import Dataset

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
torch.set_num_threads(1)

_LONGEST_FIRST = ("tests/web/test_browser.py", "tests/e2e/test_readme.py", "tests/e2e/")


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
    from tests.bundles import make_bundle  # with it comes all that trains, which few tests need

    folder = tmp_path_factory.mktemp("bundles")
    return {
        name: make_bundle(name.split("-")[0], datasets[name.split("-")[0]], folder / name / "bundle", seed)
        for seed, name in enumerate(("classification", "classification-2", "detection"))
    }


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
