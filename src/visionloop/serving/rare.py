"""Routes that few requests ask for. What answers them is imported when one of them is asked for first: together with
the types of their answers it is more code than predicting needs, and every worker would load it before it is ready."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from visionloop.serving.memory import Memory
from visionloop.serving.models import Fleet
from visionloop.serving.settings import ServingSettings

if TYPE_CHECKING:
    from visionloop.serving.administration import Administration
    from visionloop.serving.label_studio import LabelStudio
    from visionloop.serving.monitoring import Monitoring
    from visionloop.serving.to_label import Queue

LABEL_STUDIO = "/label-studio/"
"""Label Studio asks below this path."""

Made = TypeVar("Made")
Handler = Callable[[Request], Awaitable[Response]]


class RareRoute(NamedTuple):
    """What answers a method of a path."""

    path: str
    handler: Handler
    method: str


class Late(Generic[Made]):
    """Something that is made when it is first needed, in a thread, so that other requests are answered meanwhile."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._made: Made | None = None
        self._lock = threading.Lock()

    def route(self, pick: Callable[[Made], Handler]) -> Handler:
        """The route that `pick` finds in what is made."""

        async def answer(request: Request) -> Response:
            made = self._made
            if made is None:
                made = await asyncio.to_thread(self._once)
            return await pick(made)(request)

        return answer

    def _once(self) -> Made:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


def rare_routes(memory: Memory, fleet: Fleet, settings: ServingSettings, root: Path, state: Path) -> list[RareRoute]:
    """The routes; `root` holds the deployment pointer, `state` what the service and the jobs write."""

    def make_queue() -> Queue:
        from visionloop.serving.to_label import Queue

        return Queue(memory, fleet, settings.labelling)

    def make_monitoring() -> Monitoring:
        from visionloop.serving.monitoring import Monitoring

        return Monitoring(memory, fleet, state)

    def make_administration() -> Administration:
        from visionloop.serving.administration import Administration

        return Administration(settings, root)

    def make_label_studio() -> LabelStudio:
        from visionloop.serving.label_studio import LabelStudio

        return LabelStudio(memory, fleet, settings)

    queue, monitoring = Late(make_queue), Late(make_monitoring)
    administration, label_studio = Late(make_administration), Late(make_label_studio)
    return [
        RareRoute("/v1/queue", queue.route(lambda made: made.answer), "GET"),
        RareRoute("/v1/queue", queue.route(lambda made: made.fill), "POST"),
        RareRoute("/v1/monitoring/summary", monitoring.route(lambda made: made.summary), "GET"),
        RareRoute("/v1/monitoring/comparison", monitoring.route(lambda made: made.comparison), "GET"),
        RareRoute("/v1/monitoring/drift", monitoring.route(lambda made: made.drift), "GET"),
        RareRoute("/v1/monitoring/alerts", monitoring.route(lambda made: made.alerts), "GET"),
        RareRoute("/v1/monitoring/service", monitoring.route(lambda made: made.service), "GET"),
        RareRoute("/v1/monitoring/requests", monitoring.route(lambda made: made.requests), "GET"),
        RareRoute("/v1/models/history", administration.route(lambda made: made.history), "GET"),
        RareRoute("/v1/models/change", administration.route(lambda made: made.change), "POST"),
        RareRoute(f"{LABEL_STUDIO}health", label_studio.route(lambda made: made.health), "GET"),
        RareRoute(f"{LABEL_STUDIO}setup", label_studio.route(lambda made: made.setup), "POST"),
        RareRoute(f"{LABEL_STUDIO}predict", label_studio.route(lambda made: made.predict), "POST"),
    ]
