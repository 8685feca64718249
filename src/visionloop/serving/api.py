"""The HTTP API as a plain ASGI application: no framework stands between the socket and the queue but Starlette."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from visionloop.core.errors import ImageError
from visionloop.core.files import read_json
from visionloop.monitoring.store import PredictionStore, StoreError
from visionloop.serving import custom_vision, metrics
from visionloop.serving.answering import Answering
from visionloop.serving.batches import MEDIA_TYPES, BatchJobs
from visionloop.serving.bodies import BodyBudget
from visionloop.serving.caller import caller_of
from visionloop.serving.explain import Explainer
from visionloop.serving.live import Job, LiveModel, parallel_batches
from visionloop.serving.log import log_request
from visionloop.serving.memory import Memory, store_problem
from visionloop.serving.models import Fleet, LiveLineup, verbs
from visionloop.serving.options import OPTION_NAMES, PredictOptions, parse_options
from visionloop.serving.page import Page
from visionloop.serving.pixels import PixelBudget
from visionloop.serving.problems import Problem, image_problem, json_answer, problem_response
from visionloop.serving.rare import Handler, rare_routes
from visionloop.serving.refusals import internal_error, nothing_serves
from visionloop.serving.reports import REPORTS, Reports
from visionloop.serving.review import Review
from visionloop.serving.settings import ServingSettings
from visionloop.serving.stream import Stream
from visionloop.serving.tally import Tally
from visionloop.serving.upload import read_upload
from visionloop.task import task_names

if TYPE_CHECKING:
    from visionloop.serving.drift_gauges import DriftGauges

_log = logging.getLogger(__name__)

_REPORT_S = 1.0
"""Seconds between reports of what no request counts."""
_TALLY_S = 10.0
"""Seconds between additions of how requests ended to the store."""

Refusal = Callable[[Problem], Response]


class Api:
    """Routes and state of one worker.

    Attributes:
        fleet: The models.
        batches: Jobs of many images.
        page: The web page.
        tally: How requests ended.
    """

    def __init__(self, settings: ServingSettings, root: Path, state: Path, store: PredictionStore | None) -> None:
        """`root` holds the deployment pointer, `state` what is written."""
        self._settings, self._root, self._state = settings, root, state
        self._executor = ThreadPoolExecutor(parallel_batches(settings), thread_name_prefix="inference")
        pixels = PixelBudget(settings.upload.max_pixels_at_once)
        self._bodies = BodyBudget(int(settings.upload.max_bodies_mb_at_once * 1e6))
        self.fleet = Fleet(settings, root, self._executor, pixels)
        # A thread of its own: an explanation takes as long as hundreds of predictions, which go on beside it.
        self._explainer = Explainer(self.fleet, settings)
        self.fleet.on_change = self._changed
        self._memory = Memory(settings, state, store, pixels, self._classes)
        self._answering = Answering(settings, self.fleet, self._memory)
        self.batches = BatchJobs(settings, state, self.fleet, self._memory)
        self.tally = Tally()
        self.page = Page()
        self._failed: set[str] = set()
        self._reporting = False
        self._verbs = verbs(task_names())
        self._reports = (root / settings.pointer).parent / REPORTS
        self._custom_vision = custom_vision.CustomVision(self._answering, self.fleet, self._verbs, settings.upload)

    @functools.cached_property
    def _drift(self) -> DriftGauges:
        from visionloop.serving.drift_gauges import DriftGauges

        return DriftGauges(self._state)

    @property
    def store(self) -> PredictionStore | None:
        """Where predictions and feedback go; None where that is switched off, or not open yet."""
        return self._memory.store

    @store.setter
    def store(self, store: PredictionStore) -> None:
        self._memory.store = store

    def _classes(self, task: str) -> tuple[str, ...] | None:
        lineup = self.fleet.lineups.get(task)
        return None if lineup is None else lineup.champion.predictor.classes

    def start(self) -> None:
        """Load the models and follow the pointer."""
        metrics.STARTED.set(time.time())
        self.fleet.start()

    def attend(self) -> None:
        """Work on batch jobs, and report; called on the event loop that answers requests, and may be called twice."""
        loop = asyncio.get_running_loop()
        self.batches.start(loop)
        if not self._reporting:
            self._reporting = True
            self._report(loop)
            self._write_tally(loop)

    def close(self) -> None:
        """Stop following, write what is pending; may be called twice."""
        self._reporting = False
        self.fleet.stop()
        self.batches.stop()
        self.tally.write(self.store)
        self._memory.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._explainer.close()

    def _report(self, loop: asyncio.AbstractEventLoop) -> None:
        self._memory.report()
        if self._reporting:
            loop.call_later(_REPORT_S, self._report, loop)

    def _write_tally(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._reporting:
            loop.run_in_executor(None, self.tally.write, self.store)
            loop.call_later(_TALLY_S, self._write_tally, loop)

    def app(self) -> _Shortcut:
        """The application; its lifespan starts and closes the API where a server runs lifespans."""
        predictors = {
            f"/v1/{verb}": self._endpoint(f"/v1/{verb}", self._predictor(task), "POST")
            for verb, task in self._verbs.items()
        }
        review = Review(self._memory)
        rare = rare_routes(self._memory, self.fleet, self._settings, self._root, self._state)
        reports = Reports(self._reports)
        routes: list[BaseRoute] = [
            *(Route(path, endpoint, methods=["POST"]) for path, endpoint in predictors.items()),
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
            self._route("/v1/feedback", self._memory.feedback, "POST"),
            self._route("/v1/predictions", review.page, "GET"),
            self._route("/v1/predictions/{id}", self._memory.prediction, "GET"),
            self._route("/v1/predictions/{id}/image", review.image, "GET"),
            self._route("/v1/predictions/{id}/feedback", review.take_back, "DELETE"),
            self._route("/v1/models/reports/{id}", reports.report, "GET"),
            self._route("/v1/models/reports/{id}/examples/{name}", reports.picture, "GET"),
            WebSocketRoute("/v1/stream", Stream(self.fleet, self._settings).serve),
            self._route(custom_vision.ROUTE, self._custom_vision.answer, "POST", custom_vision.refusal),
            *(self._route(*route) for route in rare),
            *self.page.routes(),
        ]

        async def no_such_route(request: Request, error: HTTPException) -> Response:
            found = self.page.unknown(request) if error.status_code == 404 else None
            return found or _no_such_route(request, error)

        @asynccontextmanager
        async def lifespan(_: Starlette) -> Any:
            self.start()
            self.attend()
            yield
            self.close()

        routed = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: no_such_route})  # type: ignore[dict-item]

        return _Shortcut(routed, predictors)

    # -- plumbing

    def _route(self, path: str, handler: Handler, method: str, refusal: Refusal = problem_response) -> Route:
        return Route(path, self._endpoint(path, handler, method, refusal), methods=[method])

    def _endpoint(self, path: str, handler: Handler, method: str, refusal: Refusal = problem_response) -> Handler:
        count = functools.cache(functools.partial(metrics.REQUESTS.labels, path, method))
        seconds = metrics.REQUEST_SECONDS.labels(path)

        async def endpoint(request: Request) -> Response:
            started = time.perf_counter()
            request.scope.setdefault("state", {})["started"] = started
            body = self._bodies.attach(request)
            problem: Problem | None = None
            try:
                response = await handler(request)
            except Problem as found:
                problem = found
            except ImageError as error:
                problem = image_problem(error)
            except ClientDisconnect:
                # Nobody reads this answer; 499 is what the logs of many servers call it.
                response = Response(status_code=499)
            except StoreError as error:
                problem = store_problem(error)
            except Exception:
                _log.exception("request %s failed", caller_of(request).request_id)
                problem = internal_error(f"{method} {path}")
            finally:
                body.give_back()
            if problem is not None:
                metrics.REJECTIONS.labels(problem.code).inc()
                response = refusal(problem)
            took = time.perf_counter() - started
            self.tally.count(path, response.status_code, problem.code if problem else "")
            count(response.status_code).inc()
            seconds.observe(took)
            caller = caller_of(request)
            log_request(
                status=response.status_code,
                seconds=took,
                request_id=caller.request_id,
                method=method,
                route=path,
                key_id=caller.key_id,
            )
            return response

        return endpoint

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
        return JSONResponse(await asyncio.to_thread(self._document))

    def _document(self) -> dict[str, Any]:
        from visionloop.serving.openapi import openapi_document

        return openapi_document(self._verbs)

    async def _metrics(self, _: Request) -> Response:
        self._memory.report()  # other workers' are a second old at most

        def scraped() -> bytes:
            self._drift.show()
            return metrics.exposition()

        return Response(await asyncio.to_thread(scraped), media_type=CONTENT_TYPE_LATEST)

    async def _models(self, _: Request) -> Response:
        rows = []
        for task, lineup in self.fleet.lineups.items():
            for live in lineup.models:
                rows.append(_model_row(task, lineup, live))
        limit = int(self._settings.upload.max_image_mb * 1e6)
        return json_answer({"models": rows, "failures": dict(self.fleet.failures), "max_image_bytes": limit})

    # -- predictions

    def _predictor(self, task: str) -> Handler:
        async def predict(request: Request) -> Response:
            lineup = self.fleet.lineup(task)
            jobs, options = await self._read(request)
            return json_answer(await self._answering.answer(request, task, lineup, jobs, options))

        return predict

    async def _predict_all(self, request: Request) -> Response:
        lineups = self.fleet.lineups
        if not lineups:
            raise nothing_serves("deployment", dict(self.fleet.failures))
        jobs, options = await self._read(request)
        answers = [self._answering.answer(request, task, lineup, jobs, options) for task, lineup in lineups.items()]
        results = dict(zip(lineups, await asyncio.gather(*answers), strict=True))
        return json_answer({"results": results, "request_id": caller_of(request).request_id})

    async def _read(self, request: Request) -> tuple[list[Job], PredictOptions]:
        upload = await read_upload(request, self._settings.upload, options=OPTION_NAMES)
        options = parse_options(request.query_params if request.scope["query_string"] else {}, upload.options)
        return [Job(image.data, image.name) for image in upload.images], options

    # -- batches

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


class _Shortcut:
    """An application in which what is asked most goes past routing and its middleware, which cost as much as our work.

    Attributes:
        routes: Of the application.
    """

    def __init__(self, app: Starlette, posts: Mapping[str, Handler]) -> None:
        self.routes = app.routes
        self._app, self._posts = app, posts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._posts.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if handler is None:
            await self._app(scope, receive, send)
            return
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)


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


def _no_such_route(request: Request, error: HTTPException) -> Response:
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
