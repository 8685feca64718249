"""The HTTP API as a plain ASGI application: no framework stands between the socket and the queue but Starlette."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute

from visionloop.core.errors import ImageError, VisionloopError
from visionloop.core.files import read_json, sha256_bytes
from visionloop.monitoring.store import ComparisonRow, FeedbackRow, PredictionRow, PredictionStore, StoreError
from visionloop.serving import custom_vision, metrics
from visionloop.serving.batches import MEDIA_TYPES, BatchJobs
from visionloop.serving.batching import Served
from visionloop.serving.canary import CanaryWatch
from visionloop.serving.explain import Explainer
from visionloop.serving.images import ImageKeeper
from visionloop.serving.models import Answer, Fleet, Job, LiveLineup, LiveModel, model_ref, parallel_batches, verbs
from visionloop.serving.openapi import openapi_document
from visionloop.serving.options import OPTION_NAMES, PredictOptions, parse_options
from visionloop.serving.problems import Problem, image_problem, json_answer, nothing_serves, problem_response
from visionloop.serving.schema import FeedbackBody
from visionloop.serving.settings import ServingSettings
from visionloop.serving.stream import Stream, session_of
from visionloop.serving.upload import read_upload
from visionloop.task import task_names

_log = logging.getLogger(__name__)

_MAX_JSON = 256 * 1024
_MAX_MIRRORED = 8
"""Requests mirrored to another model at once; more are not compared, so that a shadow never slows an answer."""

Handler = Callable[[Request], Awaitable[Response]]
Refusal = Callable[[Problem], Response]


class _Told(NamedTuple):
    """A model's answers to a request."""

    live: LiveModel
    served: list[Served[Answer]]


