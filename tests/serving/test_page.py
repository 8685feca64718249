"""The page's files: what is sent, how compressed, under which headers."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

from visionloop.serving.front import role_of
from visionloop.serving.guard import Guard
from visionloop.serving.page import VIEWS, Page
from visionloop.serving.settings import KeySettings, ServingSettings

SCRIPT = b"console.log('visionloop');" * 20


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>page</title>")
    (tmp_path / "assets/main-abc.js").write_bytes(SCRIPT)
    (tmp_path / "assets/main-abc.js.gz").write_bytes(gzip.compress(SCRIPT, mtime=0))
    (tmp_path / "assets/main-abc.js.br").write_bytes(b"brotli stands here")
    return _client(tmp_path)


def _client(folder: Path) -> TestClient:
    settings = ServingSettings(hosts=("*",), keys=KeySettings(requests_per_minute=1))
    return TestClient(Guard(Starlette(routes=Page(folder).routes()), ring=None, settings=settings, role_of=role_of))


def test_every_view_is_the_page_under_a_strict_policy(client: TestClient) -> None:
    for view in VIEWS * 4:  # more often than the rate limit would let a client of the API ask
        answer = client.get(view)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["permissions-policy"].startswith("camera=(self)")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("*", "br"),
        ("*;q=0", ""),
        ("br;q=x", ""),
        ("identity", ""),
        ("", ""),
    ],
)
def test_the_coding_is_the_best_that_the_browser_reads(client: TestClient, accepted: str, coding: str) -> None:
    with client.stream("GET", "/assets/main-abc.js", headers={"Accept-Encoding": accepted}) as answer:
        body = b"".join(answer.iter_raw())
    assert answer.headers.get("content-encoding", "") == coding
    assert body == {"br": b"brotli stands here", "gzip": gzip.compress(SCRIPT, mtime=0), "": SCRIPT}[coding]
    assert answer.headers["content-length"] == str(len(body))
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_what_the_browser_has_is_not_sent_again(client: TestClient) -> None:
    for path in ("/", "/assets/main-abc.js"):
        tag = client.get(path, headers={"Accept-Encoding": "gzip"}).headers["etag"]
        again = client.get(path, headers={"Accept-Encoding": "gzip", "If-None-Match": f'"other", W/{tag}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_says_what_get_would(client: TestClient) -> None:
    head, got = client.head("/assets/main-abc.js"), client.get("/assets/main-abc.js")
    assert head.headers["etag"] == got.headers["etag"]
    assert head.content == b""


@pytest.mark.parametrize(
    "path", ["/assets/main-old.js", "/assets/", "/assets/../index.html", "/assets/%2e%2e/index.html"]
)
def test_there_are_no_other_files(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    if path.endswith("js"):
        assert answer.json()["code"] == "no_such_route"


def test_without_a_build_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    answer = _client(tmp_path / "nothing").get("/watch")
    assert answer.status_code == 200
    assert "make web" in answer.text
    assert "/openapi.json" in answer.text


def test_a_browser_that_went_astray_gets_the_page_and_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><title>page</title>")
    page = Page(tmp_path)

    def asked(path: str, accept: str, method: str = "GET") -> int | None:
        scope = {
            "type": "http", "method": method, "path": path, "query_string": b"", "server": ("x", 80), "scheme": "http",
            "headers": [(b"accept", accept.encode())],
        }  # fmt: skip
        found = page.unknown(Request(scope))
        return None if found is None else found.status_code

    assert asked("/nothing", "text/html,application/xhtml+xml,*/*;q=0.8") == 404
    assert asked("/nothing", "*/*") is None
    assert asked("/nothing", "text/html", "POST") is None
    assert asked("/v1/nothing", "text/html") is None
    assert asked("/assets/old-abc.js", "text/html") is None
    assert asked("/v1", "text/html") is None
    assert asked("//metrics/", "text/html") is None
    assert asked("/v10/models", "text/html") == 404
