"""Who may ask, and how often: hosts, CORS, API keys, rates and security headers, before a request meets the service."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visionloop.core.errors import ConfigError
from visionloop.serving import metrics
from visionloop.serving.ids import new_id
from visionloop.serving.keys import KeyRing, Role, list_keys
from visionloop.serving.problems import Problem, problem_response
from visionloop.serving.refusals import internal_error
from visionloop.serving.settings import ServingSettings

_Headers = list[tuple[bytes, bytes]]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_][a-z0-9_.-]*)(?::[0-9]*)?")
_HOST_RULE = re.compile(r"(?:\*\.)?[a-z0-9_][a-z0-9_.-]*|\[[0-9a-f:.]+\]")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s*]+")
_POLICY_VIOLATION = 1008

_SUBPROTOCOL = "visionloop"
_KEY_SUBPROTOCOL = "visionloop.key."
"""A browser cannot set headers on a websocket: its page offers these two, the second with the key at its end."""

_LINGER_S = 2.0
"""Seconds a body that nobody wants is still read, so that its sender sees the answer; then its connection ends."""

_PREFLIGHT: _Headers = [
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, Prediction-Key, X-API-Key, X-Request-ID"),
    (b"access-control-max-age", b"600"),
]
_SECURITY: _Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_NO_STORE = (b"cache-control", b"no-store")
_NO_CONTENT = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_NOT_THE_APPS = frozenset({b"server", b"x-request-id"})
_RESPONSES = frozenset({"http.response.start", "websocket.http.response.start"})


class RateLimiter:
    """A token bucket for each client: a burst first, then a steady rate.

    Args:
        per_minute: Steady rate, in requests a minute; the burst is a sixth of it, at least 10.
        clock: Seconds of a monotonic clock.
        max_clients: Most buckets kept; beyond it the one unused for longest is forgotten.
    """

    def __init__(
        self, per_minute: int, clock: Callable[[], float] = time.monotonic, *, max_clients: int = 10_000
    ) -> None:
        self._per_second = per_minute / 60
        self._burst = max(10.0, per_minute / 6)
        self._clock = clock
        self._max_clients = max_clients
        # Tokens left and when they were counted, in the order of last use.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: str) -> float:
        """Count one request.

        Returns:
            0 when it may pass, else the seconds after which the next one may; a refused request costs nothing.
        """
        now = self._clock()
        tokens, counted = self._buckets.get(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - counted) * self._per_second)
        wait_s = 0.0 if tokens >= 1 else (1 - tokens) / self._per_second
        self._buckets[client] = (tokens - 1 if wait_s == 0 else tokens, now)
        self._buckets.move_to_end(client)
        if len(self._buckets) > self._max_clients:
            self._buckets.popitem(last=False)
        return wait_s


class Guard:
    """ASGI middleware that refuses what may not pass and marks what may.

    A request that passes has `scope["state"]["key_id"]` (empty on public routes and without keys) and
    `scope["state"]["request_id"]`. Every answer carries `X-Request-ID` and the security headers.

    Args:
        app: The service.
        ring: The keys, or None when no key is asked for.
        settings: Hosts, origins and rate.
        role_of: The role that a method and path need, or None where the route is public: no key, no rate limit.
        clock: Seconds of a monotonic clock, for the rates.

    Raises:
        ConfigError: an entry of `serving.hosts` or `serving.origins` can match nothing.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        ring: KeyRing | None,
        settings: ServingSettings,
        role_of: Callable[[str, str], Role | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._ring = ring
        self._role_of = role_of
        self._limiter = RateLimiter(settings.keys.requests_per_minute, clock)
        rules = [_host_rule(text) for text in settings.hosts]
        self._any_host = "*" in rules
        self._hosts = frozenset(rules)
        self._domains = tuple(rule[1:] for rule in rules if rule.startswith("*."))
        self._origins = frozenset(_origin(text) for text in settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one websocket or the lifespan."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id"))
        state = scope["state"] = {**scope.get("state", {}), "request_id": request_id, "key_id": ""}
        added = [(b"x-request-id", request_id.encode())]
        body = _Body(receive, headers)
        receive = body.receive
        offered = _take_key(scope, headers) if scope["type"] == "websocket" else False
        answer = _Answer(send, added, body, no_store=scope["path"].startswith("/v1/"), chosen=offered)
        try:
            self._check_host(scope["headers"])
            if self._origins and scope["type"] == "http":
                cors = self._cors(headers.get(b"origin"))
                added += cors
                if len(cors) > 1 and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
                    added += _PREFLIGHT
                    await Response(status_code=204)(scope, receive, answer)
                    return
            state["key_id"] = self._admit(scope, headers)
        except Problem as problem:
            await _refuse(problem, scope, receive, answer)
            return
        try:
            await self._app(scope, receive, answer)
        except Exception:
            # Answered here, because the answer of whoever catches it further out would lack our headers.
            if scope["type"] == "http" and not answer.started:
                await problem_response(internal_error(f"{scope['method']} {scope['path'][:200]}"))(
                    scope, receive, answer
                )
            raise

    def _check_host(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1:
            raise _host_problem(f"the request has {len(hosts) or 'no'} Host header{'s' if hosts else ''}")
        text = hosts[0].decode("latin-1").lower()
        match = _HOST.fullmatch(text)
        host = match[1] if match else ""
        if host and (self._any_host or host in self._hosts or host.endswith(self._domains)):
            return
        raise _host_problem(f"the host {text[:100]!r} is not answered here")

    def _cors(self, origin: bytes | None) -> _Headers:
        """`Vary`, and the permission where the origin is an allowed one."""
        vary = [(b"vary", b"Origin")]
        if origin is None or not ("*" in self._origins or origin.decode("latin-1") in self._origins):
            return vary
        return [
            *vary,
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"Retry-After, X-Request-ID"),
        ]

    def _admit(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str:
        """The id of the key that the request is let in with, or nothing where none is needed."""
        method, path = scope.get("method", "GET"), scope["path"]
        role = self._role_of(method, path)
        if role is None:
            return ""
        key_id = ""
        if self._ring is not None:
            key_id = client = self._check_key(self._ring, role, f"{method} {path[:200]}", headers)
        else:
            client = (scope.get("client") or ("",))[0]
        wait_s = self._limiter.take(client)
        if wait_s > 0:
            raise _rate_limited(f"key {key_id}" if key_id else f"address {client}", wait_s)
        return key_id

    def _check_key(self, ring: KeyRing, role: Role, where: str, headers: Mapping[bytes, bytes]) -> str:
        secret = _secret(headers)
        key = ring.find(secret)
        if key is None:
            if secret is None:
                raise _no_key("key_missing", "no API key", where)
            raise _no_key("key_unknown", "no such API key", where)
        if not key.may(role):
            raise _role_too_low(key.role, role, where)
        return key.id


def keys_needed(settings: ServingSettings, host: str) -> bool:
    """Whether a service that listens on `host` asks for keys: as set, else unless `host` is loopback."""
    if settings.keys.required is not None:
        return settings.keys.required
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() != "localhost"


def require_keys(ring: KeyRing) -> None:
    """Refuse to start a service that nobody could ask.

    Raises:
        ConfigError: the key file has no key, or is damaged.
    """
    if not list_keys(ring.path):
        raise ConfigError(
            "the service asks for API keys, and there is none",
            where=str(ring.path),
            expected="at least one key",
            action="make one with `visionloop keys create`, or set serving.keys.required to false",
        )


def _host_rule(text: str) -> str:
    rule = text.lower()
    if rule == "*" or _HOST_RULE.fullmatch(rule):
        return rule
    raise ConfigError(
        f"the host {text!r} can match no Host header",
        where="serving.hosts",
        expected="a name or address without port (IPv6 in brackets), `*.example.org` for a domain's, or `*` for all",
        action="correct the entry",
    )


def _origin(text: str) -> str:
    origin = text.lower()
    if origin == "*" or _ORIGIN.fullmatch(origin):
        return origin
    raise ConfigError(
        f"the origin {text!r} can match no page",
        where="serving.origins",
        expected="scheme, host and port as browsers send them, such as `https://app.example.org`, or `*` for all",
        action="correct the entry; an origin has no path, and no slash at its end",
    )


def _host_problem(what: str) -> Problem:
    return Problem(
        400,
        "host_not_allowed",
        what,
        where="header Host",
        expected="one Host header with a name of the setting serving.hosts",
        action="ask under an allowed name, or have the operator add this one to serving.hosts",
    )


def _rate_limited(where: str, wait_s: float) -> Problem:
    return Problem(
        429,
        "rate_limited",
        "too many requests",
        where=where,
        expected="no more requests than serving.keys.requests_per_minute",
        action="try again after the seconds of the Retry-After header",
        retry_after=wait_s,
    )


def _no_key(code: str, what: str, where: str) -> Problem:
    return Problem(
        401,
        code,
        what,
        where=where,
        expected="a key in `Authorization: Bearer <key>`, `X-API-Key` or `Prediction-Key`",
        action="ask the operator for a key; `visionloop keys create` makes one",
    )


def _role_too_low(has: Role, needs: Role, where: str) -> Problem:
    return Problem(
        403,
        "role_too_low",
        f"the key's role is {has}",
        where=where,
        expected=f"a key with the role {needs}",
        action=f"ask the operator for such a key; `visionloop keys create --role {needs}` makes one",
    )


def _request_id(sent: bytes | None) -> str:
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return sent.decode()
    return new_id()


def _secret(headers: Mapping[bytes, bytes]) -> str | None:
    scheme, _, credentials = headers.get(b"authorization", b"").partition(b" ")
    secret = credentials.strip() if scheme.lower() == b"bearer" else b""
    secret = secret or headers.get(b"x-api-key", b"") or headers.get(b"prediction-key", b"")
    return secret.decode("latin-1").strip() or None


def _take_key(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Move a key out of the subprotocols into `headers`, out of the application's sight.

    Returns:
        Whether our own subprotocol is offered: a browser hangs up unless one of those offered is chosen.
    """
    subprotocols: list[str] = list(scope.get("subprotocols") or ())
    keys = [name.removeprefix(_KEY_SUBPROTOCOL) for name in subprotocols if name.startswith(_KEY_SUBPROTOCOL)]
    if keys:
        scope["subprotocols"] = [name for name in subprotocols if not name.startswith(_KEY_SUBPROTOCOL)]
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"sec-websocket-protocol"]
        if _secret(headers) is None:
            headers[b"x-api-key"] = keys[0].encode("latin-1", "replace")
    return _SUBPROTOCOL in subprotocols


class _Body:
    """`receive`, and whether the request's body is still coming."""

    def __init__(self, receive: Receive, headers: Mapping[bytes, bytes]) -> None:
        self._receive = receive
        self.unread = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers

    async def receive(self) -> Message:
        message = await self._receive()
        self.unread = self.unread and bool(message.get("more_body"))
        return message

    async def drain(self) -> None:
        try:
            async with asyncio.timeout(_LINGER_S):
                while self.unread:
                    await self.receive()
                    # A sender without pause would otherwise neither let others run nor time out.
                    await asyncio.sleep(0)
        except TimeoutError:
            return


class _Answer:
    """`send` with our headers: `added` in place of the app's own, the security headers where the app has none.

    Where our subprotocol is offered (`chosen`) a websocket is accepted with it.
    An answer that comes before the end of the body is the connection's last: whoever goes on sending would hold it.
    """

    def __init__(self, send: Send, added: _Headers, body: _Body, *, no_store: bool, chosen: bool) -> None:
        self._send = send
        self._chosen = chosen
        self._added = added
        self._body = body
        self._last = False
        self._no_store = no_store
        self.started = False

    async def __call__(self, message: Message) -> None:
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
                message["subprotocol"] = _SUBPROTOCOL
        await self._send(message)


def _dress(headers: Iterable[tuple[bytes, bytes]], added: _Headers, no_store: bool) -> _Headers:
    kept = [
        (name, value)
        for name, value in ((name.lower(), value) for name, value in headers)
        if name not in _NOT_THE_APPS and not name.startswith(b"access-control-")
    ]
    present = dict(kept)
    defaults = list(_SECURITY)
    if no_store:
        defaults.append(_NO_STORE)
    if not present.get(b"content-type", b"").lower().startswith(b"text/html"):
        defaults.append(_NO_CONTENT)
    return [*kept, *added, *(header for header in defaults if header[0] not in present)]


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    metrics.REJECTIONS.labels(problem.code).inc()
    if scope["type"] == "websocket":
        # A server expects the connect event to be taken before it is answered.
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": problem.code})
            return
    challenge = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
    await problem_response(problem, challenge)(scope, receive, send)
