"""Azure Machine Learning's entry script: the service's own `POST /v1/predict` behind Azure's `/score`.

The request is passed on as it came (one image as the body, or a form with several, options as query parameters or
fields), so limits, batches, answers and refusals are those of the service. There is no prediction store here, and
so no feedback; Azure's own keys guard the endpoint.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from visionloop.core.errors import BundleError
from visionloop.serving.api import Api
from visionloop.serving.front import role_of
from visionloop.serving.guard import Guard
from visionloop.serving.settings import ServingSettings, load_settings

_PASSED_ON = ("content-type", "x-request-id", "x-session-id")
_RETURNED = ("content-type", "retry-after")
_UNLIMITED = 10**9
"""Requests a minute: the guard would count all of Azure's callers as one."""


class RawRequest(Protocol):
    """What is asked of Azure's `AMLRequest`, a request of Flask."""

    method: str
    headers: Mapping[str, str]
    query_string: bytes

    def get_data(self, cache: bool = ...) -> bytes:
        """The body."""
        ...


class Answer(NamedTuple):
    """What the service answered."""

    body: bytes
    status: int
    headers: dict[str, str]


class Scorer:
    """The service's application, on an event loop of its own thread.

    Args:
        models: Folder somewhere below which `deployment.json` lies.

    Raises:
        BundleError: there is not one pointer, or something that it names cannot be served.
    """

    def __init__(self, models: Path) -> None:
        settings = _settings(models)
        api = Api(settings, models, models, store=None)
        api.start()
        if api.fleet.failures or not api.fleet.ready:
            api.close()
            raise BundleError(
                "; ".join(f"{slot}: {text}" for slot, text in api.fleet.failures.items()) or "no model serves",
                where=settings.pointer,
                expected="bundles that answer here as they did where they were exported",
                action="lay them out anew with deploy/install_models.sh, and register the folder again",
            )
        app = Guard(api.app(), ring=None, settings=settings, role_of=role_of)
        self._stack = ExitStack()
        self._stack.callback(api.close)
        self._portal: BlockingPortal = self._stack.enter_context(start_blocking_portal())
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    def answer(self, request: RawRequest) -> Answer:
        """What `/v1/predict` answers to it."""
        future: Future[httpx.Response] = self._portal.start_task_soon(self._ask, request)
        response = future.result()
        headers = {name.title(): response.headers[name] for name in _RETURNED if name in response.headers}
        return Answer(response.content, response.status_code, headers)

    def close(self) -> None:
        """Stop; may be called twice."""
        self._stack.close()

    async def _ask(self, request: RawRequest) -> httpx.Response:
        given = {name.lower(): value for name, value in request.headers.items()}
        return await self._client.request(
            request.method,
            httpx.URL(path="/v1/predict", query=request.query_string),
            headers={name: given[name] for name in _PASSED_ON if name in given},
            content=request.get_data(False),
        )


def _settings(models: Path) -> ServingSettings:
    """The settings that VISIONLOOP_PARAMS names, or the defaults, without what Azure has no place for."""
    found = sorted(models.rglob("deployment.json"))
    if len(found) != 1:
        raise BundleError(
            f"{len(found) or 'no'} deployment pointers",
            where=str(models),
            expected="a folder with one deployment.json, and the bundles that it names",
            action="register the folder that `deploy/install_models.sh mlruns build/azureml/model` makes",
        )
    settings = load_settings(models)
    return settings.model_copy(
        update={
            "pointer": str(found[0].resolve()),
            "hosts": ("*",),
            "keys": settings.keys.model_copy(update={"requests_per_minute": _UNLIMITED}),
        }
    )


_SCORERS: list[Scorer] = []


def init() -> None:
    """Open the bundles of the model that Azure mounted; called once in a process.

    Raises:
        BundleError: they cannot be served; Azure then calls the deployment failed.
    """
    close()
    _SCORERS.append(Scorer(Path(os.environ["AZUREML_MODEL_DIR"])))


def close() -> None:
    """Let the bundles go; Azure itself just ends the process."""
    while _SCORERS:
        _SCORERS.pop().close()


def _raw(function: Callable[[RawRequest], Any]) -> Callable[[RawRequest], Any]:
    """Azure's `rawhttp`, where its server is installed: it asks for the request itself instead of its JSON."""
    try:
        services = import_module("azureml.contrib.services.aml_request")
    except ImportError:
        return function
    marked: Callable[[RawRequest], Any] = services.rawhttp(function)
    return marked


@_raw
def run(request: RawRequest) -> Any:
    """An `AMLResponse` with the answer; called for each request."""
    answer = _SCORERS[0].answer(request)
    services = import_module("azureml.contrib.services.aml_response")
    return services.AMLResponse(answer.body, answer.status, answer.headers)
