"""Feedback to champion, in earnest: a real training and a real MLflow, on tiny data."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from pipelines.retrain import main
from tests.data.test_overlay import picture
from tests.e2e.workspace import ROOT, TINY
from tests.factory import make_folder_source
from tests.registry.conftest import fresh_database  # noqa: F401
from visionloop.artifact.deployment import Deployment
from visionloop.core.files import sha256_bytes
from visionloop.data.overlay import Overlay
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import FeedbackRow, PredictionRow, PredictionStore
from visionloop.retraining.state import Journal

NUM_JUDGED = 30


@pytest.fixture
def project(tmp_path: Path, fresh_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    tiny = {
        "tasks": ["classification"],
        "classification": TINY["classification"],
        # Whatever was just done, the next is due.
        "retraining": {"triggers": {"every_days": 1e-9, "cooldown_hours": 0.0}, "gate": {"min_images": 3}},
    }
    (tmp_path / "conf/experiment/tiny.yaml").write_text("# @package _global_\n" + yaml.safe_dump(tiny))
    config = tmp_path / "conf/config.yaml"
    config.write_text(config.read_text().replace("experiment: null", "experiment: tiny"))
    make_folder_source(tmp_path / "data/classification")
    (tmp_path / "mlruns").mkdir()
    shutil.copy(fresh_database, tmp_path / "mlruns/mlflow.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def judge_pictures(project: Path) -> None:
    """Pictures the service kept, and what people said of its answers."""
    store = PredictionStore.open(StoreSettings(flush_s=0.01), project)
    now = datetime.now(UTC)
    for number in range(NUM_JUDGED):
        data = picture(number)
        digest = sha256_bytes(data)
        kept = project / "mlruns/images" / digest[:2] / f"{digest}.png"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(data)
        row = PredictionRow(
            id=f"{number:032x}", created_at=now, task="classification", model="m", version="1", digest="d",
            variant="champion", request_id="r", image_sha256=digest, width=32, height=32, image_bytes=len(data),
            result={"class": "blue" if number % 2 else "red"}, latency_ms=1.0,
        )  # fmt: skip
        store.log(row)
        store.flush()
        verdict = {"verdict": "corrected", "label": "red"} if number % 2 else {"verdict": "right"}
        store.add_feedback(FeedbackRow(prediction_id=row.id, created_at=now, **verdict))  # type: ignore[arg-type]
    store.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_feedback_becomes_a_champion(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = {path: path.read_bytes() for path in (project / "data/classification").rglob("*.png")}
    judge_pictures(project)

    assert main(["--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["classification"]
    assert (plan["runs"], plan["labels"]["added"]) == (True, NUM_JUDGED)
    assert not (project / "mlruns/retraining").exists()
    assert not (project / "data/classification/.feedback").exists()

    assert main([]) == 0, capsys.readouterr()
    journal = Journal(project / "mlruns/retraining/classification")
    state = journal.read()
    assert state is not None
    assert (state.status, state.outcome) == ("done", "promoted")
    assert [step.attempts for step in state.steps] == [1] * 10
    overlay = Overlay.open(project / "data/classification/.feedback")
    assert {item.objects[0].name for item in overlay.images.values()} == {"red"}
    assert len(overlay.images) == NUM_JUDGED
    # The user's own files are as they were.
    assert {path: path.read_bytes() for path in source} == source
    lineup = Deployment.read(project / "mlruns/deployment.json").tasks["classification"]
    assert lineup.champion.version == "1"
    assert json.loads((project / "mlruns/monitoring/retraining.json").read_text())["status"] == "promoted"
    run = journal.run_folder(state.run)
    assert {"evaluation", "evaluation-recent", "feedback.json", "held.csv", "verdict.json"} <= {
        path.name for path in run.iterdir()
    }
    assert not (run / "work").exists()
    # `dvc repro`'s own folders were not touched.
    assert not (project / "build").exists()

    # Due again, but there is nothing the champion does not know; no training.
    assert main([]) == 0, capsys.readouterr()
    assert "nothing new to learn" in capsys.readouterr().out
    assert [item.outcome for item in journal.history()] == ["promoted", "unchanged"]
    audit = (project / "mlruns/audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["to_version"] for line in audit] == ["1"]
