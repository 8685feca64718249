"""A small application, the guard in front of it, and requests to both."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from visionloop.serving.guard import Guard
from visionloop.serving.keys import KeyRing, Role
from visionloop.serving.settings import ServingSettings

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


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


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
