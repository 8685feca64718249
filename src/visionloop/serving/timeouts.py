"""BentoML's time limit around each request, taken out: ours are shorter, and its timer outlives its request."""

from __future__ import annotations

from bentoml._internal.server.http import traffic
from starlette.types import ASGIApp, Receive, Scope, Send


class NoTimeout:
    """Stands in for BentoML's `TimeoutMiddleware`.

    That one never cancels its timer: each answered request holds its future and context until the limit is over, and
    the limit has to be as long as an archive may take to arrive. At 300 requests/s that was 0.8 kB of each request for
    a quarter of an hour, 200 MB. It also answers each request in a task of its own. Every route here has a limit of its
    own: for the body, the queue, the explanation.
    """

    def __init__(self, app: ASGIApp, timeout: float) -> None:  # noqa: ARG002
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        await self._app(scope, receive, send)


def remove_bento_timeout() -> None:
    """For this process; call it before BentoML makes its application."""
    setattr(traffic, "TimeoutMiddleware", NoTimeout)  # noqa: B010 -- as a plain assignment, mypy takes it for a type
