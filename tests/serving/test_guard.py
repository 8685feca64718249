from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from visionloop.core.errors import ConfigError
from visionloop.serving.guard import Guard, keys_needed, require_keys
from visionloop.serving.keys import ROLES, KeyRing, Role, create_key, revoke_key
from visionloop.serving.rates import RateLimiter
from visionloop.serving.settings import KeySettings, ServingSettings

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ORIGIN = "https://app.example.org"
NEEDED: dict[str, Role] = {"/v1/predict": "predict", "/v1/feedback": "feedback", "/v1/admin": "admin", "/ws": "predict"}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def role_of(method: str, path: str) -> Role | None:
    return NEEDED.get(path)


async def answer(request: Request) -> Response:
    return JSONResponse({"key": request.state.key_id, "request": request.state.request_id})


async def page(request: Request) -> Response:
    return HTMLResponse("<p>hello</p>")


async def own_headers(request: Request) -> Response:
    headers = {
        "Cache-Control": "max-age=60",
        "Content-Security-Policy": "default-src 'self'",
        "X-Frame-Options": "SAMEORIGIN",
        "Referrer-Policy": "origin",
        "X-Request-ID": "the-apps",
        "Server": "secret-server/1.0",
        "Access-Control-Allow-Origin": "*",
    }
    return Response("own", headers=headers)


async def crash(request: Request) -> Response:
    raise RuntimeError("secret detail")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json({"key": websocket.state.key_id, "request": websocket.state.request_id})
    await websocket.close()


def service() -> Starlette:
    paths = ["/v1/predict", "/v1/feedback", "/v1/admin", "/v1/livez", "/livez"]
    return Starlette(
        routes=[
            *(Route(path, answer, methods=["GET", "POST"]) for path in paths),
            Route("/page", page),
            Route("/v1/page", own_headers),
            Route("/crash", crash),
            WebSocketRoute("/ws", echo),
        ]
    )


def client(
    *, ring: KeyRing | None = None, clock: Clock | None = None, base_url: str = "http://localhost", **settings: Any
) -> TestClient:
    guard = Guard(service(), ring=ring, settings=ServingSettings(**settings), role_of=role_of, clock=clock or Clock())
    return TestClient(guard, base_url=base_url, raise_server_exceptions=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def secrets(path: Path) -> dict[Role, str]:
    return {role: create_key(path, role, role, NOW)[1] for role in ROLES}


@pytest.fixture
def guarded(path: Path, secrets: dict[Role, str]) -> Iterator[TestClient]:
    yield client(ring=KeyRing(path))


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


# Hosts


@pytest.mark.parametrize(
    ("hosts", "host"),
    [
        (("localhost",), "localhost"),
        (("localhost",), "localhost:3000"),
        (("LocalHost",), "LOCALHOST:3000"),
        (("[::1]",), "[::1]"),
        (("[::1]",), "[::1]:3000"),
        (("127.0.0.1",), "127.0.0.1:80"),
        (("*.example.org",), "api.example.org"),
        (("*.example.org",), "a.b.example.org:443"),
        (("a.org", "my_service"), "my_service:3000"),
        (("*",), "anything.at.all"),
    ],
)
def test_an_allowed_host_is_answered(hosts: tuple[str, ...], host: str) -> None:
    assert client(hosts=hosts).get("/livez", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("hosts", "host"),
    [
        (("localhost",), "testserver"),
        (("localhost",), "localhost.evil.org"),
        (("localhost",), "evil.org:localhost"),
        (("localhost",), "user@localhost"),
        (("localhost",), "localhost/evil"),
        (("localhost",), ""),
        (("[::1]",), "::1"),
        (("[::1]",), "[::1]evil"),
        (("[::1]",), "[::2]"),
        (("*.example.org",), "example.org"),
        (("*.example.org",), ".example.org"),
        (("*.example.org",), "evil-example.org"),
        (("*.example.org",), "example.org.evil"),
        (("*.example.org",), "*.example.org"),
        (("*",), ""),
        (("*",), "a b"),
        ((), "localhost"),
    ],
)
def test_any_other_host_is_refused(hosts: tuple[str, ...], host: str) -> None:
    response = client(hosts=hosts, origins=(ORIGIN,)).get("/livez", headers={"Host": host, "Origin": ORIGIN})
    assert (response.status_code, response.json()["code"]) == (400, "host_not_allowed")
    assert response.headers["content-type"] == "application/problem+json"
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("hosts", [[], [b"localhost", b"localhost"], [b"localhost", b"evil.org"]])
@pytest.mark.parametrize("allowed", ["localhost", "*"])
def test_no_host_and_several_hosts_are_refused(hosts: list[bytes], allowed: str) -> None:
    sent = exchange("http", [(b"host", host) for host in hosts], hosts=(allowed,))
    assert sent[0]["status"] == 400
    assert b"host_not_allowed" in sent[1]["body"]


@pytest.mark.parametrize("host", ["", "localhost:3000", "::1", "a.*.org", "*example.org", "http://a.org", "a b"])
def test_a_host_setting_that_can_match_nothing_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="can match no Host header") as caught:
        client(hosts=(host,))
    assert caught.value.where == "serving.hosts"


