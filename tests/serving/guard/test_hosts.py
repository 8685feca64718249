"""Which hosts are answered."""

from __future__ import annotations

import pytest

from tests.serving.guard.application import ORIGIN, client, exchange
from visionloop.core.errors import ConfigError


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
