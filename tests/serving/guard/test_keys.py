"""What a key opens, and when one is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.serving.guard.application import NOW, Clock, bearer, client
from visionloop.core.errors import ConfigError
from visionloop.serving.keys import KeyRing, Role, create_key, keys_needed, require_keys, revoke_key
from visionloop.serving.settings import KeySettings, ServingSettings


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