# CORS

PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}


def test_an_allowed_origins_preflight_is_answered_without_a_key(path: Path, secrets: dict[Role, str]) -> None:
    response = client(ring=KeyRing(path), origins=(ORIGIN,)).options("/v1/admin", headers=PREFLIGHT)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in response.headers["access-control-allow-methods"]
    for name in ("Authorization", "X-API-Key", "Prediction-Key", "Content-Type", "X-Request-ID"):
        assert name in response.headers["access-control-allow-headers"]
    assert response.headers["access-control-max-age"] == "600"
    assert response.headers["vary"] == "Origin"
    assert response.headers["x-request-id"]
    assert "access-control-allow-credentials" not in response.headers


def test_answers_and_refusals_to_an_allowed_origin_may_be_read_by_its_page(
    path: Path, secrets: dict[Role, str]
) -> None:
    calls = client(ring=KeyRing(path), origins=(ORIGIN,))
    for headers, status in ((bearer(secrets["predict"]), 200), ({}, 401)):
        response = calls.get("/v1/predict", headers={"Origin": ORIGIN, **headers})
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert "X-Request-ID" in response.headers["access-control-expose-headers"]
        assert response.headers["vary"] == "Origin"
        assert "access-control-allow-methods" not in response.headers


@pytest.mark.parametrize(
    "origin", ["https://evil.org", "http://app.example.org", "https://app.example.org:8443", "null", f"{ORIGIN}.evil"]
)
def test_another_origin_gets_no_permission(path: Path, secrets: dict[Role, str], origin: str) -> None:
    calls = client(ring=KeyRing(path), origins=(ORIGIN,))
    preflight = calls.options("/v1/predict", headers={**PREFLIGHT, "Origin": origin})
    plain = calls.get("/v1/predict", headers={"Origin": origin, **bearer(secrets["predict"])})
    assert (preflight.status_code, plain.status_code) == (401, 200)
    for response in (preflight, plain):
        assert not [name for name in response.headers if name.startswith("access-control-")]
        assert response.headers["vary"] == "Origin"


def test_without_origins_there_are_never_cors_headers_not_even_the_apps() -> None:
    calls = client()
    for response in (
        calls.options("/v1/predict", headers=PREFLIGHT),
        calls.get("/livez", headers={"Origin": ORIGIN}),
        calls.get("/v1/page", headers={"Origin": ORIGIN}),
    ):
        assert not [name for name in response.headers if name.startswith("access-control-")]
        assert "vary" not in response.headers


def test_a_star_allows_every_origin() -> None:
    response = client(origins=("*",)).get("/livez", headers={"Origin": ORIGIN})
    assert response.headers["access-control-allow-origin"] == ORIGIN


def test_an_options_request_that_is_no_preflight_needs_a_key(path: Path, secrets: dict[Role, str]) -> None:
    calls = client(ring=KeyRing(path), origins=(ORIGIN,))
    assert calls.options("/v1/predict", headers={"Origin": ORIGIN}).status_code == 401
    assert calls.options("/v1/predict", headers={"Access-Control-Request-Method": "POST"}).status_code == 401


@pytest.mark.parametrize("origin", ["", "null", "app.example.org", f"{ORIGIN}/", "https://*.example.org"])
def test_an_origin_setting_that_can_match_nothing_is_refused(origin: str) -> None:
    with pytest.raises(ConfigError, match="can match no page") as caught:
        client(origins=(origin,))
    assert caught.value.where == "serving.origins"


# Keys


@pytest.mark.parametrize(
    ("header", "prefix"),
    [("Authorization", "Bearer "), ("authorization", "bearer  "), ("X-API-Key", ""), ("Prediction-Key", "")],
)
def test_a_key_is_taken_from_each_of_its_headers(
    guarded: TestClient, secrets: dict[Role, str], header: str, prefix: str
) -> None:
    response = guarded.post("/v1/predict", headers={header: prefix + secrets["predict"]})
    assert response.status_code == 200
    assert response.json()["key"] == secrets["predict"][3:15]


