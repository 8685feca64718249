from __future__ import annotations

import os

import pytest
import torch

from tests.factory import make_dataset
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
