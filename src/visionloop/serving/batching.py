"""Micro-batching: images of concurrent requests share an inference, off the event loop, behind a bounded queue."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

from visionloop.serving.refusals import overloaded, too_late
from visionloop.serving.settings import BatchingSettings

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Served(Generic[Answer]):
    """An answer, and how it came about.

    Attributes:
        value: What the work returned for the item.
        queue_s: Seconds from submission to the start of the work.
        work_s: Seconds of the work on the whole batch.
        batch: Items in the batch.
    """

    value: Answer
    queue_s: float
    work_s: float
    batch: int


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Answer]):
    item: Item
    since: float
    future: asyncio.Future[Served[Answer]]


class Batcher(Generic[Item, Answer]):
    """One model's queue in one worker. All methods are called on one event loop.

    An idle model starts at once (or after `max_wait_ms`); while `parallel` batches are worked on, what arrives
    gathers, and the next batch takes as much of it as fits. So a quiet service adds no delay, and a busy one
    fills its batches.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Answer | Exception]],
        settings: BatchingSettings,
        executor: Executor,
        *,
        parallel: int = 1,
    ) -> None:
        """Prepare an empty queue.

        Args:
            work: Runs in `executor`; an exception among its answers, or raised, goes to whom it concerns.
            settings: Limits.
            executor: Has at least `parallel` threads.
            parallel: Most batches worked on at once.
        """
        self._work = work
        self._settings = settings
        self._executor = executor
        self._queue: deque[_Waiting[Item, Answer]] = deque()
        self._parallel = parallel
        self._num_running = 0
        self._runners: set[asyncio.Task[None]] = set()  # so that none is collected while it runs

    @property
    def waiting(self) -> int:
        """Items in the queue."""
        return len(self._queue)

    async def submit(self, items: Sequence[Item]) -> list[Served[Answer]]:
        """Answers to the items, in order.

        Raises:
            Problem: 503 where the queue is full, 504 where an answer did not come in time.
            Exception: the first that the work returned for one of the items.
        """
        self._require_room(len(items))
        loop, now = asyncio.get_running_loop(), time.perf_counter()
        entries = [_Waiting[Item, Answer](item, now, loop.create_future()) for item in items]
        self._queue.extend(entries)
        if self._num_running < self._parallel:
            self._num_running += 1
            runner = loop.create_task(self._run())
            self._runners.add(runner)
            runner.add_done_callback(self._runners.discard)
        futures = [entry.future for entry in entries]
        timer = loop.call_later(self._settings.timeout_s, _expire, futures, self._settings.timeout_s)
        try:
            return [await future for future in futures]
        finally:
            timer.cancel()
            # Whoever is no longer waited for is not worked on.
            for future in futures:
                if not future.cancel() and not future.cancelled():
                    future.exception()  # asked for, so that asyncio does not report it as forgotten

    def _require_room(self, count: int) -> None:
        # A request larger than the whole queue is let in when nothing else waits: it could never be served else.
        if self._queue and len(self._queue) + count > self._settings.max_queue:
            raise overloaded(
                f"{len(self._queue)} images are waiting already",
                f"at most {self._settings.max_queue} images waiting",
                retry_after=1.0,
            )

    async def _run(self) -> None:
        try:
            await self._work_off()
        finally:
            # At once: a task counts as done only after whoever it has answered may have submitted again.
            self._num_running -= 1

    async def _work_off(self) -> None:
        loop = asyncio.get_running_loop()
        if self._settings.max_wait_ms:
            await asyncio.sleep(self._settings.max_wait_ms / 1000)
        while batch := self._take():
            started = time.perf_counter()
            try:
                answers = await loop.run_in_executor(self._executor, self._work, [entry.item for entry in batch])
            except Exception as error:  # the work itself broke: everybody in the batch learns it
                answers = [error] * len(batch)
            took = time.perf_counter() - started
            for entry, answer in zip(batch, answers, strict=True):
                if entry.future.done():
                    continue
                if isinstance(answer, Exception):
                    entry.future.set_exception(answer)
                else:
                    entry.future.set_result(Served(answer, started - entry.since, took, len(batch)))

    def _take(self) -> list[_Waiting[Item, Answer]]:
        batch: list[_Waiting[Item, Answer]] = []
        while self._queue and len(batch) < self._settings.max_batch:
            entry = self._queue.popleft()
            if not entry.future.done():
                batch.append(entry)
        return batch


def _expire(futures: Sequence[asyncio.Future[Served[Answer]]], timeout_s: float) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(too_late(timeout_s, "try again, with fewer images in a request if there are many"))
