from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from visionloop.serving.batching import Batcher
from visionloop.serving.problems import Problem
from visionloop.serving.settings import BatchingSettings


class Work:
    """Doubles numbers; waits at a gate, so that a test decides how long it takes."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(items))
        self.gate.wait(5)
        return [ValueError("odd one out") if item == 13 else 2 * item for item in items]


def run(test: Callable[[Batcher[int, int], Work], Any], **settings: Any) -> Work:
    work = Work()

    async def main() -> None:
        with ThreadPoolExecutor(1) as executor:
            await test(Batcher(work, BatchingSettings(**settings), executor), work)

    asyncio.run(main())
    return work


async def _started(work: Work, batches: int) -> None:
    while len(work.batches) < batches:
        await asyncio.sleep(0.001)


def test_what_arrives_during_the_work_shares_the_next_batches() -> None:
    async def test(batcher: Batcher[int, int], work: Work) -> None:
        work.gate.clear()
        first = asyncio.create_task(batcher.submit([1]))
        await _started(work, 1)
        others = [asyncio.create_task(batcher.submit([number])) for number in range(2, 8)]
        await asyncio.sleep(0)
        assert batcher.waiting == 6
        work.gate.set()
        answers = [served.value for task in (first, *others) for served in await task]
        assert answers == [2, 4, 6, 8, 10, 12, 14]

    assert run(test, max_batch=4).batches == [[1], [2, 3, 4, 5], [6, 7]]


def test_one_failure_concerns_one_request() -> None:
    async def test(batcher: Batcher[int, int], work: Work) -> None:
        work.gate.clear()
        tasks = [asyncio.create_task(batcher.submit(items)) for items in ([1], [13], [2, 3])]
        await _started(work, 1)
        work.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[1], ValueError)
        assert [served.value for served in results[2]] == [4, 6]  # type: ignore[union-attr]

    run(test)


def test_a_broken_work_reaches_everybody_and_the_next_request_is_served() -> None:
    async def test(batcher: Batcher[int, int], work: Work) -> None:
        batcher._work = lambda _: 1 / 0  # type: ignore[assignment,return-value]
        with pytest.raises(ZeroDivisionError):
            await batcher.submit([1, 2])
        batcher._work = work
        assert (await batcher.submit([4]))[0].value == 8

    run(test)


def test_a_full_queue_refuses_with_a_time_to_come_back() -> None:
    async def test(batcher: Batcher[int, int], work: Work) -> None:
        work.gate.clear()
        tasks = [asyncio.create_task(batcher.submit([1]))]
        await _started(work, 1)
        tasks += [asyncio.create_task(batcher.submit([number])) for number in (2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(Problem) as error:
            await batcher.submit([4])
        assert (error.value.status, error.value.code) == (503, "overloaded")
        assert error.value.retry_after
        work.gate.set()
        await asyncio.gather(*tasks)

    run(test, max_queue=2)


def test_who_waits_too_long_gets_504_and_is_not_worked_on() -> None:
    async def test(batcher: Batcher[int, int], work: Work) -> None:
        work.gate.clear()
        first = asyncio.create_task(batcher.submit([1]))
        await _started(work, 1)
        with pytest.raises(Problem) as late:
            await batcher.submit([2])
        assert late.value.status == 504
        with pytest.raises(Problem):
            await first
        work.gate.set()
        assert (await batcher.submit([3]))[0].value == 6

    assert run(test, timeout_s=0.1).batches == [[1], [3]]


def test_whoever_hangs_up_is_not_worked_on() -> None:
    async def test(batcher: Batcher[int, int], work: Work) -> None:
        work.gate.clear()
        first = asyncio.create_task(batcher.submit([1]))
        await _started(work, 1)
        gone = asyncio.create_task(batcher.submit([2]))
        await asyncio.sleep(0)
        gone.cancel()
        work.gate.set()
        await first
        assert (await batcher.submit([3]))[0].batch == 1

    assert run(test).batches == [[1], [3]]
