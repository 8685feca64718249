"""What stands before BentoML's own application: the guard, then our routes; BentoML keeps `/livez`."""

from __future__ import annotations

import functools
import ipaddress
import logging
import threading
import time
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from visionloop.core.errors import VisionloopError
from visionloop.core.places import state_root
from visionloop.monitoring.store import PredictionStore
from visionloop.serving import metrics
from visionloop.serving.api import Api
from visionloop.serving.guard import Guard
from visionloop.serving.keys import KeyRing, Role
from visionloop.serving.page import is_page
from visionloop.serving.problems import Problem, problem_response
from visionloop.serving.rare import LABEL_STUDIO
from visionloop.serving.settings import ServingSettings
from visionloop.serving.stopping import Stopping

_log = logging.getLogger(__name__)

_BENTO_PATHS = frozenset({"/livez", "/healthz"})
_PUBLIC = frozenset({"/livez", "/readyz", "/healthz", "/openapi.json"})
_UNSERVED = f"{LABEL_STUDIO}webhook"
"""Label Studio tells every ML backend of every annotation there, without the password it was given: a 404 for whoever
asks. Refused for the missing key, they would count as rejections and raise an alert while people label."""


def role_of(method: str, path: str) -> Role | None:  # noqa: ARG001
    """The role a route asks for; None where anybody may look."""
    if path in _PUBLIC or path == _UNSERVED or is_page(path):
        return None
    if path in (
        "/metrics",
        "/v1/models/change",
        "/v1/monitoring/alerts",
        "/v1/monitoring/service",
        "/v1/monitoring/requests",
    ):
        return "admin"
    # Label Studio's tasks name kept images.
    if path.startswith(("/v1/feedback", "/v1/predictions", "/v1/queue", "/v1/monitoring", f"{LABEL_STUDIO}predict")):
        return "feedback"
    # The pictures of a report are the dataset's; its numbers are the model's.
    if path.startswith("/v1/models/reports/") and "/examples/" in path:
        return "feedback"
    return "predict"


def open_api(settings: ServingSettings, root: Path) -> Api:
    """The API of this process, made on the first call."""
    if not _APIS:
        # It warns of every malformed form, byte by byte; our line for the request says more.
        logging.getLogger("python_multipart").setLevel(logging.ERROR)
        state = state_root(root)
        api = Api(settings, root, state, None)
        if settings.store.enabled and not _open_store(api, settings, state):
            # Predictions do not wait for a database; they are answered, and not kept until it is there.
            opener = threading.Thread(target=_keep_opening, args=(api, settings, state), daemon=True)
            opener.start()
        _APIS.append(api)
    return _APIS[0]


def _open_store(api: Api, settings: ServingSettings, state: Path) -> bool:
    try:
        api.store = PredictionStore.open(settings.store, state)
    except VisionloopError as error:
        metrics.STORE_OPEN.set(0)
        _log.error("predictions are not kept: %s", error)
        return False
    metrics.STORE_OPEN.set(1)
    return True


def _keep_opening(api: Api, settings: ServingSettings, state: Path) -> None:
    while not _open_store(api, settings, state):
        time.sleep(_STORE_RETRY_S)


_STORE_RETRY_S = 10.0


# BentoML makes the middleware and the service apart from each other; both mean the same API.
_APIS: list[Api] = []


class Front:
    """ASGI middleware: guards everything, answers our routes, leaves BentoML its `/livez`."""

    def __init__(self, app: ASGIApp, settings: ServingSettings, root: Path) -> None:
        self._bento = app
        self._ours: ASGIApp | None = None
        self._settings, self._root = settings, root
        self._stopping = Stopping(settings.drain_s)
        needed = settings.keys.required
        ring = None if needed is False else KeyRing(state_root(root) / settings.keys.file)
        guard = functools.partial(
            Guard,
            self._dispatch,
            settings=settings,
            role_of=role_of,
            on_refusal=_count_refusal,
            without_key=self._stray_page,
        )
        with_keys, without = guard(ring=ring, own_pages_only=ring is None), guard(ring=None, own_pages_only=True)
        self._far, self._near = with_keys, with_keys if needed else without

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; over loopback no key is asked for unless the settings say so."""
        if scope["type"] == "lifespan":
            # Here the event loop of the requests runs first: jobs left behind need not wait for a request.
            open_api(self._settings, self._root).attend()
            self._stopping.attend()
            await self._bento(scope, receive, send)
        elif _is_loopback(scope):
            await self._near(scope, receive, send)
        else:
            await self._far(scope, receive, send)

    def _stray_page(self, request: Request) -> Response | None:
        return open_api(self._settings, self._root).page.unknown(request)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in _BENTO_PATHS:
            await self._bento(scope, receive, send)
            return
        if scope["path"] == "/readyz" and self._stopping.begun:
            await problem_response(_STOPPING)(scope, receive, send)
            return
        if self._ours is None:
            self._ours = open_api(self._settings, self._root).app()
        await self._ours(scope, receive, send)


def _count_refusal(path: str, problem: Problem) -> None:
    for api in _APIS:
        api.tally.count(path, problem.status, problem.code)


_STOPPING = Problem(
    503,
    "stopping",
    "this worker was told to stop",
    where="readiness",
    expected="another worker or instance",
    action="send new requests elsewhere; those under way are finished",
    retry_after=5.0,
)


def _is_loopback(scope: Scope) -> bool:
    client = scope.get("client")
    # A proxy on this machine speaks for others.
    if any(name in (b"x-forwarded-for", b"forwarded") for name, _ in scope["headers"]):
        return False
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
