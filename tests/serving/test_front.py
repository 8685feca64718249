from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from starlette.routing import Route
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Receive, Scope, Send

from visionloop.core.errors import ConfigError
from visionloop.serving import front
from visionloop.serving.api import Api
from visionloop.serving.front import Front, role_of
from visionloop.serving.page import VIEWS, Page
from visionloop.serving.settings import KeySettings, ServingSettings, load_settings
from visionloop.serving.tally import Tally


async def bento(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"bento"})


def client(
    root: Path, *, address: str = "127.0.0.1", required: bool | None = None, origins: tuple[str, ...] = ()
) -> TestClient:
    settings = ServingSettings(hosts=("localhost",), keys=KeySettings(required=required), origins=origins)
    return TestClient(Front(bento, settings, root), base_url="http://localhost", client=(address, 50000))


@pytest.fixture(autouse=True)
def no_api(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        tally = Tally()
        page = Page(Path("nothing"))

        def app(self) -> object:
            async def ours(scope: Scope, receive: Receive, send: Send) -> None:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"ours"})

            return ours

    monkeypatch.setattr(front, "_APIS", [Fake()])


def test_health_is_bentomls_and_everything_else_is_ours(tmp_path: Path) -> None:
    assert client(tmp_path).get("/livez").text == "bento"
    for path in ("/", "/v1/models", "/docs.json", "/metrics"):
        assert client(tmp_path).get(path).text == "ours"


def test_from_afar_a_key_is_needed_and_on_this_machine_not(tmp_path: Path) -> None:
    assert client(tmp_path).get("/v1/models").status_code == 200
    assert client(tmp_path, address="192.0.2.7").get("/v1/models").status_code == 401
    assert client(tmp_path, address="192.0.2.7").get("/livez").status_code == 200
    assert client(tmp_path, required=True).get("/v1/models").status_code == 401
    assert client(tmp_path, address="192.0.2.7", required=False).get("/v1/models").status_code == 200


def test_a_proxy_on_this_machine_speaks_for_others(tmp_path: Path) -> None:
    answer = client(tmp_path).get("/v1/models", headers={"X-Forwarded-For": "192.0.2.7"})
    assert answer.status_code == 401


def refusals() -> float:
    return REGISTRY.get_sample_value("visionloop_rejections_total", {"code": "foreign_origin"}) or 0.0


def test_a_foreign_page_may_not_use_an_open_service(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "visionloop.serving")
    before = refusals()
    foreign = {"Origin": "https://evil.example"}
    answer = client(tmp_path).post("/v1/classify", headers=foreign)
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    assert "access-control-allow-origin" not in answer.headers
    # Refused as everybody is: with the guard's headers, in the log and in the metrics.
    assert (answer.headers["x-content-type-options"], answer.headers["cache-control"]) == ("nosniff", "no-store")
    (line,) = [json.loads(record.message) for record in caplog.records if "foreign_origin" in record.message]
    assert (line["request_id"], line["status"]) == (answer.headers["x-request-id"], 403)
    assert refusals() == before + 1
    assert client(tmp_path).get("/v1/models", headers={"Origin": "http://localhost"}).status_code == 200
    assert client(tmp_path, origins=("https://evil.example",)).get("/v1/models", headers=foreign).status_code == 200
    # Switched off, keys keep no page out from afar either.
    far = client(tmp_path, address="192.0.2.7", required=False).get("/v1/models", headers=foreign)
    assert (far.status_code, far.json()["code"]) == (403, "foreign_origin")
    with pytest.raises(WebSocketDenialResponse), client(tmp_path).websocket_connect("/v1/stream", headers=foreign):
        pass


def test_roles_of_routes() -> None:
    assert role_of("GET", "/livez") is None
    assert role_of("POST", "/v1/classify") == "predict"
    assert role_of("POST", "/v1/feedback") == "feedback"
    assert role_of("GET", "/v1/predictions/x") == "feedback"
    assert role_of("GET", "/metrics") == "admin"
    assert role_of("GET", "/anything/else") == "predict"


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TestClient, list[str]]]:
    """Somebody without a key before the real routes, and these."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static/index.html").write_text("<!doctype html><title>page</title>")
    api = Api(ServingSettings(), tmp_path, tmp_path, None)
    api.page = Page(tmp_path / "static")
    monkeypatch.setattr(front, "_APIS", [api])
    routes = [re.sub(r"{[^}]*}", "x", route.path) for route in api.app().routes if isinstance(route, Route)]
    yield client(tmp_path, address="192.0.2.7"), routes
    api.close()


HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_a_stale_link_shows_the_page_to_whoever_has_no_key(far: tuple[TestClient, list[str]]) -> None:
    visitor, _ = far
    for path in ("/nowhere", "/many/nothing", "/Watch"):
        answer = visitor.get(path, headers=HTML)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "<title>page</title>" in answer.text
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"]
    assert visitor.get("/watch/", headers=HTML, follow_redirects=False).headers["location"].endswith("/watch")
    # Programs, and whoever has a wrong key, are told what they were.
    assert visitor.get("/nowhere").json()["code"] == "key_missing"
    assert visitor.post("/nowhere", headers=HTML).status_code == 401
    assert visitor.get("/nowhere", headers={**HTML, "X-API-Key": "wrong"}).json()["code"] == "key_unknown"
    assert visitor.get("/nowhere", headers={**HTML, "Host": "evil.example"}).status_code == 400


def test_no_route_becomes_public_by_asking_for_a_page(far: tuple[TestClient, list[str]]) -> None:
    visitor, routes = far
    public = {"/livez", "/readyz", "/openapi.json", *VIEWS, "/assets/x"}
    asked = [path for path in routes if path not in public]
    assert len(asked) > 25
    beside = ["/v1", "/v1/", "/v1/nothing", "/metrics/", "/metrics/x", "/%761/models", "/label-studio/x"]
    assert {path: visitor.get(path, headers=HTML).status_code for path in [*asked, *beside]} == dict.fromkeys(
        [*asked, *beside], 401
    )


def test_settings_come_from_the_composed_file(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == ServingSettings()
    (tmp_path / "params.yaml").write_text("serving: {port: 4000}\n")
    assert load_settings(tmp_path).port == 4000
    (tmp_path / "params.yaml").write_text("serving: {prot: 4000, workers: x}\n")
    with pytest.raises(ConfigError, match="2 settings are wrong") as error:
        load_settings(tmp_path)
    assert "serving.prot: unknown key; did you mean" in str(error.value)


def test_a_database_that_cannot_be_opened_does_not_stop_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "_APIS", [])
    monkeypatch.setattr(front, "_STORE_RETRY_S", 0.02)
    (tmp_path / "mlruns").mkdir()
    blocked = tmp_path / "mlruns/predictions.db"
    blocked.mkdir()
    api = front.open_api(ServingSettings(), tmp_path)
    try:
        assert api.store is None
        blocked.rmdir()
        for _ in range(500):
            if api.store is not None:
                break
            time.sleep(0.02)
        assert api.store is not None
    finally:
        api.close()
