"""The other side of a webhook: what alerts are delivered to."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self


class Delivered(NamedTuple):
    """A message that arrived."""

    at: datetime
    body: dict[str, Any]

    @property
    def title(self) -> str:
        """Its heading."""
        return str(self.body.get("title", ""))


class Sink:
    """A server on a free port of this machine that keeps what is posted to it.

    Attributes:
        messages: In order of arrival.
    """

    def __init__(self) -> None:
        self.messages: list[Delivered] = []
        messages = self.messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                messages.append(Delivered(datetime.now(UTC), json.loads(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """In the form the alerts' channels take."""
        return f"json://127.0.0.1:{self._server.server_port}/"

    def titled(self, text: str) -> list[Delivered]:
        """Messages whose title has `text`."""
        return [message for message in self.messages if text in message.title]
