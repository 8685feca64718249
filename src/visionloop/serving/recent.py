"""Answers that cost much and may be a few seconds old."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any


class Recent:
    """Answers that are given again for a while, and worked out once however many ask at the same time."""

    def __init__(self) -> None:
        self._found: dict[Hashable, tuple[float, asyncio.Task[Any]]] = {}

    async def get(self, key: Hashable, fresh_s: float, find: Callable[[], Any]) -> Any:
        """What `find` gave at most `fresh_s` seconds ago, or gives now, in a thread."""
        now = asyncio.get_running_loop().time()
        self._found = {name: held for name, held in self._found.items() if held[0] > now or not held[1].done()}
        if key not in self._found:
            self._found[key] = (now + fresh_s, asyncio.create_task(asyncio.to_thread(find)))
        _, task = self._found[key]
        try:
            return await asyncio.shield(task)
        finally:
            if task.done() and (task.cancelled() or task.exception() is not None):
                self._found.pop(key, None)
