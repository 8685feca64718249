"""How the service fares over time: traffic, accuracy, drift, alerts, two versions compared."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from visionloop.core.errors import VisionloopError
from visionloop.monitoring.ab.compare import compare
from visionloop.monitoring.alerts.store import AlertStore
from visionloop.monitoring.drift.summary import FOLDER, read_summary
from visionloop.monitoring.drift.thumbnails import read_thumbnails
from visionloop.monitoring.history.accuracy import drawn_accuracy, feedback_accuracy, judgements, merged_judgements
from visionloop.monitoring.history.counts import CONFIDENCE_EDGES, Counts
from visionloop.monitoring.history.requests import endings
from visionloop.monitoring.history.suspects import SuspectKey, known_suspects
from visionloop.monitoring.history.traffic import TrafficHistory
from visionloop.monitoring.history.versions import AnsweringVersion, answering_versions
from visionloop.serving.counters import service_counts
from visionloop.serving.memory import Memory
from visionloop.serving.models import Fleet
from visionloop.serving.monitoring_answers import (
    accuracy_body,
    alert_body,
    drift_body,
    latency_body,
    report_body,
    requests_body,
)
from visionloop.serving.options import parse
from visionloop.serving.problems import json_answer
from visionloop.serving.recent import Recent
from visionloop.serving.refusals import bad_option
from visionloop.task import task_names

_log = logging.getLogger(__name__)

Range = Literal["hour", "day", "week", "month"]


class _Span(NamedTuple):
    """How a range is cut."""

    bucket: timedelta
    num: int
    fresh_s: float
    """Seconds for which an answer is given again."""


_SPANS: dict[str, _Span] = {
    "hour": _Span(timedelta(minutes=1), 60, 2.0),
    "day": _Span(timedelta(hours=1), 24, 5.0),
    "week": _Span(timedelta(hours=3), 56, 15.0),
    "month": _Span(timedelta(hours=12), 60, 30.0),
}
_COMPARISON_FRESH_S = 30.0
_NAMED_CLASSES = 9
"""More colours than these nobody tells apart; the rest are others."""


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str = Field(max_length=100, pattern=r"^[^\x00]*$")


class _SummaryOptions(_Options):
    range: Range = "day"


class _RequestsOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    range: Range = "day"


class _ComparisonOptions(_Options):
    first: str | None = Field(default=None, max_length=100)
    second: str | None = Field(default=None, max_length=100)


_EXPECTED = {
    "task": "a task's name, such as classification",
    "range": "one of hour, day, week, month",
    "first": "a version that has answered, such as 1",
    "second": "another version that has answered, such as 2",
}


class Monitoring:
    """Routes for people who watch. Everything here is read: from the store, or from what other processes left."""

    def __init__(self, memory: Memory, fleet: Fleet, state: Path) -> None:
        """`state` is the folder of what the service and the jobs write."""
        self._memory, self._fleet, self._state = memory, fleet, state
        self._recent = Recent()

    async def summary(self, request: Request) -> Response:
        """Traffic, latency, answers and accuracy over time.

        Raises:
            Problem: an option is wrong, or predictions are not kept.
            StoreError: the store cannot be read.
        """
        options = parse(_SummaryOptions, request.query_params, _only(_SummaryOptions))
        self._memory.require_store()
        key = ("summary", options.task, options.range)
        fresh_s = _SPANS[options.range].fresh_s
        return json_answer(await self._recent.get(key, fresh_s, lambda: self._summary(options)))

    async def comparison(self, request: Request) -> Response:
        """Two versions by the answers that are stored of them.

        Raises:
            Problem: an option is wrong, or predictions are not kept.
            StoreError: the store cannot be read.
        """
        options = parse(_ComparisonOptions, request.query_params, _only(_ComparisonOptions))
        self._memory.require_store()
        key = ("comparison", options.task, options.first, options.second)
        return json_answer(await self._recent.get(key, _COMPARISON_FRESH_S, lambda: self._comparison(options)))

    async def drift(self, request: Request) -> Response:
        """What the drift check found last.

        Raises:
            Problem: an option is wrong.
        """
        options = parse(_Options, request.query_params, _only(_Options))
        return json_answer(await asyncio.to_thread(self._drift, options.task))

    async def alerts(self, request: Request) -> Response:
        """Alerts and silences as the watch left them.

        Raises:
            Problem: an option is wrong, or predictions, beside which alerts are kept, are not kept.
            StoreError: the store cannot be read.
        """
        parse(_Nothing, request.query_params, {})
        return json_answer(await asyncio.to_thread(self._alerts))

    async def service(self, request: Request) -> Response:
        """Requests, refusals and stages since the service started.

        Raises:
            Problem: an option is wrong.
        """
        parse(_Nothing, request.query_params, {})
        return json_answer(await asyncio.to_thread(service_counts))

    async def requests(self, request: Request) -> Response:
        """How requests ended over time.

        Raises:
            Problem: an option is wrong, or predictions, beside which this is counted, are not kept.
            StoreError: the store cannot be read.
        """
        options = parse(_RequestsOptions, request.query_params, _only(_RequestsOptions))
        self._memory.require_store()
        span = _SPANS[options.range]

        def find() -> dict[str, Any]:
            edges = _edges(datetime.now(UTC), span)
            parts = endings(*self._memory.require_store().database, edges)
            return {"range": options.range} | requests_body(edges, parts)

        return json_answer(await self._recent.get(("requests", options.range), span.fresh_s, find))

    # -- traffic

    def _summary(self, options: _SummaryOptions) -> dict[str, Any]:
        engine, where = self._memory.require_store().database
        now = datetime.now(UTC)
        span = _SPANS[options.range]
        edges = _edges(now, span)
        parts = TrafficHistory(engine, where).buckets(options.task, edges, now)
        suspects = self._suspects(options.task)
        said = judgements(engine, where, options.task, edges, suspects)
        drawn = drawn_accuracy(engine, where, options.task, edges[0], edges[-1], suspects=suspects)
        people = merged_judgements(said)
        whole = Counts.merged(parts)
        # "Others" that are only one class might as well be called by its name.
        is_one_more = len(whole.classes) == _NAMED_CLASSES + 1 and not whole.others
        named = [name for name, _ in whole.classes.most_common(_NAMED_CLASSES + is_one_more)]
        return {
            "task": options.task,
            "range": options.range,
            "since": edges[0].isoformat(),
            "until": edges[-1].isoformat(),
            "at": now.isoformat(),
            "bucket_s": span.bucket.total_seconds(),
            "answers": whole.total,
            "versions": sorted(whole.versions, key=lambda name: (len(name), name)),
            "classes": named,
            "latency_ms": latency_body(whole),
            "confidence": {"edges": [0.0, *CONFIDENCE_EDGES, 1.0], "counts": list(whole.confidence)},
            "found_nothing": whole.nothing,
            "accuracy": accuracy_body(feedback_accuracy(whole, people), drawn),
            "held_back": people.held,
            "buckets": [
                {
                    "start": start.isoformat(),
                    "answers": part.total,
                    "by_version": dict(part.versions),
                    "by_class": {name: part.classes[name] for name in named if part.classes[name]},
                    "other_classes": part.others + sum(part.classes.values()) - sum(part.classes[n] for n in named),
                    "found_nothing": part.nothing,
                    "latency_ms": latency_body(part),
                    "accuracy": accuracy_body(feedback_accuracy(part, judged)),
                }
                for start, part, judged in zip(edges, parts, said, strict=False)
            ],
        }

    def _suspects(self, task: str) -> tuple[SuspectKey, ...]:
        # Only the names of tasks are file names.
        return known_suspects(self._state, task) if task in task_names() else ()

    # -- two versions

    def _comparison(self, options: _ComparisonOptions) -> dict[str, Any]:
        engine, where = self._memory.require_store().database
        versions = answering_versions(engine, where, options.task)
        pair = self._pair(options, versions)
        report = None
        if pair is not None:
            (first, second), basis = pair
            # One after another they shared no moment: all that each answered is compared.
            since = None if basis == "shared" else min(one.first_at for one in versions)
            identities = ((first.version, first.digest), (second.version, second.digest))
            found = compare(
                engine, task=options.task, first=identities[0], second=identities[1], since=since,
                suspects=self._suspects(options.task),
            )  # fmt: skip
            report = report_body(found) | {"basis": basis}
        listed = [
            {"version": one.version, "first_at": one.first_at, "last_at": one.last_at, "answers": one.answers}
            for one in versions
        ]
        return {"task": options.task, "versions": listed, "report": report}

    def _pair(
        self, options: _ComparisonOptions, versions: Sequence[AnsweringVersion]
    ) -> tuple[tuple[AnsweringVersion, AnsweringVersion], str] | None:
        """What is compared, the one that was there first; and whether they shared the traffic."""
        known = {one.version: one for one in reversed(versions)}  # of a number used twice, the latest
        for name in ("first", "second"):
            asked = getattr(options, name)
            if asked is not None and asked not in known:
                raise bad_option(name, f"version {asked!r:.80} has no stored answers", _EXPECTED[name])
        lineup = self._fleet.lineups.get(options.task)
        beside = next((live for live in lineup.models if live.role != "champion"), None) if lineup else None
        if options.first is None and options.second is None and lineup is not None and beside is not None:
            by_digest = {one.digest: one for one in versions}
            held = by_digest.get(lineup.champion.variant.digest)
            other = by_digest.get(beside.variant.digest) or _silent(beside.variant.version, beside.variant.digest)
            return None if held is None else ((held, other), "shared")
        if len(versions) < 2:
            return None
        second = known[options.second] if options.second else _other(versions, options.first)
        first = known[options.first] if options.first else _other(versions, second.version)
        if first.digest == second.digest:
            raise bad_option("second", "a version cannot be compared with itself", _EXPECTED["second"])
        overlap = min(first.last_at, second.last_at) > max(first.first_at, second.first_at)
        return (first, second), "shared" if overlap else "sequence"

    # -- drift

    def _drift(self, task: str) -> dict[str, Any]:
        # Only the names of tasks are file names.
        path = self._state / FOLDER / f"{task}.json"
        nothing: dict[str, Any] = {"task": task, "report": None, "problem": None}
        if task not in task_names():
            return nothing
        try:
            summary = read_summary(path)
            pictures = {} if summary is None else read_thumbnails(path, summary.digest)
        except VisionloopError as error:
            _log.warning("%s", error)
            return nothing | {"problem": f"{error.what}; {error.action}"}
        if summary is None:
            return nothing
        lineup = self._fleet.lineups.get(summary.task)
        is_champion = lineup is not None and lineup.champion.variant.digest == summary.digest
        return nothing | {"report": drift_body(summary, pictures, is_champion=is_champion, has_image=self._has_image)}

    def _has_image(self, prediction_id: str) -> bool:
        found = None if self._memory.store is None else self._memory.store.image_of(prediction_id)
        return found is not None and self._memory.image_path(found) is not None

    # -- alerts

    def _alerts(self) -> dict[str, Any]:
        store = AlertStore(*self._memory.require_store().database)
        now = datetime.now(UTC)
        states, silences = store.states().values(), store.silences(now)
        rank = {"firing": 0, "pending": 1, "ok": 2}
        told = [state for state in states if state.phase != "ok" or state.incident]
        look = store.last_look()
        # `visionloop alerts check`, which cron may call, leaves states and no look.
        looks = [state.seen_at for state in states] + ([look.looked_at] if look else [])
        return {
            "watched_at": max(looks, default=None),
            "watch_interval_s": look.interval_s if look else None,
            "alerts": [
                alert_body(state, silences, now)
                for state in sorted(told, key=lambda state: (rank[state.phase], -state.since.timestamp()))
            ],
        }


class _Nothing(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _only(cls: type[BaseModel]) -> dict[str, str]:
    return {name: _EXPECTED[name] for name in cls.model_fields}


def _edges(now: datetime, span: _Span) -> list[datetime]:
    """Begins and ends of the buckets, on round times of UTC; the last bucket is under way."""
    seconds = span.bucket.total_seconds()
    end = datetime.fromtimestamp(math.floor(now.timestamp() / seconds) * seconds + seconds, UTC)
    return [end - index * span.bucket for index in range(span.num, -1, -1)]


def _silent(version: str, digest: str) -> AnsweringVersion:
    """A shadow: it has answered nobody."""
    now = datetime.now(UTC)
    return AnsweringVersion(version=version, digest=digest, first_at=now, last_at=now, answers=0)


def _other(versions: Sequence[AnsweringVersion], version: str | None) -> AnsweringVersion:
    return next(one for one in versions if one.version != version)
