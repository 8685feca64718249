"""From answers to a drift check, to labels, to the decision to retrain: the same commands on either database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from pipelines import retrain
from tests.monitoring.drift_data import blur
from tests.monitoring.drift_project import DriftProject, Scans
from tests.postgresql import on_both
from visionloop.cli import main
from visionloop.config import load_config

ROOT = Path(__file__).resolve().parents[2]
ANSWER = {"class": "3", "class_id": 3, "score": 0.6}
RESULT = {**ANSWER, "ranked": [ANSWER, {"class": "5", "class_id": 5, "score": 0.3}]}


@pytest.fixture(scope="module")
def scans() -> Scans:
    return Scans.make()


@pytest.fixture
def project(store_url: str, scans: Scans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DriftProject:
    monkeypatch.chdir(tmp_path)
    for name in ("VISIONLOOP_PARAMS", "VISIONLOOP_STATE"):
        monkeypatch.delenv(name, raising=False)
    made = DriftProject(tmp_path, scans, url=store_url)
    # The commands that change what retraining knows want the whole of the settings.
    params = tmp_path / "params.yaml"
    own, whole = (yaml.safe_load(path.read_text()) for path in (params, ROOT / "params.yaml"))
    for block, values in own.items():
        whole[block] |= values
    params.write_text(yaml.safe_dump(whole))
    return made


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def done(*words: str) -> str:
    found = run(*words)
    assert found.exit_code == 0, found.output
    return found.output


@on_both
def test_answers_become_labels_and_a_reason_to_retrain(
    project: DriftProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answered: dict[str, Any] = {"result": RESULT, "top_class": "3", "confidence": 0.6}
    project.send(project.scans.traffic[:20], keep=True, **answered)
    rng = np.random.default_rng(0)
    project.send([blur(image, rng) for image in project.scans.traffic[20:440]], **answered)

    drift = run("drift", "--json")
    [summary] = json.loads(drift.stdout)
    assert (drift.exit_code, summary["alarm"], summary["severity"] is None) == (3, True, False)

    done("label", "export", "out", "--limit", "3")
    tasks = json.loads((project.root / "out/tasks.json").read_text())
    names = ["3", "7", "8"]
    for number, (task, name) in enumerate(zip(tasks, names, strict=True)):
        [result] = task["predictions"][0]["result"]
        result = result | {"value": {"choices": [name]}}
        annotation = {"completed_by": 1, "result": [result], "updated_at": "2026-11-20T10:00:00Z"}
        task |= {"id": number, "annotations": [annotation | {"id": number}]}
    (project.root / "back.json").write_text(json.dumps(tasks))
    assert "3 labels stored" in done("label", "import", "back.json")
    assert done("label", "import", "back.json") == "0 labels stored; 3 as before\n"

    monkeypatch.setattr(
        retrain, "load_config", lambda: load_config(root=project.root, params=project.root / "params.yaml")
    )
    assert retrain.main(["--dry-run", "--json", "--task", "classification"]) == 0
    would = json.loads(capsys.readouterr().out)["classification"]
    assert would["runs"]
    assert (would["labels"]["num_words"], would["labels"]["added"]) == (3, 3)
    assert would["signals"]["accuracy"]["text"].startswith("3 judged answers")

    assert "deleted: 1 word of people" in done("label", "delete", tasks[1]["data"]["prediction_id"])
    assert done("label", "import", "back.json") == "1 labels stored; 2 as before\n"
