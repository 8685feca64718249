"""The file by which the service knows the registry, and the registry's answers to the service."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.registry.conftest import MODEL, NOW, Project
from visionloop import registrar
from visionloop.artifact.deployment import Deployment
from visionloop.registry.champions import rollback
from visionloop.serving.administration import CATALOG, Administration
from visionloop.serving.problems import Problem, problem_response
from visionloop.serving.schema_review import HistoryAnswer
from visionloop.serving.settings import ServingSettings


def catalog(project: Project) -> HistoryAnswer:
    return HistoryAnswer.model_validate(json.loads((project.root / "mlruns" / CATALOG).read_text()))


def test_it_follows_every_change(project: Project) -> None:
    first = project.make("first", threshold=120.5)
    version = project.register(first).version
    (model,) = catalog(project).models
    assert (model.model, model.task) == (MODEL, "brightness")
    assert model.versions[0].aliases == ["challenger"]
    assert model.versions[0].verdict is None
    low, high = model.versions[0].intervals["accuracy"]
    assert 0 < low < model.versions[0].metrics["accuracy"] < high <= 1
    verdict = project.judge(first, version)
    found = catalog(project).models[0].versions[0].verdict
    assert found is not None
    assert (found.decision, found.summary) == (verdict.decision, verdict.summary)
    assert [check.explanation for check in found.checks] == [check.explanation for check in verdict.checks]
    project.promote("1", None)
    project.register(project.make("second", threshold=116.5))
    project.promote("2", "1")
    rollback(project.settings, project.root, MODEL, who="bob", why="complaints", now=NOW)
    after = catalog(project)
    assert [(item.version, item.aliases, item.rolled_back) for item in after.models[0].versions] == [
        ("2", [], NOW),
        ("1", ["champion"], None),
    ]
    assert [(change.action, change.from_version, change.to_version, change.who) for change in after.changes] == [
        ("rollback", "2", "1", "bob"),
        ("promote", "1", "2", "ann"),
        ("promote", None, "1", "ann"),
    ]


def test_the_service_changes_what_serves_through_the_registry(project: Project) -> None:
    folders = [project.make(f"m{index}", threshold=120.5 - 4 * index) for index in range(2)]
    for folder in folders:
        project.judge(folder, project.register(folder).version)
    project.promote("1", None)
    served = Administration(ServingSettings(), project.root)

    async def ask(**body: Any) -> tuple[int, Any]:
        transport = httpx.ASGITransport(_app(served))
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=120) as client:
            answer = await client.post("/", json=body)
        return answer.status_code, answer.json()

    status, answer = asyncio.run(ask(action="canary", model=MODEL, share=0.25))
    assert (status, answer) == (200, {"summary": f"{MODEL} 1, canary 2 at 25%"})
    canary = Deployment.read(project.root / "mlruns/deployment.json").tasks["brightness"].canary
    assert canary is not None
    assert (canary.version, canary.share) == ("2", 0.25)


def test_the_registrar_promotes_and_refuses_as_the_command_line_does(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project.make("m", threshold=120.5)
    project.judge(folder, project.register(folder).version)

    def ask(action: str, version: str | None) -> Any:
        asked = {"action": action, "model": MODEL, "version": version, "share": None, "why": "better at night",
                 "force": False, "who": "key 7", "root": str(project.root)}  # fmt: skip
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(asked)))
        registrar.main()
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    assert ask("promote", "7")["refused"]["what"] == f"model {MODEL} has no version '7'"
    assert "champion is version 1" in ask("promote", None)["done"]
    (latest,) = catalog(project).changes
    assert (latest.to_version, latest.who, latest.why) == ("1", "key 7", "better at night")
    assert ask("stop", None) == {"done": f"{MODEL} 1"}
    assert ask("rollback", None)["refused"]["what"] == "there is no previous champion to go back to"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"action": "promote", "model": "nothing"}, 404, "unknown_model"),
        ({"action": "canary", "model": MODEL}, 422, "bad_change"),
        ({"action": "rollback", "model": MODEL, "version": "1"}, 422, "bad_change"),
        ({"action": "rollback", "model": MODEL, "force": True}, 422, "bad_change"),
    ],
)
def test_what_makes_no_sense_does_not_reach_the_registry(
    project: Project, body: dict[str, Any], status: int, code: str
) -> None:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(_app(Administration(ServingSettings(), project.root)))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/", json=body)

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def _app(served: Administration) -> Starlette:
    async def change(request: Request) -> Response:
        request.scope.setdefault("state", {}).update(request_id="r", key_id="")
        try:
            return await served.change(request)
        except Problem as problem:
            return problem_response(problem)

    return Starlette(routes=[Route("/", change, methods=["POST"])])