def test_another_scheme_of_authorization_leaves_the_word_to_the_other_headers(
    guarded: TestClient, secrets: dict[Role, str]
) -> None:
    headers = {"Authorization": "Basic YTpi", "X-API-Key": secrets["predict"]}
    assert guarded.get("/v1/predict", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic YTpi"}, {"X-API-Key": " "}]
)
def test_a_request_without_key_is_refused(guarded: TestClient, headers: dict[str, str]) -> None:
    response = guarded.get("/v1/predict", headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "key_missing")
    assert response.headers["www-authenticate"] == "Bearer"
    assert "visionloop keys create" in response.json()["action"]


def test_a_wrong_key_is_refused_and_not_repeated(
    guarded: TestClient, secrets: dict[Role, str], caplog: pytest.LogCaptureFixture
) -> None:
    for wrong in (secrets["predict"][:-1] + "~", "vl_000000000000_" + "x" * 43, "hunter2"):
        response = guarded.get("/v1/predict", headers=bearer(wrong))
        assert (response.status_code, response.json()["code"]) == (401, "key_unknown")
        assert response.headers["www-authenticate"] == "Bearer"
        assert wrong not in response.text + str(response.headers) + caplog.text


def test_a_key_that_is_not_text_is_refused(guarded: TestClient) -> None:
    assert guarded.get("/v1/predict", headers={b"x-api-key": b"\xff\xfe"}).json()["code"] == "key_unknown"


@pytest.mark.parametrize(
    ("own", "route", "status"),
    [
        ("predict", "/v1/predict", 200),
        ("predict", "/v1/feedback", 403),
        ("predict", "/v1/admin", 403),
        ("feedback", "/v1/predict", 200),
        ("feedback", "/v1/feedback", 200),
        ("feedback", "/v1/admin", 403),
        ("admin", "/v1/predict", 200),
        ("admin", "/v1/feedback", 200),
        ("admin", "/v1/admin", 200),
    ],
)
def test_a_route_needs_its_role(
    guarded: TestClient, secrets: dict[Role, str], own: Role, route: str, status: int
) -> None:
    response = guarded.get(route, headers=bearer(secrets[own]))
    assert response.status_code == status
    if status == 403:
        assert response.json()["code"] == "role_too_low"
        assert own in response.json()["detail"]
        assert route in response.json()["where"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_a_public_route_needs_no_key(guarded: TestClient, headers: dict[str, str]) -> None:
    response = guarded.get("/livez", headers=headers)
    assert (response.status_code, response.json()["key"]) == (200, "")


def test_a_revoked_key_is_refused(path: Path, secrets: dict[Role, str]) -> None:
    clock = Clock()
    calls = client(ring=KeyRing(path, clock))
    assert calls.get("/v1/predict", headers=bearer(secrets["admin"])).status_code == 200
    revoke_key(path, "admin")
    clock.now += 1
    assert calls.get("/v1/predict", headers=bearer(secrets["admin"])).json()["code"] == "key_unknown"


def test_a_damaged_key_file_lets_nobody_in(path: Path, secrets: dict[Role, str]) -> None:
    path.write_text("{")
    assert client(ring=KeyRing(path)).get("/v1/predict", headers=bearer(secrets["admin"])).status_code == 401


def test_without_keys_every_role_is_open() -> None:
    response = client().get("/v1/admin", headers=bearer("whatever"))
    assert (response.status_code, response.json()["key"]) == (200, "")


# Rates


def test_a_key_has_a_burst_and_then_its_rate(path: Path, secrets: dict[Role, str]) -> None:
    clock = Clock()
    calls = client(ring=KeyRing(path), clock=clock, keys=KeySettings(requests_per_minute=6))

    def ask(role: Role) -> Any:
        return calls.get("/v1/predict", headers=bearer(secrets[role]))

    assert [ask("predict").status_code for _ in range(10)] == [200] * 10
    refused = ask("predict")
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, "rate_limited", "10")
    assert ask("admin").status_code == 200
    clock.now += 9.5
    assert ask("predict").headers["retry-after"] == "1"
    clock.now += 0.6
    assert [ask("predict").status_code, ask("predict").status_code] == [200, 429]


