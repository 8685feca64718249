from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.alerts_factory import Clock, Sink, World


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(sink: Sink | None = None, **settings: Any) -> World:
        made.append(World(tmp_path, clock, sink, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()
