"""How many requests a key or an address has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.serving.guard.application import Clock, bearer, client, exchange, role_of, service
from visionloop.serving.guard import Guard
from visionloop.serving.keys import KeyRing, Role
from visionloop.serving.rates import RateLimiter
from visionloop.serving.settings import KeySettings, ServingSettings


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