def test_without_keys_an_address_has_the_rate() -> None:
    clock = Clock()
    app = Guard(
        service(),
        ring=None,
        settings=ServingSettings(keys=KeySettings(requests_per_minute=1)),
        role_of=role_of,
        clock=clock,
    )
    here, there = (TestClient(app, base_url="http://localhost", client=(name, 1)) for name in ("10.0.0.1", "10.0.0.2"))
    assert [here.get("/v1/predict").status_code for _ in range(11)] == [200] * 10 + [429]
    assert there.get("/v1/predict").status_code == 200


def test_public_routes_and_refused_requests_count_for_nothing(path: Path, secrets: dict[Role, str]) -> None:
    calls = client(ring=KeyRing(path), keys=KeySettings(requests_per_minute=1))
    for _ in range(20):
        assert calls.get("/livez", headers=bearer(secrets["predict"])).status_code == 200
        assert calls.get("/v1/admin", headers=bearer(secrets["predict"])).status_code == 403
    assert calls.get("/v1/predict", headers=bearer(secrets["predict"])).status_code == 200


def test_a_client_without_address_is_limited_too() -> None:
    headers = [(b"host", b"localhost")]
    guard = Guard(
        service(), ring=None, settings=ServingSettings(keys=KeySettings(requests_per_minute=1)), role_of=role_of
    )
    sent = [exchange("http", headers, app=guard, path="/v1/predict")[0]["status"] for _ in range(11)]
    assert sent == [200] * 10 + [429]


@pytest.mark.parametrize(("per_minute", "burst"), [(1, 10), (60, 10), (120, 20), (6000, 1000)])
def test_the_burst_is_a_sixth_of_a_minute_and_at_least_ten(per_minute: int, burst: int) -> None:
    limiter = RateLimiter(per_minute, Clock())
    assert sum(limiter.take("a") == 0 for _ in range(burst + 5)) == burst


def test_rest_fills_a_bucket_to_its_burst_and_no_further() -> None:
    clock = Clock()
    limiter = RateLimiter(60, clock)
    for _ in range(10):
        limiter.take("a")
    clock.now += 3600
    assert sum(limiter.take("a") == 0 for _ in range(20)) == 10


def test_the_table_of_rates_is_bounded_and_forgets_the_longest_unused_first() -> None:
    limiter = RateLimiter(60, Clock(), max_clients=3)
    for client_name in ("a", "b", "c"):
        for _ in range(10):
            limiter.take(client_name)
    assert limiter.take("a") > 0
    limiter.take("d")
    assert len(limiter) == 3
    assert limiter.take("a") > 0
    assert limiter.take("c") > 0
    assert limiter.take("b") == 0


def test_ten_thousand_clients_are_remembered_by_default() -> None:
    limiter = RateLimiter(60, Clock())
    for number in range(10_500):
        limiter.take(str(number))
    assert len(limiter) == 10_000


# Request ids


@pytest.mark.parametrize("sent", ["a", "A.b_c-9", "x" * 64])
def test_a_sane_request_id_is_kept(sent: str) -> None:
    response = client().get("/livez", headers={"X-Request-ID": sent})
    assert response.headers["x-request-id"] == response.json()["request"] == sent


@pytest.mark.parametrize("sent", [None, "", "x" * 65, "a b", "a/b", "<script>", "a,b"])
def test_any_other_request_id_is_replaced_by_a_fresh_one(sent: str | None) -> None:
    calls = client()
    headers = {} if sent is None else {"X-Request-ID": sent}
    responses = [calls.get("/livez", headers=headers) for _ in range(2)]
    ids = {response.headers["x-request-id"] for response in responses}
    assert ids == {response.json()["request"] for response in responses}
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)


def test_refusals_missing_pages_and_crashes_carry_the_request_id(guarded: TestClient) -> None:
    for path, status in (("/v1/predict", 401), ("/nothing", 404), ("/crash", 500)):
        response = guarded.get(path, headers={"X-Request-ID": "mine"})
        assert (response.status_code, response.headers["x-request-id"]) == (status, "mine")
        assert response.headers["x-content-type-options"] == "nosniff"


