"""`visionloop drift`, on a project whose service has answered real scans; each test sends its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.monitoring.drift_data import blur
from tests.monitoring.drift_project import MODEL, DriftProject, Scans, make_bundle
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Lineup
from visionloop.cli import main
from visionloop.core.images import ImageArray
from visionloop.monitoring.alerts.settings import DEFAULT_RULES, RuleSettings
from visionloop.monitoring.alerts.sources import DriftReport
from visionloop.monitoring.drift.summary import DriftSummary


@pytest.fixture(scope="module")
def scans() -> Scans:
    return Scans.make()


@pytest.fixture
def project(tmp_path: Path, scans: Scans, monkeypatch: pytest.MonkeyPatch) -> DriftProject:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISIONLOOP_PARAMS", raising=False)
    monkeypatch.delenv("VISIONLOOP_STATE", raising=False)
    return DriftProject(tmp_path, scans)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["drift", *words])


def found(*words: str) -> tuple[dict[str, Any], int]:
    done = run("--json", *words)
    (summary,) = json.loads(done.stdout)
    return summary, done.exit_code


def blurred(images: list[ImageArray]) -> list[ImageArray]:
    return [blur(image, np.random.default_rng(0)) for image in images]


def told(project: DriftProject) -> dict[str, Any]:
    return dict(json.loads((project.root / "mlruns/monitoring/drift.json").read_text()))


def test_ordinary_traffic_is_no_drift(project: DriftProject) -> None:
    project.send(project.scans.traffic[:430])
    done = run()
    assert done.exit_code == 0, done.output
    assert f"classification  {MODEL} 1  no drift  0 of 2 windows drifted" in done.output
    assert "30 of 200 distinct images in the current window" in done.output
    assert "without labels" in done.output
    drift, estimate = told(project)["observations"]
    assert (drift["name"], drift["label"], drift["severity"]) == ("drift", "classification", None)
    assert estimate["name"] == "estimated_accuracy"
    assert 0.75 < estimate["value"] < 0.95


def test_blurred_traffic_is_an_alarm_that_alerts_and_files_tell_of(project: DriftProject) -> None:
    project.send(project.scans.traffic[:200])
    project.send(blurred(project.scans.traffic[200:620]))
    summary, status = found()
    assert status == 3
    assert (summary["alarm"], summary["num_drifted"], summary["num_looked_at"]) == (True, 2, 3)
    assert summary["windows"][0]["result"]["status"] == "ok"
    assert "sharpness" in summary["sentence"]
    latest = summary["windows"][2]["result"]
    # Embeddings drift, if not badly: there is no estimate all the same.
    assert any(test["drifted"] for test in latest["tests"] if test["subject"] == "embedding")
    assert latest["accuracy"]["status"] == "not_valid"
    assert [finding["name"] for finding in told(project)["observations"]] == ["drift"]
    rule = RuleSettings(**DEFAULT_RULES["drift"])
    source = DriftReport(project.root / "mlruns/monitoring/drift.json")
    (seen,) = source.observe(rule, project.now + timedelta(hours=1))
    assert (seen.value, seen.severity) == (1.0, summary["severity"])
    assert f"{MODEL} 1: 2 of 3 windows drifted" in seen.text
    kept = DriftSummary.model_validate_json((project.root / "mlruns/monitoring/drift/classification.json").read_text())
    assert kept.sentence() == summary["sentence"]
    # How many windows of how many is a setting.
    project.settle(alarm_windows=1, alarm_drifted=1)
    assert run().exit_code == 3
    project.settle(alarm_windows=3, alarm_drifted=3)
    assert run().exit_code == 0


@pytest.mark.parametrize("number", [0, 1, 199])
def test_too_few_images_prove_nothing(project: DriftProject, number: int) -> None:
    project.send(project.scans.traffic[:number])
    summary, status = found()
    assert status == 0
    assert (summary["status"], summary["alarm"], summary["severity"]) == ("insufficient_data", None, None)
    assert summary["sentence"] == f"not enough images: {number} of 200 distinct ones"
    assert told(project)["observations"] == []
    assert f"{number} of 200 distinct images" in run().output


def test_one_client_fills_five_percent_of_a_window(project: DriftProject) -> None:
    """Nineteen callers send scans as ever; the twentieth floods the service with blurred ones."""
    scans = project.scans
    project.send(blurred(scans.traffic[:300]), key="flood")
    for number in range(20):
        project.send(scans.traffic[300 + number * 15 : 315 + number * 15], key=f"key {number}")
    (window, *_), status = found()[0]["windows"], found()[1]
    assert status == 0
    assert window["result"]["status"] == "ok"
    assert (window["result"]["num_images"], window["result"]["num_capped"] >= 290) == (200, True)
    assert "left out as their client has its share" in run().output


def test_rows_that_cannot_be_compared_are_counted_and_said(project: DriftProject) -> None:
    project.send(project.scans.traffic[:210])
    project.send(project.scans.traffic[210:230], features=None)
    project.send(project.scans.traffic[230:233], features={"written": "by another version"})
    project.send(project.scans.traffic[233:235], embedding=np.zeros(7, np.float16).tobytes())
    project.send(project.scans.traffic[235:238], digest="0" * 64)
    nothing = np.full(48, np.nan, np.float16).tobytes()
    project.send(project.scans.traffic[238:240], embedding=nothing)
    summary, status = found()
    assert status == 0
    assert (summary["num_stored"], summary["num_measured"]) == (237, 212)
    assert summary["remarks"][0].startswith("20 of 237 predictions were not measured")
    assert summary["remarks"][1].startswith("5 predictions were measured by another version")
    assert summary["windows"][-1]["result"]["num_invalid_embeddings"] == 2


def test_without_embeddings_all_else_is_compared_and_nothing_is_estimated(project: DriftProject) -> None:
    project.send(blurred(project.scans.traffic[:400]), embedding=None)
    summary, status = found()
    assert status == 3
    latest = summary["windows"][-1]["result"]
    assert latest["accuracy"]["status"] == "unavailable"
    assert "embeddings were not compared" in latest["accuracy"]["reason"]
    assert {test["outcome"] for test in latest["tests"] if test["subject"] == "embedding"} == {"no_data"}
    assert "sharpness" in summary["sentence"]


def test_a_clock_that_went_back_leaves_out_what_is_dated_later_than_now(project: DriftProject) -> None:
    project.send(project.scans.traffic[:250])
    project.send(blurred(project.scans.traffic[250:500]), created_at=project.now + timedelta(days=3))
    summary, status = found()
    assert status == 0
    assert summary["num_measured"] == 250
    assert summary["remarks"] == [
        "250 predictions are dated later than now and are left out: a clock was, or is, wrong"
    ]


def test_a_bundle_without_its_profile_or_with_anothers_is_refused(project: DriftProject, scans: Scans) -> None:
    project.send(scans.traffic[:5])
    root = project.root / "mlruns/deployed/1/bundle"
    (root / "reference.npz").write_bytes(b"PK broken")
    done = run()
    assert (done.exit_code, "file reference.npz is missing or was altered" in done.output) == (1, True)
    assert told(project)["observations"] == []
    # Another version's bundle in the place of the one that answered.
    shutil.rmtree(root)
    make_bundle(root, scans, graph=b"another graph")
    done = run()
    assert done.exit_code == 1
    assert "the window holds answers of bundle" in done.output
    assert "check each version's answers against its own bundle" in done.output


def test_options_choose_and_do_not_speak_for_the_service(project: DriftProject, tmp_path: Path) -> None:
    project.send(project.scans.traffic[:230])
    summary, status = found("--since", "1h", "--task", "classification", "--out", str(tmp_path / "out"))
    assert (status, summary["num_measured"]) == (0, 0)
    assert (tmp_path / "out/classification.json").is_file()
    assert not (project.root / "mlruns/monitoring").exists()
    begun = (project.now - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    assert found("--since", begun, "--version", "1")[0]["num_measured"] == 230
    assert run("--since", "soon").exit_code == 2
    done = run("--task", "clasification")
    assert (done.exit_code, "did you mean classification?" in done.output) == (1, True)
    deployment.change(project.root / "mlruns/deployment.json", "classification", lambda _: None)
    done = run()
    assert (done.exit_code, "nothing is deployed" in done.output) == (1, True)


def test_settings_that_cannot_be(project: DriftProject) -> None:
    project.settle(alarm_drifted=4, alpha=0.7)
    done = run()
    assert done.exit_code == 1
    assert "monitoring.drift.alpha: must be less than 0.5, found 0.7" in done.output
    project.settle(alarm_drifted=4)
    assert "alarm_drifted must be at most alarm_windows (3)" in run().output


def test_an_mlflow_that_is_away_is_said_and_no_failure(project: DriftProject) -> None:
    import yaml

    params = project.root / "params.yaml"
    values = yaml.safe_load(params.read_text()) | {"registry": {"tracking_uri": "http://127.0.0.1:9", "timeout_s": 1}}
    params.write_text(yaml.safe_dump(values))
    done = run("--mlflow")
    assert done.exit_code == 0
    assert "not logged in MLflow: no MLflow server answers" in done.output


def test_a_canary_is_checked_when_it_is_named(project: DriftProject, scans: Scans) -> None:
    folder = project.root / "mlruns/deployed/2/bundle"
    bundle = make_bundle(folder, scans, graph=b"canary")
    canary = deployment.Canary(model=MODEL, version="2", digest=bundle.digest, bundle="deployed/2/bundle", share=0.1)
    lineup = Lineup(champion=project.variant, canary=canary)
    deployment.change(project.root / "mlruns/deployment.json", "classification", lambda _: lineup)
    project.send(scans.traffic[:30])
    project.send(scans.traffic[30:40], digest=bundle.digest, version="2", variant="canary")
    assert found("--version", "2")[0]["num_measured"] == 10
    assert found()[0]["num_measured"] == 30


IN_THE_SERVICES_IMAGE = """
import sys
ABSENT = set(sys.argv.pop(1).split(","))
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from visionloop.cli import main
sys.argv[0] = "visionloop"
main()
"""
NOT_IN_IT = {
    "albumentations", "dvc", "faster_coco_eval", "hydra", "matplotlib", "mlflow", "onnx", "onnxscript", "pandas",
    "pyarrow", "pytorch_lightning", "safetensors", "scipy", "sklearn", "torch", "torchvision",
}  # fmt: skip


def without(project: DriftProject, absent: set[str]) -> subprocess.CompletedProcess[str]:
    """`visionloop drift` in an interpreter that has none of these packages."""
    return subprocess.run(
        [sys.executable, "-c", IN_THE_SERVICES_IMAGE, ",".join(sorted(absent)), "drift"],
        cwd=project.root, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_from_the_services_image_it_says_what_is_missing_and_needs_no_more(project: DriftProject) -> None:
    project.settle(report=True)
    project.send(blurred(project.scans.traffic[:230]))
    refused = without(project, NOT_IN_IT)
    assert refused.returncode == 1
    for part in ("drift cannot be checked: scipy is not installed", "drift check", "scipy alone"):
        assert part in refused.stderr, refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (project.root / "mlruns/monitoring/drift.json").exists()

    done = without(project, NOT_IN_IT - {"scipy"})
    assert done.returncode in (0, 3), done.stderr
    assert "1 of 1 windows drifted" in done.stdout
    assert "no report: matplotlib is not installed" in done.stderr
    assert told(project)["created_at"]
