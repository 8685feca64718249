from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.serving.batches.jobs import SMALL
from visionloop.serving.live import LiveModel
from visionloop.serving.problems import Problem
from visionloop.serving.settings import ServingSettings


@pytest.fixture
def settings() -> ServingSettings:
    return SMALL


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """No model answers before the returned function is called."""
    answers = LiveModel.answer
    open_ = [False]

    async def answer(self: LiveModel, jobs: Any) -> Any:
        if not open_[0]:
            raise Problem(503, "overloaded", "full", where="queue", expected="room", action="wait", retry_after=1.0)
        return await answers(self, jobs)

    monkeypatch.setattr(LiveModel, "answer", answer)
    yield lambda: open_.__setitem__(0, True)