def test_a_bare_apps_crash_is_answered_as_a_problem_and_raised_on() -> None:
    async def bare(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("secret detail")

    guard = Guard(bare, ring=None, settings=ServingSettings(), role_of=role_of)
    response = TestClient(guard, base_url="http://localhost", raise_server_exceptions=False).get("/livez")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert response.headers["x-request-id"]
    assert "secret detail" not in response.text
    with pytest.raises(RuntimeError, match="secret detail"):
        TestClient(guard, base_url="http://localhost").get("/livez")


def test_a_crash_after_the_answer_began_is_not_answered_twice() -> None:
    async def half(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    sent: list[Any] = []
    guard = Guard(half, ring=None, settings=ServingSettings(), role_of=role_of)
    with pytest.raises(RuntimeError):
        exchange("http", [(b"host", b"localhost")], app=guard, sent=sent)
    assert [message["type"] for message in sent] == ["http.response.start"]


def test_the_marks_do_not_leak_into_a_state_that_requests_share() -> None:
    shared = {"model": "m"}
    exchange("http", [(b"host", b"localhost")], state=shared)
    assert shared == {"model": "m"}


# Headers


def test_every_answer_has_the_security_headers() -> None:
    headers = client().get("/v1/livez").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "server" not in headers


def test_pages_get_no_policy_that_would_empty_them_and_may_be_cached() -> None:
    headers = client().get("/page").headers
    assert "content-security-policy" not in headers
    assert "cache-control" not in headers
    assert headers["x-frame-options"] == "DENY"


def test_what_the_app_has_set_stays_but_for_server_and_request_id() -> None:
    response = client().get("/v1/page", headers={"X-Request-ID": "mine"})
    assert response.headers["cache-control"] == "max-age=60"
    assert response.headers["content-security-policy"] == "default-src 'self'"
    assert response.headers["x-frame-options"] == "SAMEORIGIN"
    assert response.headers["referrer-policy"] == "origin"
    assert response.headers["x-request-id"] == "mine"
    assert "server" not in response.headers


# Websockets and lifespan


def exchange(
    kind: str,
    headers: list[tuple[bytes, bytes]],
    *,
    app: Guard | None = None,
    path: str = "/livez",
    extensions: dict[str, Any] | None = None,
    state: dict[str, Any] | None = None,
    sent: list[Any] | None = None,
    ring: KeyRing | None = None,
    subprotocols: list[str] | None = None,
    **settings: Any,
) -> list[Any]:
    """What a guard sends to a request made by hand, for what a test client does not let through."""
    guard = app or Guard(service(), ring=ring, settings=ServingSettings(**settings), role_of=role_of)
    scope = {"type": kind, "path": path, "headers": headers, "query_string": b"", "extensions": extensions or {}}
    if kind == "http":
        scope["method"] = "GET"
    if subprotocols is not None:
        scope["subprotocols"] = subprotocols
    if state is not None:
        scope["state"] = state
    messages = [] if sent is None else sent
    incoming = [{"type": "http.request"} if kind == "http" else {"type": "websocket.connect"}]

    async def receive() -> Any:
        return incoming.pop()

    async def send(message: Any) -> None:
        assert kind == "http" or not incoming, "answered before the connect event was taken"
        messages.append(message)

    asyncio.run(guard(scope, receive, send))
    return messages


def test_a_websocket_with_key_is_accepted(guarded: TestClient, secrets: dict[Role, str]) -> None:
    headers = {**bearer(secrets["predict"]), "X-Request-ID": "mine"}
    with guarded.websocket_connect("ws://localhost/ws", headers=headers) as websocket:
        assert websocket.receive_json() == {"key": secrets["predict"][3:15], "request": "mine"}
        assert (b"x-request-id", b"mine") in (websocket.extra_headers or [])


def test_a_websocket_without_key_is_denied_with_the_problem(guarded: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as caught, guarded.websocket_connect("ws://localhost/ws"):
        pass
    assert (caught.value.status_code, caught.value.json()["code"]) == (401, "key_missing")
    assert caught.value.headers["www-authenticate"] == "Bearer"
    assert caught.value.headers["x-request-id"]


def test_a_browser_gives_its_key_as_a_subprotocol(guarded: TestClient, secrets: dict[Role, str]) -> None:
    offered = ["visionloop", f"visionloop.key.{secrets['predict']}"]
    with guarded.websocket_connect("ws://localhost/ws", subprotocols=offered) as websocket:
        assert websocket.accepted_subprotocol == "visionloop"  # the key is never said back
        assert websocket.receive_json()["key"] == secrets["predict"][3:15]


def test_a_subprotocol_with_a_wrong_key_is_denied(guarded: TestClient, secrets: dict[Role, str]) -> None:
    for key in ("nonsense", secrets["predict"][:-1] + "!", ""):
        with (
            pytest.raises(WebSocketDenialResponse) as caught,
            guarded.websocket_connect("ws://localhost/ws", subprotocols=["visionloop", f"visionloop.key.{key}"]),
        ):
            pass
        assert caught.value.json()["code"] == ("key_unknown" if key else "key_missing")
        assert not key or key not in caught.value.text


def test_a_header_goes_before_a_subprotocol(guarded: TestClient, secrets: dict[Role, str]) -> None:
    offered = [f"visionloop.key.{secrets['predict']}"]
    with (
        pytest.raises(WebSocketDenialResponse) as caught,
        guarded.websocket_connect("ws://localhost/ws", headers=bearer("nonsense"), subprotocols=offered),
    ):
        pass
    assert caught.value.json()["code"] == "key_unknown"


def test_the_application_does_not_see_the_key_of_a_subprotocol(path: Path, secrets: dict[Role, str]) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await receive()
        await send({"type": "websocket.accept"})

    names = ["other", f"visionloop.key.{secrets['predict']}"]
    header = (b"sec-websocket-protocol", ", ".join(names).encode())
    guard = Guard(app, ring=KeyRing(path), settings=ServingSettings(), role_of=role_of)
    sent = exchange("websocket", [(b"host", b"localhost"), header], app=guard, path="/ws", subprotocols=names)
    assert seen[0]["subprotocols"] == ["other"]
    assert secrets["predict"] not in repr(seen)
    assert "subprotocol" not in sent[0]  # ours was not offered


def test_a_request_has_no_subprotocols(guarded: TestClient, secrets: dict[Role, str]) -> None:
    headers = {"Sec-WebSocket-Protocol": f"visionloop.key.{secrets['predict']}"}
    assert guarded.get("/v1/predict", headers=headers).json()["code"] == "key_missing"


def test_a_websocket_for_another_host_is_denied(guarded: TestClient) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as caught,
        guarded.websocket_connect("ws://localhost/ws", headers={"Host": "evil"}),
    ):
        pass
    assert caught.value.json()["code"] == "host_not_allowed"


def test_a_server_that_cannot_deny_with_a_document_closes_the_websocket(path: Path, secrets: dict[Role, str]) -> None:
    sent = exchange("websocket", [(b"host", b"localhost")], path="/ws", ring=KeyRing(path))
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "key_missing"}]


