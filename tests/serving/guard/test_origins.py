"""Which pages of other origins may read the answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serving.guard.application import ORIGIN, bearer, client
from visionloop.core.errors import ConfigError
from visionloop.serving.keys import KeyRing, Role

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
