"""Azure's entry script answers as the service does, with fakes of Azure's classes."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.deploy.place import DEPLOY, DOCS, ROOT, load
from tests.serving.conftest import Service, encoded, variant
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Lineup
from visionloop.core.errors import BundleError
from visionloop.core.places import PARAMS_VARIABLE
from visionloop.task import task_names


@dataclass
class FakeRequest:
    """As much of Azure's AMLRequest as is used."""

    body: bytes
    headers: dict[str, str]
    query_string: bytes = b""
    method: str = "POST"

    def get_data(self, cache: bool = True) -> bytes:
        return self.body


@dataclass
class FakeResponse:
    """Azure's AMLResponse."""

    message: bytes
    status_code: int
    response_headers: dict[str, str]

    @property
    def document(self) -> Any:
        return json.loads(self.message)


def load_score() -> ModuleType:
    spec = importlib.util.spec_from_file_location("score", DEPLOY / "azureml/score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def score(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    module = load_score()
    for name in ("azureml", "azureml.contrib", "azureml.contrib.services"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    response = ModuleType("azureml.contrib.services.aml_response")
    response.AMLResponse = FakeResponse  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, response.__name__, response)
    monkeypatch.delenv(PARAMS_VARIABLE, raising=False)
    yield module
    module.close()


def mount(folder: Path, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A model as Azure mounts it: below a folder of its own."""
    for task in task_names():
        lineup = Lineup(champion=variant(bundles[task]))
        deployment.change(folder / "model/deployment.json", task, lambda _, lineup=lineup: lineup)  # type: ignore[misc]
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(folder))


@pytest.fixture
def scoring(
    score: ModuleType,
    tmp_path: Path,
    bundles: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> ModuleType:
    mount(tmp_path / "azure", bundles, monkeypatch)
    score.init()
    return score


def test_azure_answers_as_the_service_does(scoring: ModuleType, service: Service) -> None:
    query, headers = b"top_k=2&threshold=0", {"Content-Type": "image/png", "X-Request-Id": "abc"}
    found: FakeResponse = scoring.run(FakeRequest(encoded(), headers, query))
    expected = service.client.post(f"/v1/predict?{query.decode()}", content=encoded(), headers=headers).json()
    assert found.status_code == 200
    assert found.response_headers == {"Content-Type": "application/json"}
    assert sorted(found.document["results"]) == ["classification", "detection"]
    assert _stable(found.document) == _stable(expected)


def test_azure_takes_a_form_with_several_images(scoring: ModuleType) -> None:
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + encoded(seed=seed) + b"\r\n"
        for seed in range(2)
    ]
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    found: FakeResponse = scoring.run(FakeRequest(b"".join(parts) + b"--b--\r\n", headers))
    assert [len(answer["predictions"]) for answer in found.document["results"].values()] == [2, 2]


@pytest.mark.parametrize(
    ("body", "content_type", "method", "status", "code"),
    [
        (b"no image", "image/png", "POST", 415, "image_unsupported_format"),
        (b"", "image/png", "POST", 400, "empty_body"),
        (b"{}", "application/json", "POST", 415, "unsupported_media_type"),
        (b"", "image/png", "GET", 405, "method_not_allowed"),
    ],
)
def test_azure_refuses_as_the_service_does(
    scoring: ModuleType, body: bytes, content_type: str, method: str, status: int, code: str
) -> None:
    found: FakeResponse = scoring.run(FakeRequest(body, {"content-type": content_type}, method=method))
    assert (found.status_code, found.document["code"]) == (status, code)
    assert found.response_headers["Content-Type"] == "application/problem+json"


def test_azure_does_not_start_without_a_pointer(
    score: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    with pytest.raises(BundleError, match="no deployment pointers"):
        score.init()


def test_azure_does_not_start_with_a_bundle_that_is_gone(
    score: ModuleType,
    tmp_path: Path,
    bundles: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mount(tmp_path / "azure", bundles, monkeypatch)
    gone = variant(bundles["detection"]).model_copy(update={"bundle": "nowhere"})
    deployment.change(tmp_path / "azure/model/deployment.json", "detection", lambda _: Lineup(champion=gone))
    with pytest.raises(BundleError, match=r"detection\.champion"):
        score.init()


def test_azure_calls_the_entry_script_raw(monkeypatch: pytest.MonkeyPatch) -> None:
    marked: list[Any] = []
    for name in ("azureml", "azureml.contrib", "azureml.contrib.services"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    request = ModuleType("azureml.contrib.services.aml_request")
    request.rawhttp = lambda function: marked.append(function) or function  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, request.__name__, request)
    module = load_score()
    assert marked == [module.run]


def test_azure_files_name_each_other() -> None:
    found, endpoint = load("azureml/deployment.yml"), load("azureml/endpoint.yml")
    assert found["endpoint_name"] == endpoint["name"]
    assert (DEPLOY / "azureml" / found["code_configuration"]["scoring_script"]).is_file()
    assert (DEPLOY / "azureml" / found["environment"]["conda_file"]).is_file()
    for path in (found["model"]["path"], found["code_configuration"]["code"]):
        assert path.removeprefix("../../") in DOCS


def test_azures_environment_has_the_project_s_own_lower_bounds() -> None:
    pip = load("azureml/conda.yml")["dependencies"][-1]["pip"]
    project = (ROOT / "pyproject.toml").read_text()
    own = [item for item in pip if not fnmatch(item, "a*inference*") and not item.startswith("anyio")]
    assert [item for item in own if f'"{item}"' not in project] == []


def _stable(document: Any) -> Any:
    """An answer without what differs from request to request."""
    if isinstance(document, dict):
        return {key: _stable(value) for key, value in document.items() if key not in ("id", "timings_ms")}
    return [_stable(item) for item in document] if isinstance(document, list) else document
