"""Answering: the lineup of a task is asked, what it did is counted, and the answer is built and remembered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from starlette.requests import Request

from visionloop.core.errors import ImageError, VisionloopError
from visionloop.monitoring.store import ComparisonRow
from visionloop.serving import metrics
from visionloop.serving.batching import Served
from visionloop.serving.caller import caller_of, session_of
from visionloop.serving.canary import CanaryWatch
from visionloop.serving.ids import new_id
from visionloop.serving.live import Answer, Job, LiveModel
from visionloop.serving.memory import Memory
from visionloop.serving.models import Fleet, LiveLineup, model_ref
from visionloop.serving.options import PredictOptions
from visionloop.serving.settings import ServingSettings

_log = logging.getLogger(__name__)

_MAX_MIRRORED = 8
"""Requests mirrored to another model at once; more are not compared, so that a shadow never slows an answer."""


class _Told(NamedTuple):
    """A model's answers to a request."""

    live: LiveModel
    served: list[Served[Answer]]


class Answering:
    """Answers images with what serves, watches canaries, and compares shadows."""

    def __init__(self, settings: ServingSettings, fleet: Fleet, memory: Memory) -> None:
        self._settings = settings
        self._fleet = fleet
        self._memory = memory
        self._watches: dict[str, tuple[str, CanaryWatch]] = {}  # by task, with the digest watched
        self._mirrors: set[asyncio.Task[None]] = set()

    async def answer(
        self,
        request: Request,
        task: str,
        lineup: LiveLineup,
        jobs: Sequence[Job],
        options: PredictOptions,
    ) -> dict[str, Any]:
        """The answer of `/v1/<verb>` to images.

        Args:
            request: Whose images they are.
            task: What is asked.
            lineup: What serves it.
            jobs: The images.
            options: What is answered, and whether the images are kept.

        Raises:
            ImageError: one of the images is not accepted.
            Problem: overloaded, or too late.
        """
        started = time.perf_counter()
        if self._memory.store is not None and options.store is not False:
            jobs = [job._replace(observed=True) for job in jobs]
        told = await self._ask(task, lineup, jobs, session_of(request) if lineup.canary is not None else "")
        _observe(told)
        caller = caller_of(request)
        ids = [new_id() for _ in told.served]
        stored, results = results_of(told.live, told.served, ids, options)
        self._mirror(task, lineup, told, jobs, ids)
        now = time.perf_counter()
        self._memory.remember(caller, told.live, told.served, stored, seconds=now - started, keep_images=options.store)
        return {
            "model": model_ref(task, told.live),
            "predictions": results,
            "timings_ms": {
                "decode": _ms(max(served.value.decode_s for served in told.served)),
                "queue": _ms(max(served.queue_s for served in told.served)),
                "inference": _ms(max(served.work_s for served in told.served)),
                "total": _ms(now - request.scope["state"]["started"]),
            },
            "request_id": caller.request_id,
        }

    async def _ask(self, task: str, lineup: LiveLineup, jobs: Sequence[Job], session: str) -> _Told:
        live = lineup.choose(session)
        started = time.perf_counter()
        watch = self._watch(task, lineup)
        try:
            told = _Told(live, await live.answer(jobs))
        except (ImageError, asyncio.CancelledError):
            raise
        except Exception:
            if live.role != "canary" or watch is None:
                raise
            # A canary's failure is the champion's to make good.
            _log.exception("the canary of %s failed", task)
            watch.failed()
            told = _Told(lineup.champion, await lineup.champion.answer(jobs))
        if watch is not None and told.live is live:
            watch.answered(time.perf_counter() - started, by_canary=live.role == "canary")
        self._judge(task, lineup, watch)
        return told

    # -- canary and shadow

    def _watch(self, task: str, lineup: LiveLineup) -> CanaryWatch | None:
        if lineup.canary is None or lineup.share <= 0:
            return None
        digest = lineup.canary.variant.digest
        watched, watch = self._watches.get(task, ("", None))
        if watch is None or watched != digest:
            watch = CanaryWatch(self._settings.canary)
            self._watches[task] = (digest, watch)
        return watch

    def _judge(self, task: str, lineup: LiveLineup, watch: CanaryWatch | None) -> None:
        reason = watch.verdict() if watch is not None else None
        if reason is None or lineup.canary is None:
            return
        digest = lineup.canary.variant.digest
        del self._watches[task]
        metrics.CANARY_STOPPED.labels(task).inc()
        _log.error("canary of %s stopped: %s", task, reason)
        self._background(self._stop_canary(task, digest, reason))

    async def _stop_canary(self, task: str, digest: str, reason: str) -> None:
        try:
            # The pointer's lock may have to be waited for.
            await asyncio.to_thread(self._fleet.stop_canary, task, digest, reason)
        except (OSError, VisionloopError) as error:
            _log.error(
                "the canary of %s is stopped in this worker alone, the pointer cannot be written: %s", task, error
            )

    def _mirror(self, task: str, lineup: LiveLineup, told: _Told, jobs: Sequence[Job], ids: Sequence[str]) -> None:
        others = [lineup.shadow] if lineup.shadow is not None else []
        if told.live.role == "canary":
            others.append(lineup.champion)
        for other in others:
            if len(self._mirrors) < _MAX_MIRRORED:
                self._background(self._compare(task, lineup, told, other, jobs, ids))

    async def _compare(
        self,
        task: str,
        lineup: LiveLineup,
        told: _Told,
        other: LiveModel,
        jobs: Sequence[Job],
        ids: Sequence[str],
    ) -> None:
        try:
            answers = await other.answer([job._replace(observed=False) for job in jobs])
        except Exception as error:
            _log.warning("%s of %s gave no answer to compare: %s", other.role, task, error)
            return
        role = "shadow" if other.role == "shadow" else "canary"
        watch = self._watch(task, lineup) if role == "canary" else None
        histogram = metrics.AGREEMENT.labels(task, role)
        store = self._memory.store
        for id_, served, answer in zip(ids, told.served, answers, strict=True):
            agreement = told.live.predictor.task.agreement(served.value.prediction, answer.value.prediction)
            histogram.observe(agreement)
            if watch is not None:
                watch.compared(agreement)
            if store is not None:
                store.log_comparison(
                    ComparisonRow(
                        prediction_id=id_,
                        digest=other.variant.digest,
                        agreement=agreement,
                        details=answer.value.record,
                        created_at=datetime.now(UTC),
                    )
                )

    def _background(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self._mirrors.add(task)
        task.add_done_callback(self._mirrors.discard)


def _observe(told: _Told) -> None:
    count(told.live, told.served)
    meters, first = told.live.meters, told.served[0]
    for served in told.served:
        meters.prepared(decode_s=served.value.decode_s, queue_s=served.queue_s)
    meters.worked(waiting=told.live.waiting, work_s=first.work_s, batch=first.batch)


def results_of(
    live: LiveModel, answers: Sequence[Served[Answer]], ids: Sequence[str], options: PredictOptions
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is stored of some answers, by the model's operating point, and what the options ask for; with their ids.

    Rows of the store mean the same whoever asked: a page that asks for every box draws its own line among them.
    """
    stored, asked = [], []
    for served, id_ in zip(answers, ids, strict=True):
        stored.append({"id": id_, "image": served.value.size, **served.value.record})
        if options.asks_otherwise:
            record = served.value.prediction.to_record(
                live.predictor.classes, top_k=options.top_k, threshold=options.threshold
            )
            asked.append({"id": id_, "image": served.value.size, **record})
    return stored, asked if options.asks_otherwise else stored


def count(live: LiveModel, answers: Sequence[Served[Answer]]) -> None:
    """Count images that a model has answered, by what it said."""
    live.meters.images.inc(len(answers))
    for served in answers:
        live.meters.said(served.value.top)


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)
