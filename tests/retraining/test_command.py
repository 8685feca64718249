"""The command on a project whose steps are fakes: what it says, how it ends, what the alerts hear."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipelines import retrain
from pipelines.loop import Loop
from tests.data.test_overlay import image, picture
from tests.retraining.fake import Pipeline
from visionloop.cli import main
from visionloop.config import load_config
from visionloop.core.errors import Interrupted, VisionloopError
from visionloop.data.overlay import write_overlay
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import PredictionStore
from visionloop.retraining.canary import Trial
from visionloop.retraining.job import exclusive
from visionloop.retraining.state import Journal

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The project's own settings; composing them takes most of a second."""
    return load_config(root=ROOT)


@pytest.fixture
def here(tmp_path: Path, config: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(retrain, "load_config", lambda: replace(config, root=tmp_path))
    monkeypatch.setattr(Loop, "steps", lambda self: Pipeline(tmp_path).steps())
    return tmp_path


def at(monkeypatch: pytest.MonkeyPatch, root: Path, task: str, error: BaseException) -> None:
    """Let one task's training raise."""

    def stop(step: str, when: str) -> None:
        if step == "train":
            raise error

    def steps(self: Loop) -> Any:
        return Pipeline(root, stop).steps() if self.task == task else Pipeline(root).steps()

    monkeypatch.setattr(Loop, "steps", steps)


def report(root: Path) -> dict[str, Any]:
    found = json.loads((root / "mlruns/monitoring/retraining.json").read_text())
    assert isinstance(found, dict)
    return found


def journal(root: Path, task: str = "classification") -> Journal:
    return Journal(root / "mlruns/retraining" / task)


def test_without_any_feedback_it_runs_once_and_then_waits(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert retrain.main([]) == 0
    assert "classification: retraining: schedule: there was no retraining yet" in capsys.readouterr().out
    assert report(here)["status"] == "promoted"
    assert retrain.main([]) == 0
    assert "no retraining: nothing asks for it" in capsys.readouterr().out
    assert retrain.main(["--task", "detection", "--force"]) == 0
    assert [len(journal(here, task).history()) for task in ("classification", "detection")] == [1, 2]
    assert retrain.main(["--status"]) == 0
    assert "why:     asked for by --force" in capsys.readouterr().out


def test_one_task_that_fails_does_not_stop_the_other(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at(monkeypatch, here, "classification", VisionloopError("no memory", where="w", expected="e", action="a"))
    assert retrain.main([]) == 1
    found = report(here)
    assert (found["task"], found["step"], found["error"]) == ("classification", "train", "no memory")
    assert len(journal(here, "detection").history()) == 1
    monkeypatch.setattr(Loop, "steps", lambda self: Pipeline(here).steps())
    assert retrain.main([]) == 0
    assert "classification: continuing" in capsys.readouterr().out
    assert report(here)["status"] == "promoted"


def test_two_at_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with exclusive(here / "mlruns/retraining"):
        assert retrain.main([]) == 75
    assert "not now: another retraining is at work (process" in capsys.readouterr().err
    assert journal(here).read() is None


def test_ctrl_c_ends_everything_and_is_continued(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at(monkeypatch, here, "classification", Interrupted("interrupted", where="w", expected="e", action="a"))
    assert retrain.main([]) == 130
    state = journal(here).read()
    assert state is not None
    assert (state.status, journal(here, "detection").read()) == ("running", None)
    monkeypatch.setattr(Loop, "steps", lambda self: Pipeline(here).steps())
    assert retrain.main(["--task", "classification", "--restart", "--force"]) == 0
    assert [item.outcome for item in journal(here).history()] == ["abandoned", "promoted"]


def test_a_store_that_is_gone_is_no_empty_store(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_overlay(here / "data/classification/.feedback", [image(picture(1))], lambda _: picture(1))
    assert retrain.main(["--task", "classification"]) == 1
    assert "the prediction store is gone" in capsys.readouterr().err
    assert (report(here)["step"], report(here)["status"]) == ("start", "failed")
    assert not (here / "mlruns/predictions.db").exists()


def test_a_database_that_is_locked(
    here: Path, config: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    PredictionStore.open(StoreSettings(), here).close()
    monkeypatch.setattr("visionloop.monitoring.store.engine._LOCK_WAIT_S", 0.05)
    quick = config.general.serving.store.model_copy(update={"timeout_s": 0.1})
    serving = config.general.serving.model_copy(update={"store": quick})
    general = config.general.model_copy(update={"serving": serving})
    monkeypatch.setattr(retrain, "load_config", lambda: replace(config, root=here, general=general))
    database = sqlite3.connect(here / "mlruns/predictions.db")
    database.execute("PRAGMA locking_mode=EXCLUSIVE")
    database.execute("BEGIN EXCLUSIVE")
    assert retrain.main(["--task", "classification"]) == 1
    assert "database is locked" in capsys.readouterr().err
    assert report(here)["status"] == "failed"
    database.close()
    assert retrain.main(["--task", "classification"]) == 0
    assert report(here)["status"] == "promoted"


def test_a_dry_run_says_why_and_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert retrain.main(["--dry-run"]) == 0
    assert "classification: would retrain: schedule: there was no retraining yet" in capsys.readouterr().out
    assert list(here.iterdir()) == []


def test_a_wrong_task_and_a_wrong_folder(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert retrain.main(["--task", "clasification"]) == 1
    assert "did you mean classification?" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for words in (["retrain"], ["schedule", "print", "cron"]):
        done = CliRunner().invoke(main, words)
        assert (done.exit_code, "there are no pipelines here" in done.output) == (1, True)


def test_the_schedule_of_the_settings_is_printed(here: Path) -> None:
    shutil.copy(ROOT / "params.yaml", here)
    (here / "pipelines").mkdir()
    (here / "pipelines/retrain.py").touch()
    done = CliRunner().invoke(main, ["schedule", "print", "systemd"])
    assert "OnCalendar=*-*-* 03:00:00 UTC" in done.output
    assert f"WorkingDirectory={here}" in done.output


def test_the_canary_is_looked_at_first(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    promoted: list[str] = []

    def settle(self: Loop, now: object, who: str, *, act: bool = True) -> Trial | None:
        if self.task == "detection":
            raise VisionloopError("no registry", where="w", expected="e", action="a")
        if promoted:
            return None
        if act:
            promoted.append(who)
        return Trial(version="4", outcome="promoted" if act else "waiting", text="9 answers")

    monkeypatch.setattr(Loop, "settle_canary", settle)
    assert retrain.main(["--task", "classification", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "canary    version 4 stays on trial: 9 answers" in told
    assert "would not retrain: canary version 4 waiting: 9 answers" in told
    # What is wrong with a canary is told, and keeps nothing from its retraining.
    assert retrain.main([]) == 1
    said = capsys.readouterr()
    assert said.out.index("canary version 4 promoted: 9 answers") < said.out.index("classification: retraining")
    assert "detection: canary: error: no registry" in said.err
    assert (report(here)["step"], len(journal(here, "detection").history())) == ("canary", 1)
