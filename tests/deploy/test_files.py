"""What lies in deploy/ parses, is valid, and is what its document says; no engine, cluster or cloud is needed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.place import DEPLOY, DOCS, ROOT, load
from visionloop.core.settings import parse_settings
from visionloop.serving.guard import Guard
from visionloop.serving.settings import ServingSettings

YAML_FILES = sorted([*DEPLOY.rglob("*.yml"), *DEPLOY.rglob("*.yaml")])


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.relative_to(DEPLOY).as_posix())
def test_yaml_parses(path: Path) -> None:
    assert all(isinstance(document, dict) for document in yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.sh")), ids=lambda path: path.name)
def test_shell_scripts_parse(path: Path) -> None:
    subprocess.run(["sh", "-n", str(path)], check=True)


@pytest.mark.parametrize("path", ["params.yaml", "kubernetes/params.yaml"])
def test_settings_are_valid_and_ask_for_keys(path: str) -> None:
    found = parse_settings(ServingSettings, load(path)["serving"], where=path)
    Guard(lambda *_: None, ring=None, settings=found, role_of=lambda *_: None)  # type: ignore[arg-type,return-value]
    assert found.host == "0.0.0.0"
    assert found.keys.required is True
    assert "*" not in found.hosts
    assert ":" not in found.store.url.partition("://")[2], "a password belongs into the environment"


def test_relative_links_and_named_files_of_the_docs_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", DOCS):
        assert (ROOT / "docs" / target).exists(), target
    for name in re.findall(r"`(deploy/[\w./-]+)`", DOCS):
        assert (ROOT / name).exists() or name in ("deploy/.env", "deploy/secrets/metrics_key"), name
