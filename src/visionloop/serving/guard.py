"""Who may ask, and how often: hosts, CORS, API keys, rates and security headers, before a request meets the service."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from visionloop.serving import metrics
from visionloop.serving.dress import SUBPROTOCOL, Answer, Body
from visionloop.serving.ids import new_id
from visionloop.serving.keys import KeyRing, Role
from visionloop.serving.log import log_request
from visionloop.serving.problems import Problem, problem_response
from visionloop.serving.rates import RateLimiter
from visionloop.serving.refusals import internal_error
from visionloop.serving.settings import ServingSettings
from visionloop.serving.sites import PREFLIGHT, Hosts, Origins

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_POLICY_VIOLATION = 1008

_BASIC_PATHS = "/label-studio/"
"""Label Studio knows basic authentication only: here the password is the key. Nowhere else, for a browser that has once
been given a password sends it along with requests that other sites' pages make."""
_KEY_SUBPROTOCOL = "visionloop.key."
"""A browser cannot set headers on a websocket: its page offers our subprotocol, and this one with the key at its end.
"""


class Guard:
    """ASGI middleware that refuses what may not pass and marks what may.

    A request that passes has `scope["state"]["key_id"]` (empty on public routes and without keys) and
    `scope["state"]["request_id"]`. Every answer carries `X-Request-ID` and the security headers.

    Args:
        app: The service.
        ring: The keys, or None when no key is asked for.
        settings: Hosts, origins and rate.
        role_of: The role that a method and path need, or None where the route is public: no key, no rate limit.
        own_pages_only: Whether pages of other sites are refused, which keys would keep out.
        on_refusal: Told of the path and the reason of each request that is refused.
        without_key: What somebody without a key is answered in place of the refusal, or None. The request reaches no
            route.
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
        own_pages_only: bool = False,
        on_refusal: Callable[[str, Problem], None] = lambda _path, _problem: None,
        without_key: Callable[[Request], Response | None] = lambda _request: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._ring = ring
        self._role_of = role_of
        self._limiter = RateLimiter(settings.keys.requests_per_minute, clock)
        self._hosts = Hosts(settings.hosts)
        self._origins = Origins(settings.origins)
        self._own_pages_only = own_pages_only
        self._on_refusal = on_refusal
        self._without_key = without_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one websocket or the lifespan."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id"))
        state = scope["state"] = {**scope.get("state", {}), "request_id": request_id, "key_id": ""}
        added = [(b"x-request-id", request_id.encode())]
        body = Body(receive, headers)
        receive = body.receive
        offered = _take_key(scope, headers) if scope["type"] == "websocket" else False
        answer = Answer(send, added, body, no_store=scope["path"].startswith(("/v1/", _BASIC_PATHS)), chosen=offered)
        try:
            self._hosts.require(scope["headers"])
            if self._own_pages_only:
                self._origins.require_own(headers)
            if self._origins and scope["type"] == "http":
                cors = self._origins.cors(headers.get(b"origin"))
                added += cors
                if len(cors) > 1 and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
                    added += PREFLIGHT
                    await Response(status_code=204)(scope, receive, answer)
                    return
            state["key_id"] = self._admit(scope, headers)
        except Problem as problem:
            is_stranger = problem.code == "key_missing" and scope["type"] == "http"
            instead = self._without_key(Request(scope)) if is_stranger else None
            if instead is not None:
                await instead(scope, receive, answer)
                return
            self._on_refusal(scope["path"], problem)
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

    def _admit(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str:
        """The id of the key that the request is let in with, or nothing where none is needed."""
        method, path = scope.get("method", "GET"), scope["path"]
        role = self._role_of(method, path)
        if role is None:
            return ""
        key_id = ""
        if self._ring is not None:
            key_id = client = self._check_key(self._ring, role, method, path, headers)
        else:
            client = (scope.get("client") or ("",))[0]
        wait_s = self._limiter.take(client)
        if wait_s > 0:
            raise _rate_limited(f"key {key_id}" if key_id else f"address {client}", wait_s)
        return key_id

    def _check_key(self, ring: KeyRing, role: Role, method: str, path: str, headers: Mapping[bytes, bytes]) -> str:
        where = f"{method} {path[:200]}"
        secret = _secret(headers) or (_password(headers) if path.startswith(_BASIC_PATHS) else None)
        key = ring.find(secret)
        if key is None:
            if secret is None:
                raise _no_key("key_missing", "no API key", where)
            raise _no_key("key_unknown", "no such API key", where)
        if not key.may(role):
            raise _role_too_low(key.role, role, where)
        return key.id


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


def _password(headers: Mapping[bytes, bytes]) -> str | None:
    """Of basic authentication (RFC 7617)."""
    scheme, _, credentials = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        _, _, password = base64.b64decode(credentials.strip(), validate=True).partition(b":")
    except ValueError:
        return None
    return password.decode("latin-1").strip() or None


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
    return SUBPROTOCOL in subprotocols


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    metrics.REJECTIONS.labels(problem.code).inc()
    log_request(
        status=problem.status,
        request_id=scope["state"]["request_id"],
        method=scope.get("method", "GET"),
        path=scope["path"][:200],
        code=problem.code,
    )
    if scope["type"] == "websocket":
        # A server expects the connect event to be taken before it is answered.
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": problem.code})
            return
    challenge = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
    await problem_response(problem, challenge)(scope, receive, send)
