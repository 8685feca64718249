"""What every answer carries, and how one ends that comes before the end of its request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from starlette.types import Message, Receive, Send

Headers = list[tuple[bytes, bytes]]
"""As ASGI has them: names in small letters."""

SUBPROTOCOL = "visionloop"
"""What a websocket is accepted with where its client offers it."""

_LINGER_S = 2.0
"""Seconds a body that nobody wants is still read, so that its sender sees the answer; then its connection ends."""

_NO_STORE = (b"cache-control", b"no-store")
_SECURITY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_NO_CONTENT = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_DEFAULTS: Mapping[tuple[bool, bool], Headers] = {
    (is_html, no_store): [*_SECURITY, *([_NO_STORE] if no_store else []), *([] if is_html else [_NO_CONTENT])]
    for is_html in (False, True)
    for no_store in (False, True)
}
"""Headers that an answer gets where it has none of the name, by whether it is HTML and may not be stored."""
_DEFAULT_NAMES = frozenset(name for headers in _DEFAULTS.values() for name, _ in headers)
_NOT_THE_APPS = frozenset({b"server", b"x-request-id"})
_RESPONSES = frozenset({"http.response.start", "websocket.http.response.start"})


class Body:
    """`receive`, and whether the request's body is still coming.

    Attributes:
        unread: Whether it is.
    """

    def __init__(self, receive: Receive, headers: Mapping[bytes, bytes]) -> None:
        self._receive = receive
        self.unread = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers

    async def receive(self) -> Message:
        """As ASGI's."""
        message = await self._receive()
        self.unread = self.unread and bool(message.get("more_body"))
        return message

    async def drain(self) -> None:
        """Read what still comes, for a time."""
        try:
            async with asyncio.timeout(_LINGER_S):
                while self.unread:
                    await self.receive()
                    # A sender without pause would otherwise neither let others run nor time out.
                    await asyncio.sleep(0)
        except TimeoutError:
            return


class Answer:
    """`send` with our headers: `added` in place of the app's own, the security headers where the app has none.

    Where our subprotocol is offered (`chosen`) a websocket is accepted with it.
    An answer that comes before the end of the body is the connection's last: whoever goes on sending would hold it.

    Attributes:
        started: Whether some of it has been sent.
    """

    def __init__(self, send: Send, added: Headers, body: Body, *, no_store: bool, chosen: bool) -> None:
        self._send = send
        self._chosen = chosen
        self._added = added
        self._body = body
        self._last = False
        self._no_store = no_store
        self.started = False

    async def __call__(self, message: Message) -> None:
        """As ASGI's `send`."""
        if message["type"] in _RESPONSES:
            self.started = True
            headers = _dress(message.get("headers", ()), self._added, self._no_store)
            self._last = self._body.unread
            message = {**message, "headers": [*headers, (b"connection", b"close")] if self._last else headers}
        elif self._last and message["type"] == "http.response.body" and not message.get("more_body"):
            await self._send({**message, "more_body": True})
            await self._body.drain()
            message = {"type": "http.response.body"}
        elif message["type"] == "websocket.accept":
            message = {**message, "headers": [*message.get("headers", ()), *self._added]}
            if self._chosen:
                message["subprotocol"] = SUBPROTOCOL
        await self._send(message)


def _dress(headers: Iterable[tuple[bytes, bytes]], added: Headers, no_store: bool) -> Headers:
    kept, is_html = [], False
    for name, value in headers:
        name = name.lower()
        if name in _NOT_THE_APPS or name.startswith(b"access-control-"):
            continue
        kept.append((name, value))
        if name == b"content-type":
            is_html = value[:9].lower() == b"text/html"
    defaults = _DEFAULTS[is_html, no_store]
    present = {name for name, _ in kept}
    if not present.isdisjoint(_DEFAULT_NAMES):
        defaults = [header for header in defaults if header[0] not in present]
    return [*kept, *added, *defaults]