def test_websockets_share_the_rate_of_their_key(path: Path, secrets: dict[Role, str]) -> None:
    calls = client(ring=KeyRing(path), keys=KeySettings(requests_per_minute=1))
    for _ in range(10):
        calls.get("/v1/predict", headers=bearer(secrets["predict"]))
    with (
        pytest.raises(WebSocketDenialResponse) as caught,
        calls.websocket_connect("ws://localhost/ws", headers=bearer(secrets["predict"])),
    ):
        pass
    assert caught.value.headers["retry-after"] == "60"


def test_the_lifespan_passes_through() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    scope = {"type": "lifespan", "state": {}}
    guard = Guard(app, ring=None, settings=ServingSettings(), role_of=role_of)
    asyncio.run(guard(scope, None, None))  # type: ignore[arg-type]
    assert seen == [{"type": "lifespan", "state": {}}]


# Start


@pytest.mark.parametrize(
    ("host", "needed"),
    [
        ("127.0.0.1", False),
        ("127.8.0.1", False),
        ("::1", False),
        ("[::1]", False),
        ("localhost", False),
        ("0.0.0.0", True),
        ("::", True),
        ("192.168.0.7", True),
        ("example.org", True),
        ("", True),
    ],
)
def test_keys_are_needed_unless_the_host_is_loopback(host: str, needed: bool) -> None:
    assert keys_needed(ServingSettings(), host) is needed


@pytest.mark.parametrize("required", [True, False])
def test_a_set_requirement_overrules_the_host(required: bool) -> None:
    settings = ServingSettings(keys=KeySettings(required=required))
    assert [keys_needed(settings, host) for host in ("127.0.0.1", "0.0.0.0")] == [required, required]


def test_a_service_that_needs_keys_does_not_start_without_one(path: Path) -> None:
    ring = KeyRing(path)
    with pytest.raises(ConfigError) as caught:
        require_keys(ring)
    assert "visionloop keys create" in caught.value.action
    assert caught.value.where == str(path)
    create_key(path, "a", "predict", NOW)
    require_keys(ring)


def test_a_service_does_not_start_with_a_damaged_key_file(path: Path) -> None:
    path.write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        require_keys(KeyRing(path))
