"""The real pipeline on tiny data: `dvc repro` into a real MLflow database, by the commands a user types."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.digits import dvc_hash
from pipelines.stage import run
from tests.data.test_overlay import image, picture
from tests.e2e.workspace import SAID, call
from visionloop.config import Config
from visionloop.data.overlay import write_overlay
from visionloop.retraining.steps import pin_by_dvc

# Whoever comes first waits for the first `dvc repro`.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_loop_from_images_to_a_verdict(project: Path) -> None:
    assert "promote: the first model" in (project / SAID).read_text()
    verdicts = {
        name: json.loads((project / f"mlruns/registered/{name}.json").read_text())
        for name in ("classification", "detection")
    }
    assert verdicts["classification"]["decision"] == "promote"
    assert verdicts["classification"]["champion"] == "1"
    assert verdicts["detection"]["decision"] == "refuse"
    assert verdicts["detection"]["champion"] is None
    for name in ("classification", "detection"):
        for report in ("explore/report.html", "evaluation/report.html"):
            assert "<h1" in (project / "build" / name / report).read_text()
    listed = json.loads(call(project, "visionloop", "models", "--json"))
    assert {row["model"]: row["aliases"] for row in listed} == {
        "tiny-classification": ["champion"],
        "tiny-detection": ["challenger"],
    }
    metrics = json.loads(call(project, "dvc", "metrics", "show", "--json"))
    assert len(metrics[""]["data"]) == 2
    assert "accuracy" in call(project, sys.executable, "-m", "pipelines.summary")

    # Nothing to do the second time.
    assert "Running stage" not in call(project, "dvc", "repro")

    # An edit of one task's gate runs that task's register stage, and nothing else.
    tiny = project / "conf/experiment/tiny.yaml"
    tiny.write_text(tiny.read_text().replace("map: 0.99", "map: 0.0"))
    output = call(project, "dvc", "repro")
    ran = [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]
    assert ran == ["config", "register@detection"]
    assert json.loads((project / "mlruns/registered/detection.json").read_text())["champion"] == "1"

    # Predict with the champion from the registry, by the task's name.
    image = next((project / "data/classification/red").glob("*.png"))
    output = call(project, "visionloop", "predict", "-m", "classification", str(image), "--json", "--out", "drawn")
    assert json.loads(output.splitlines()[0])["class"] in ("blue", "green", "red")
    assert list((project / "drawn").glob("*.png"))
    bad = project / "bad.jpg"
    bad.write_text("no image")
    output = call(project, "visionloop", "predict", "-m", "classification", str(bad), str(image), expect=1)
    assert "error: 1 of 2 files are not images" in output
    output = call(project, "visionloop", "rollback", "tiny-classification", expect=1)
    assert "error:" in output


def test_dvc_tracks_labels_from_feedback(project: Path) -> None:
    overlay, pin = project / "data/classification/.feedback", project / "data.dvc"
    before = pin.read_text()
    write_overlay(overlay, [image(picture(1))], lambda _: picture(1))
    try:
        assert pin_by_dvc(project, overlay) == "data.dvc is up to date; commit it"
        assert yaml.safe_load(pin.read_text())["outs"][0]["md5"] == dvc_hash(project / "data")
        assert pin.read_text() != before
        assert pin_by_dvc(project, project / "elsewhere") == "outside data/, not tracked by data.dvc"
    finally:
        shutil.rmtree(overlay)
        pin.write_text(before)


def test_bad_input_ends_with_four_lines_and_leaves_nothing(project: Path) -> None:
    before = sorted(path.name for path in (project / "build").glob("*"))
    output = call(project, sys.executable, "-m", "pipelines.train", "training.max_epoch=3", expect=1)
    assert "classification.training.max_epoch: unknown key; did you mean max_epochs" in output
    output = call(project, sys.executable, "-m", "pipelines.prepare", "source.path=nowhere", "build=other", expect=1)
    assert [line.split(":")[0].strip() for line in output.splitlines()] == ["error", "where", "expected", "to do"]
    assert not list((project / "other").glob("classification/*"))
    # What no stage depends on would go stale: `dvc repro` takes no such source.
    tiny = project / "conf/experiment/tiny.yaml"
    text = tiny.read_text()
    tiny.write_text(text.replace("kind: voc\n", "kind: voc\n      path: ../elsewhere\n", 1))
    output = call(project, sys.executable, "-m", "pipelines.config", expect=1)
    tiny.write_text(text)
    assert "error: DVC would not notice a change of ../elsewhere" in output
    assert "setting detection.data.source.path" in output
    assert sorted(path.name for path in (project / "build").glob("*")) == before


def test_an_unreachable_mlflow_server(project: Path) -> None:
    call(project, sys.executable, "-m", "pipelines.prepare", "build=unreachable")
    output = call(
        project,
        sys.executable, "-m", "pipelines.train", "build=unreachable", "registry.tracking_uri=http://127.0.0.1:9",
        expect=1,
    )  # fmt: skip
    assert output.startswith("error: ")
    assert "127.0.0.1:9" in output
    assert "epoch" not in output


def test_a_refused_experiment_leaves_nothing_to_the_next_repro(project: Path) -> None:
    """`dvc exp run -S` writes params.yaml before it finds the workspace busy."""
    params, before = project / "params.yaml", (project / "params.yaml").read_text()
    call(project, "dvc", "repro", "config")
    owner = {"pid": os.getpid(), "cmd": "dvc repro"}
    (project / ".dvc/tmp/rwlock").write_text(json.dumps({"write": {str(project / "build/config.ok"): owner}}))
    change = "classification.training.learning_rate=abc"
    assert "is busy" in call(project, "dvc", "exp", "run", "-S", change, "config", expect=255)
    assert "learning_rate: abc" in params.read_text()
    (project / ".dvc/tmp/rwlock").unlink()
    output = call(project, "dvc", "repro", "config")
    assert "learning_rate: abc" in output
    assert params.read_text() == before


def test_no_stage_works_with_another_runs_settings(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an experiment leaves params.yaml that is interrupted behind the stage `config`."""
    monkeypatch.chdir(project)
    worked: list[str] = []

    def stage(config: Config) -> str:
        worked.append(config.general.task)
        return ""

    def status() -> int:
        return run(stage, name="train", argv=["--params", "params.yaml"])

    params, before = project / "params.yaml", (project / "params.yaml").read_text()
    assert status() == 0
    params.write_text(before.replace("batch_size: 8", "batch_size: 16"))
    try:
        assert status() == 1
        error = capsys.readouterr().err
        assert "batch_size: 16" in error
        assert "python -m pipelines.config" in error
        monkeypatch.setenv("DVC_EXP_NAME", "wild-oats")
        assert status() == 0
    finally:
        params.write_text(before)
    assert len(worked) == 2
