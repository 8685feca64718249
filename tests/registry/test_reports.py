"""Reports beside the deployment pointer: written with the catalog, gone with their versions."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.registry.conftest import MODEL, Project
from visionloop.registry import reports as writing
from visionloop.registry.catalog import write_catalog
from visionloop.registry.connection import connect
from visionloop.serving.administration import CATALOG
from visionloop.serving.problems import Problem, problem_response
from visionloop.serving.reports import REPORTS, Reports
from visionloop.serving.schema_report import ReportAnswer
from visionloop.serving.schema_review import HistoryAnswer


def ids(project: Project) -> dict[str, str | None]:
    catalog = HistoryAnswer.model_validate(json.loads((project.root / "mlruns" / CATALOG).read_text()))
    return {item.version: item.report for item in catalog.models[0].versions}


def kept(project: Project) -> set[str]:
    return {path.name for path in (project.root / "mlruns" / REPORTS).iterdir()}


def ask(folder: Path, path: str) -> httpx.Response:
    served = Reports(folder)

    async def guarded(request: Request) -> Response:
        try:
            return await (served.picture if "name" in request.path_params else served.report)(request)
        except Problem as problem:
            return problem_response(problem)

    async def get() -> httpx.Response:
        app = Starlette(routes=[Route("/{id}", guarded), Route("/{id}/examples/{name}", guarded)])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get(path)

    return asyncio.run(get())


def test_a_report_is_there_as_long_as_its_version(project: Project) -> None:
    project.versions(2)
    found = ids(project)
    assert len(set(found.values())) == 2
    assert kept(project) == set(found.values())
    folder = project.root / "mlruns" / REPORTS
    report = ReportAnswer.model_validate(ask(folder, f"/{found['2']}").json())
    assert (report.model, report.version, report.card) == (MODEL, "2", "# A threshold\n")
    assert report.num_images == 64
    (example,) = report.examples
    picture = ask(folder, f"/{found['2']}/examples/{example.picture}")
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")

    project.promote("2", None)
    assert ids(project) == found
    connect(project.settings, project.root).client.delete_model_version(MODEL, "1")
    write_catalog(project.settings, project.root)
    assert kept(project) == {found["2"]}


def test_what_has_no_report_is_registered_all_the_same(project: Project) -> None:
    folder = project.make("old", threshold=120.5)
    (folder / "evaluation" / "report.json").unlink()
    project.register(folder)
    assert ids(project) == {"1": None}
    assert kept(project) == set()


def test_versions_beyond_the_latest_keep_theirs_while_they_have_an_alias(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_KEPT", 1)
    project.versions(1)
    project.promote("1", None)
    project.register(project.make("next", threshold=116.5))
    assert all(ids(project).values())
    project.promote("2", "1")
    assert ids(project)["1"] is None
    assert kept(project) == {ids(project)["2"]}


def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "mlruns" / "reports"
    home = folder / ("a" * 16)
    (home / "examples").mkdir(parents=True)
    (home / "report.json").write_text("{}")
    shutil.copy(home / "report.json", folder / "report.json")
    assert ask(folder, "/" + "a" * 16).json() == {}
    missing = ["/" + "A" * 16, "/" + "b" * 16, "/report.json"]
    missing += [f"/{'a' * 16}/examples/{name}" for name in ("report.json", "000.png", "..png")]
    for path in missing:
        answer = ask(folder, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_report"), path
