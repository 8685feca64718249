"""What every answer carries: its request's id, and headers that protect; crashes included."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.serving.guard.application import client, exchange, role_of
from visionloop.serving.guard import Guard
from visionloop.serving.settings import ServingSettings


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
