"""The image holds what the service needs and nothing secret; nothing is built."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import yaml

from tests.deploy.place import DEPLOY, ROOT, load
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Deployment, Lineup
from visionloop.core.places import PARAMS_VARIABLE, STATE_VARIABLE


def copied(dockerfile: str) -> list[str]:
    """Sources that a Dockerfile copies from its context."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", (DEPLOY / dockerfile).read_text(), re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_copied_files_exist_or_are_made_by_the_demo() -> None:
    made = {"mlruns/deployment.json", "mlruns/deployed"}
    sources = set(copied("Dockerfile"))
    assert made | {"service.py", "params.yaml", "requirements-serve.txt", "src"} <= sources
    assert [source for source in sorted(sources - made) if not (ROOT / source).exists()] == []
    general = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert general["registry"]["pointer"] == general["serving"]["pointer"] == "mlruns/deployment.json"


def test_the_context_holds_what_is_copied_and_no_secrets() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied("Dockerfile"))


def test_the_image_runs_as_a_number_and_is_healthy_when_ready() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\\\n.*http://127\.0\.0\.1:3000/readyz", text, re.MULTILINE)
    assert f"{PARAMS_VARIABLE}=/app/params.yaml" in text
    assert f"{STATE_VARIABLE}=/state" in text


def test_nothing_tells_others_how_it_is_used() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert {"BENTOML_DO_NOT_TRACK=True", "ORT_DISABLE_TELEMETRY=1"} <= set(text.split())
    assert load("azureml/deployment.yml")["environment_variables"] == {"ORT_DISABLE_TELEMETRY": "1"}


def test_mlflow_has_the_version_of_the_lock() -> None:
    found = re.search(r"mlflow==([\d.]+)", (DEPLOY / "mlflow.Dockerfile").read_text())
    assert found is not None
    assert f"\nmlflow=={found[1]} " in (ROOT / "requirements.lock").read_text()


def test_models_are_installed_and_obsolete_ones_removed(tmp_path: Path) -> None:
    def install(version: str) -> Deployment:
        shutil.rmtree(tmp_path / "from", ignore_errors=True)
        bundle = tmp_path / "from/deployed" / version / "bundle"
        bundle.mkdir(parents=True)
        (bundle / "bundle.json").write_text(version)
        lineup = Lineup(champion=deployment.Variant(
            model="m", version=version, digest=version,
            bundle=deployment.relative_bundle(tmp_path / "from/deployment.json", bundle),
        ))  # fmt: skip
        deployment.change(tmp_path / "from/deployment.json", "detection", lambda _: lineup)
        subprocess.run(["sh", DEPLOY / "install_models.sh", tmp_path / "from", tmp_path / "to"], check=True)
        return Deployment.read(tmp_path / "to/deployment.json")

    for version in ("1", "1", "2"):
        found = install(version)
        champion = found.tasks["detection"].champion
        path = found.bundle_path(tmp_path / "to/deployment.json", champion)
        assert (path / "bundle.json").read_text() == version
        assert [folder.name for folder in (tmp_path / "to/deployed").iterdir()] == [version]
