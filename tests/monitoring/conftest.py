from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.alerts_factory import Clock, Sink, World
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import PredictionStore


@pytest.fixture
def open_store(store_url: str, tmp_path: Path) -> Iterator[Callable[..., PredictionStore]]:
    """Opens the test's database, as often as wanted."""
    quick = StoreSettings(url=store_url, flush_s=0.02)
    with contextlib.ExitStack() as stack:

        def open_one(**changes: Any) -> PredictionStore:
            store = PredictionStore.open(quick.model_copy(update=changes), tmp_path)
            stack.callback(store.close)
            return store

        yield open_one


@pytest.fixture
def store(open_store: Callable[..., PredictionStore]) -> PredictionStore:
    """Of the test's database."""
    return open_store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def world(store_url: str, tmp_path: Path, clock: Clock) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(sink: Sink | None = None, **settings: Any) -> World:
        made.append(World(tmp_path, clock, sink, store_url=store_url, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()