class Api:
    """Routes and state of one worker.

    Attributes:
        fleet: The models.
        store: Where predictions and feedback go; None where that is switched off.
        batches: Jobs of many images.
    """

    def __init__(self, settings: ServingSettings, root: Path, state: Path, store: PredictionStore | None) -> None:
        """`root` holds the deployment pointer, `state` what is written."""
        self._settings = settings
        self._executor = ThreadPoolExecutor(parallel_batches(settings), thread_name_prefix="inference")
        self.fleet = Fleet(settings, root, self._executor)
        # A thread of its own: an explanation takes as long as hundreds of predictions, which go on beside it.
        self._explainer = Explainer(self.fleet, settings)
        self.fleet.on_change = self._changed
        self.store = store
        self.batches = BatchJobs(settings, state, self._champions)
        self._keeper = ImageKeeper(settings.images, state)
        self._watches: dict[str, CanaryWatch] = {}
        self._mirrors: set[asyncio.Task[None]] = set()
        self._failed: set[str] = set()
        self._verbs = verbs(task_names())
        self._custom_vision = custom_vision.CustomVision(self._answer, self._lineup, self._verbs, settings.upload)

    def start(self) -> None:
        """Load the models and follow the pointer."""
        self.fleet.start()

    def attend(self) -> None:
        """Work on batch jobs; called on the event loop that answers requests, and may be called twice."""
        self.batches.start(asyncio.get_running_loop())

    def close(self) -> None:
        """Stop following, write what is pending; may be called twice."""
        self.fleet.stop()
        self.batches.stop()
        self._keeper.close()
        if self.store is not None:
            self.store.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._explainer.close()

    def app(self) -> Starlette:
        """The application; its lifespan starts and closes the API where a server runs lifespans."""
        routes: list[BaseRoute] = [
            # First what is asked most: routes are tried in order.
            *(self._route(f"/v1/{verb}", self._predictor(task), "POST") for verb, task in self._verbs.items()),
            self._route("/livez", self._livez, "GET"),
            self._route("/readyz", self._readyz, "GET"),
            self._route("/openapi.json", self._openapi, "GET"),
            self._route("/metrics", self._metrics, "GET"),
            self._route("/v1/models", self._models, "GET"),
            self._route("/v1/predict", self._predict_all, "POST"),
            self._route("/v1/explain", self._explainer.answer, "POST"),
            self._route("/v1/batches", self._submit_batch, "POST"),
            self._route("/v1/batches/{id}", self._batch, "GET"),
            self._route("/v1/batches/{id}", self._cancel_batch, "DELETE"),
            self._route("/v1/batches/{id}/result", self._batch_result, "GET"),
            self._route("/v1/feedback", self._feedback, "POST"),
            self._route("/v1/predictions/{id}", self._prediction, "GET"),
            WebSocketRoute("/v1/stream", Stream(self.fleet, self._settings).serve),
            self._route(custom_vision.ROUTE, self._custom_vision.answer, "POST", custom_vision.refusal),
        ]

        @asynccontextmanager
        async def lifespan(_: Starlette) -> Any:
            self.start()
            self.attend()
            yield
            self.close()

        return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _no_such_route})  # type: ignore[dict-item]

    # -- plumbing

    def _route(self, path: str, handler: Handler, method: str, refusal: Refusal = problem_response) -> Route:
        requests = metrics.REQUESTS
        seconds = metrics.REQUEST_SECONDS.labels(path)

        async def endpoint(request: Request) -> Response:
            started = time.perf_counter()
            request.state.started = started
            try:
                response = await handler(request)
            except Problem as problem:
                response = _refuse(problem, refusal)
            except ImageError as error:
                response = _refuse(image_problem(error), refusal)
            except ClientDisconnect:
                # Nobody reads this answer; 499 is what the logs of many servers call it.
                response = Response(status_code=499)
            except StoreError as error:
                response = _refuse(_store_problem(error), refusal)
            except Exception:
                _log.exception("request %s failed", _request_id(request))
                response = refusal(_INTERNAL)
            took = time.perf_counter() - started
            requests.labels(path, method, response.status_code).inc()
            seconds.observe(took)
            _log_request(request, path, response.status_code, took)
            return response

        return Route(path, endpoint, methods=[method])

    def _changed(self) -> None:
        self._failed |= self.fleet.failures.keys()
        for slot in self._failed:
            metrics.DEPLOYMENT_FAILED.labels(slot).set(slot in self.fleet.failures)

    # -- health and description

    async def _livez(self, _: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def _readyz(self, _: Request) -> Response:
        if self.fleet.ready:
            return Response("ready\n", media_type="text/plain")
        raise nothing_serves("readiness", dict(self.fleet.failures))

    async def _openapi(self, _: Request) -> Response:
        return JSONResponse(openapi_document(self._verbs))

    async def _metrics(self, _: Request) -> Response:
        return Response(await asyncio.to_thread(metrics.exposition), media_type=CONTENT_TYPE_LATEST)

    async def _models(self, _: Request) -> Response:
        rows = []
        for task, lineup in self.fleet.lineups.items():
            for live in lineup.models:
                rows.append(_model_row(task, lineup, live))
        return json_answer({"models": rows, "failures": dict(self.fleet.failures)})

    # -- predictions

    def _predictor(self, task: str) -> Handler:
        async def predict(request: Request) -> Response:
            lineup = self._lineup(task)
            jobs, options = await self._read(request)
            return json_answer(await self._answer(request, task, lineup, jobs, options))

        return predict

    async def _predict_all(self, request: Request) -> Response:
        lineups = self.fleet.lineups
        if not lineups:
            raise nothing_serves("deployment", dict(self.fleet.failures))
        jobs, options = await self._read(request)
        answers = [self._answer(request, task, lineup, jobs, options) for task, lineup in lineups.items()]
        results = dict(zip(lineups, await asyncio.gather(*answers), strict=True))
        return json_answer({"results": results, "request_id": _request_id(request)})

    async def _read(self, request: Request) -> tuple[list[Job], PredictOptions]:
        upload = await read_upload(request, self._settings.upload, options=OPTION_NAMES)
        options = parse_options(request.query_params, upload.options)
        return [Job(image.data, image.name) for image in upload.images], options

    def _lineup(self, task: str) -> LiveLineup:
        lineup = self.fleet.lineups.get(task)
        if lineup is None:
            raise nothing_serves(task, dict(self.fleet.failures))
        return lineup

    async def _answer(
        self, request: Request, task: str, lineup: LiveLineup, jobs: Sequence[Job], options: PredictOptions
    ) -> dict[str, Any]:
        started = time.perf_counter()
        told = await self._ask(task, lineup, jobs, session_of(request))
        ids = [uuid.uuid4().hex for _ in jobs]
        self._observe(task, told)
        self._mirror(task, lineup, told, jobs, ids)
        classes = told.live.predictor.classes
        request_id = _request_id(request)
        predictions = []
        for id_, served in zip(ids, told.served, strict=True):
            height, width = served.value.image.shape[:2]
            record = served.value.prediction.to_record(classes, top_k=options.top_k, threshold=options.threshold)
            predictions.append({"id": id_, "image": {"width": width, "height": height}, **record})
        now = time.perf_counter()
        self._remember(request, task, told, jobs, ids, predictions, options, now - started)
        return {
            "model": model_ref(task, told.live),
            "predictions": predictions,
            "timings_ms": {
                "decode": _ms(max(served.value.decode_s for served in told.served)),
                "queue": _ms(max(served.queue_s for served in told.served)),
                "inference": _ms(max(served.work_s for served in told.served)),
                "total": _ms(now - request.state.started),
            },
            "request_id": request_id,
        }

    async def _ask(self, task: str, lineup: LiveLineup, jobs: Sequence[Job], session: str) -> _Told:
        live = lineup.choose(session)
        started = time.perf_counter()
        watch = self._watch(lineup)
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

    def _observe(self, task: str, told: _Told) -> None:
        version = told.live.variant.version
        metrics.IMAGES.labels(task, version, told.live.role).inc(len(told.served))
        decode, wait = metrics.STAGE_SECONDS.labels(task, "decode"), metrics.STAGE_SECONDS.labels(task, "queue")
        for served in told.served:
            decode.observe(served.value.decode_s)
            wait.observe(served.queue_s)
            top = served.value.prediction.top(told.live.predictor.classes)
            metrics.CLASSES.labels(task, version, top[0] if top else "").inc()
            if top:
                metrics.CONFIDENCE.labels(task, version).observe(top[1])
        metrics.QUEUE.labels(task, told.live.role).set(told.live.waiting)
        metrics.STAGE_SECONDS.labels(task, "inference").observe(told.served[0].work_s)
        metrics.BATCH_SIZE.labels(task).observe(told.served[0].batch)

    # -- batches

    def _champions(self) -> dict[str, LiveModel]:
        return {task: lineup.champion for task, lineup in self.fleet.lineups.items()}

    async def _submit_batch(self, request: Request) -> Response:
        self.attend()
        job = (await self.batches.submit(request)).answer()
        return json_answer(job, 202, {"Location": job["url"]})

    async def _batch(self, request: Request) -> Response:
        job = await asyncio.to_thread(self.batches.state, request.path_params["id"])
        return json_answer(job.answer())

    async def _cancel_batch(self, request: Request) -> Response:
        job = await asyncio.to_thread(self.batches.cancel, request.path_params["id"])
        return Response(status_code=204) if job is None else json_answer(job.answer())

    async def _batch_result(self, request: Request) -> Response:
        form = request.query_params.get("form", "csv")
        pieces = await asyncio.to_thread(self.batches.result, request.path_params["id"], form)
        return StreamingResponse(pieces, media_type=MEDIA_TYPES[form])

    # -- canary and shadow

    def _watch(self, lineup: LiveLineup) -> CanaryWatch | None:
        if lineup.canary is None or lineup.share <= 0:
            return None
        digest = lineup.canary.variant.digest
        if digest not in self._watches:
            self._watches = {digest: CanaryWatch(self._settings.canary), **self._watches}
        return self._watches[digest]

    def _judge(self, task: str, lineup: LiveLineup, watch: CanaryWatch | None) -> None:
        reason = watch.verdict() if watch is not None else None
        if reason is None or lineup.canary is None:
            return
        digest = lineup.canary.variant.digest
        del self._watches[digest]
        metrics.CANARY_STOPPED.labels(task).inc()
        _log.error("canary of %s stopped: %s", task, reason)
        self._background(self._stop_canary(task, digest, reason))

    async def _stop_canary(self, task: str, digest: str, reason: str) -> None:
        try:
            # The pointer's lock may have to be waited for.
            await asyncio.to_thread(self.fleet.stop_canary, task, digest, reason)
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
            answers = await other.answer(jobs)
        except Exception as error:
            _log.warning("%s of %s gave no answer to compare: %s", other.role, task, error)
            return
        role = "shadow" if other.role == "shadow" else "canary"
        watch = self._watch(lineup) if role == "canary" else None
        histogram = metrics.AGREEMENT.labels(task, role)
        for id_, served, answer in zip(ids, told.served, answers, strict=True):
            agreement = told.live.predictor.task.agreement(served.value.prediction, answer.value.prediction)
            histogram.observe(agreement)
            if watch is not None:
                watch.compared(agreement)
            if self.store is not None:
                self.store.log_comparison(
                    ComparisonRow(
                        prediction_id=id_,
                        digest=other.variant.digest,
                        agreement=agreement,
                        details=answer.value.prediction.to_record(other.predictor.classes),
                        created_at=datetime.now(UTC),
                    )
                )

    def _background(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self._mirrors.add(task)
        task.add_done_callback(self._mirrors.discard)

    # -- memory

    def _remember(
        self,
        request: Request,
        task: str,
        told: _Told,
        jobs: Sequence[Job],
        ids: Sequence[str],
        predictions: Sequence[dict[str, Any]],
        options: PredictOptions,
        seconds: float,
    ) -> None:
        store = self.store
        if store is None:
            return
        keep = self._settings.images.keep if options.store is None else options.store
        variant, classes = told.live.variant, told.live.predictor.classes
        now = datetime.now(UTC)
        for job, id_, served, record in zip(jobs, ids, told.served, predictions, strict=True):
            digest = sha256_bytes(job.data)
            prediction, image = served.value.prediction, served.value.image
            top = prediction.top(classes)
            if keep:
                self._keeper.keep(digest, image)
            store.log(
                PredictionRow(
                    id=id_,
                    created_at=now,
                    task=task,
                    model=variant.model,
                    version=variant.version,
                    digest=variant.digest,
                    variant=told.live.role,
                    request_id=_request_id(request),
                    key_id=getattr(request.state, "key_id", "") or None,
                    image_sha256=digest,
                    width=image.shape[1],
                    height=image.shape[0],
                    image_bytes=len(job.data),
                    result=record,
                    top_class=top[0] if top else None,
                    confidence=top[1] if top else None,
                    features=None,
                    embedding=prediction.embedding.astype(np.float16).tobytes(),
                    latency_ms=1000 * seconds,
                )
            )
        for fate in ("written", "dropped", "pending"):
            metrics.LOG_ROWS.labels(fate).set(getattr(store, fate))

    async def _feedback(self, request: Request) -> Response:
        body = await _read_json(request)
        try:
            feedback = FeedbackBody.model_validate(body)
        except ValidationError as error:
            raise _bad_feedback(error) from None
        if (feedback.verdict == "corrected") != (feedback.label is not None):
            raise Problem(
                422,
                "bad_feedback",
                "a correction needs the right label, and only a correction has one",
                where="label",
                expected='verdict "corrected" with a label, or "right" or "wrong" without',
                action="send both or neither",
            )
        label = feedback.model_dump(mode="json", by_alias=True)["label"]
        row = FeedbackRow(
            prediction_id=feedback.prediction_id,
            created_at=datetime.now(UTC),
            verdict=feedback.verdict,
            label=label,
            note=feedback.note,
            key_id=getattr(request.state, "key_id", "") or None,
        )
        if not await asyncio.to_thread(self._require_store().add_feedback, row):
            raise _unknown_prediction(feedback.prediction_id)
        return json_answer({"prediction_id": feedback.prediction_id, "verdict": feedback.verdict})

    async def _prediction(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        found = await asyncio.to_thread(self._require_store().prediction, id_)
        if found is None:
            raise _unknown_prediction(id_)
        del found["embedding"]  # bytes, for drift; no JSON has a place for them
        return json_answer(found)

    def _require_store(self) -> PredictionStore:
        if self.store is None:
            raise Problem(
                503,
                "store_off",
                "predictions are not kept",
                where="setting serving.store",
                expected="a prediction store",
                action="ask the operator to switch it on",
            )
        return self.store


def _model_row(task: str, lineup: LiveLineup, live: LiveModel) -> dict[str, Any]:
    manifest = live.predictor.bundle.manifest
    canary = lineup.share if lineup.canary is not None else 0.0
    share = {"champion": 1.0 - canary, "canary": canary, "shadow": 0.0}[live.role]
    return {
        "task": task,
        "role": live.role,
        "share": share,
        "name": live.variant.model,
        "version": live.variant.version,
        "digest": live.variant.digest,
        "classes": list(manifest.classes),
        "input": {"width": manifest.recipe.width, "height": manifest.recipe.height},
        "operating_point": manifest.operating_point,
        "metrics": _evaluation(live.predictor.bundle.root),
        "stopped": getattr(live.variant, "stopped", None),
    }


def _evaluation(bundle: Path) -> dict[str, float]:
    """The metrics stored beside a bundle, where there are some."""
    path = bundle.parent / "evaluation" / "metrics.json"
    return dict(read_json(path)) if path.exists() else {}


async def _read_json(request: Request) -> Any:
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise Problem(
            415,
            "unsupported_media_type",
            "this route takes JSON",
            where="header Content-Type",
            expected="application/json",
            action="send the body as JSON",
        )
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_JSON:
            raise Problem(
                413,
                "body_too_large",
                "the body is too large",
                where="body",
                expected=f"at most {_MAX_JSON // 1024} KiB of JSON",
                action="send less",
            )
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(
            400,
            "malformed_json",
            "the body is not JSON",
            where="body",
            expected="a JSON object in UTF-8",
            action="correct the body",
        ) from None


def _refuse(problem: Problem, refusal: Refusal) -> Response:
    metrics.REJECTIONS.labels(problem.code).inc()
    return refusal(problem)


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)


def _request_id(request: Request) -> str:
    return getattr(request.state, "request_id", "")


def _log_request(request: Request, route: str, status: int, seconds: float) -> None:
    level = logging.INFO if status < 500 else logging.WARNING
    if not _log.isEnabledFor(level):
        return
    line = {
        "event": "request",
        "request_id": _request_id(request),
        "method": request.method,
        "route": route,
        "status": status,
        "ms": _ms(seconds),
        "key_id": getattr(request.state, "key_id", ""),
    }
    _log.log(level, orjson.dumps(line).decode())


async def _no_such_route(request: Request, error: HTTPException) -> Response:
    allowed = (error.headers or {}).get("Allow")
    problem = Problem(
        error.status_code,
        "method_not_allowed" if error.status_code == 405 else "no_such_route",
        f"{request.method} {request.url.path[:200]} is not answered",
        where="request line",
        expected=f"one of {allowed}" if allowed else "a route of /openapi.json",
        action="correct the method or path",
    )
    return problem_response(problem, error.headers)


def _unknown_prediction(id_: str) -> Problem:
    return Problem(
        404,
        "unknown_prediction",
        f"there is no prediction {id_[:64]!r}",
        where="prediction id",
        expected="the id of an answer of this service",
        action="correct the id; predictions are kept for a limited time",
    )


def _bad_feedback(error: ValidationError) -> Problem:
    first = error.errors()[0]
    return Problem(
        422,
        "bad_feedback",
        first["msg"],
        where=".".join(map(str, first["loc"])) or "body",
        expected="see FeedbackBody in /openapi.json",
        action="correct the field",
    )


def _store_problem(error: StoreError) -> Problem:
    return Problem(
        503,
        "store_unavailable",
        error.what,
        where=error.where,
        expected=error.expected,
        action="try again; predictions are served meanwhile",
        retry_after=5.0,
    )


_INTERNAL = Problem(
    500,
    "internal_error",
    "an error of ours",
    where="the service",
    expected="an answer",
    action="try again; report it with the X-Request-ID if it stays",
)
