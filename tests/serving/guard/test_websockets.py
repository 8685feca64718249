"""Websockets and the lifespan behind the guard."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from tests.serving.guard.application import bearer, client, exchange, role_of
from visionloop.serving.guard import Guard
from visionloop.serving.keys import KeyRing, Role
from visionloop.serving.settings import KeySettings, ServingSettings


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
