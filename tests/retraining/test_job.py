from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.retraining.fake import NAMES, Killed, Pipeline, go, make
from visionloop.core.errors import BusyError, DataError, VisionloopError
from visionloop.retraining.job import Job, Outdated, Step, StepResult, exclusive
from visionloop.retraining.report import ending, status_text, tell_alerts
from visionloop.retraining.state import Journal, RunState


@pytest.fixture(autouse=True)
def no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are killed here, not machines; forcing each write to the disk would take most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def test_a_run_leaves_its_steps_its_history_and_no_work(tmp_path: Path) -> None:
    job = make(tmp_path, Pipeline(tmp_path))
    state = go(job)
    assert (state.status, state.outcome) == ("done", "promoted")
    assert [(step.status, step.attempts, step.result) for step in state.steps] == [
        ("done", 1, {"by": name}) for name in NAMES
    ]
    journal = Journal(tmp_path / "state")
    assert journal.read() == state
    assert [(item.run, item.outcome) for item in journal.history()] == [(state.run, "promoted")]
    assert not (journal.run_folder(state.run) / "work").exists()
    text = status_text(journal, "classification")
    assert "labels: 3 new" in text
    assert "[x] train" in text


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("victim", NAMES)
def test_killed_at_any_step_it_goes_on_there(tmp_path: Path, victim: str, moment: str) -> None:
    def kill(step: str, when: str) -> None:
        if (step, when) == (victim, moment):
            raise Killed

    first, second = Pipeline(tmp_path, kill), Pipeline(tmp_path)
    with pytest.raises(Killed):
        go(make(tmp_path, first))
    running = Journal(tmp_path / "state").read()
    assert running is not None
    assert (running.status, running.steps[NAMES.index(victim)].status) == ("running", "running")
    state = go(make(tmp_path, second))
    assert (state.run, state.status, state.outcome) == (running.run, "done", "promoted")
    assert second.calls == list(NAMES[NAMES.index(victim) :])
    assert (tmp_path / "audit").read_text().splitlines() == [state.run]
    assert len(Journal(tmp_path / "state").history()) == 1


@pytest.mark.parametrize("early", [False, True])
def test_killed_at_any_write_of_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: bool) -> None:
    """Before or after the file was replaced, which is all that others can see."""
    write = Journal.write

    def steps(pipeline: Pipeline) -> list[Step]:
        found = pipeline.steps()
        if early:
            found[1] = Step("train", lambda run: StepResult(line="nothing new", values={}, outcome="unchanged"))
        return found

    def run(folder: Path) -> RunState:
        folder.mkdir(exist_ok=True)
        return go(Job(Journal(folder / "state"), steps(Pipeline(folder)), show=lambda line: None))

    counted: list[str] = []

    def counting(self: Journal, state: RunState) -> None:
        counted.append(state.status)
        write(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", counting)
        expected = run(tmp_path / "whole")
    assert expected.outcome == ("unchanged" if early else "promoted")
    for victim in range(len(counted)):
        for after in (False, True):
            folder = tmp_path / f"{victim}-{after}"
            left = [victim]

            def killing(self: Journal, state: RunState, left: list[int] = left, after: bool = after) -> None:
                left[0] -= 1
                if left[0] < 0 and not after:
                    raise Killed
                write(self, state)
                if left[0] < 0:
                    raise Killed

            with monkeypatch.context() as patch:
                patch.setattr(Journal, "write", killing)
                with pytest.raises(Killed):
                    run(folder)
            job = Job(Journal(folder / "state"), steps(Pipeline(folder)), show=lambda line: None)
            state = job.unfinished()
            ended = job.work(state) if state is not None else Journal(folder / "state").read()
            if ended is None:
                assert (victim, after) == (0, False)
                continue
            assert (ended.status, ended.outcome) == ("done", expected.outcome)
            assert len(Journal(folder / "state").history()) == 1
            audit = folder / "audit"
            assert (audit.read_text().splitlines() if audit.exists() else []) == ([] if early else [ended.run])


def test_killed_between_state_and_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "end", die)
        with pytest.raises(Killed):
            go(make(tmp_path, Pipeline(tmp_path)))
    job = make(tmp_path, Pipeline(tmp_path))
    assert job.unfinished() is None
    assert job.unfinished() is None
    assert len(Journal(tmp_path / "state").history()) == 1


def test_a_history_line_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    go(make(tmp_path, Pipeline(tmp_path)))
    history = tmp_path / "state/history.jsonl"
    history.write_text(history.read_text() + '{"run": "2026')
    go(make(tmp_path, Pipeline(tmp_path)))
    assert [item.outcome for item in Journal(tmp_path / "state").history()] == ["promoted", "promoted"]


def test_a_failed_run_is_continued_and_given_up_in_the_end(tmp_path: Path) -> None:
    def fail(step: str, when: str) -> None:
        if step == "train":
            raise VisionloopError("no memory", where="here", expected="more", action="buy some")

    for call in (1, 2):
        state = go(make(tmp_path, Pipeline(tmp_path, fail), attempts=2))
        assert (state.status, state.calls, state.steps[1].attempts) == ("failed", call, call)
        assert state.steps[1].error == "no memory"
    journal = Journal(tmp_path / "state")
    assert "no memory" in (journal.run_folder(state.run) / "log.txt").read_text()
    after = go(make(tmp_path, Pipeline(tmp_path), attempts=2))
    assert after.run != state.run
    assert [item.outcome for item in journal.history()] == ["failed", "promoted"]


def test_a_bug_of_ours_is_recorded_too(tmp_path: Path) -> None:
    def fail(step: str, when: str) -> None:
        if step == "judge":
            raise ZeroDivisionError("division by zero")

    state = go(make(tmp_path, Pipeline(tmp_path, fail)))
    assert state.steps[2].error == "ZeroDivisionError: division by zero"
    log = Journal(tmp_path / "state").run_folder(state.run) / "log.txt"
    assert "Traceback" in log.read_text()


def test_an_early_outcome_skips_to_the_clean_up(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    steps = pipeline.steps()
    steps[1] = Step("train", lambda run: StepResult(line="nothing new", values={}, outcome="unchanged"))
    job = Job(Journal(tmp_path / "state"), steps, show=lambda line: None)
    state = go(job)
    assert (state.status, state.outcome, pipeline.calls) == ("done", "unchanged", ["collect", "clean"])
    assert not (tmp_path / "champion").exists()


def test_what_is_outdated_is_done_again(tmp_path: Path) -> None:
    champions = iter(["2", "2"])

    def judge_again(step: str, when: str) -> None:
        if step == "promote" and when == "before" and next(champions, None):
            raise Outdated("the champion changed", step="judge", where="m", expected="1", action="none")

    pipeline = Pipeline(tmp_path, judge_again)
    state = go(make(tmp_path, pipeline))
    assert state.outcome == "promoted"
    assert pipeline.calls == ["collect", "train", "judge", "promote", "judge", "promote", "judge", "promote", "clean"]


def test_what_is_always_outdated_fails(tmp_path: Path) -> None:
    def never(step: str, when: str) -> None:
        if step == "promote":
            raise Outdated("the champion changed", step="judge", where="m", expected="1", action="none")

    assert go(make(tmp_path, Pipeline(tmp_path, never))).status == "failed"


def test_old_runs_are_removed(tmp_path: Path) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    for day in range(4):
        go(make(tmp_path, Pipeline(tmp_path), keep_runs=2, now=lambda day=day: now + timedelta(days=day)))
    names = sorted(path.name[:8] for path in (tmp_path / "state/runs").iterdir())
    assert names == ["20260303", "20260304"]


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/state.json").write_text("{")
    with pytest.raises(DataError, match="state is damaged"):
        make(tmp_path, Pipeline(tmp_path)).unfinished()


def test_other_steps_than_the_run_began_with_start_anew(tmp_path: Path) -> None:
    def kill(step: str, when: str) -> None:
        if step == "train":
            raise Killed

    with pytest.raises(Killed):
        go(make(tmp_path, Pipeline(tmp_path, kill)))
    job = Job(Journal(tmp_path / "state"), Pipeline(tmp_path).steps()[1:], show=lambda line: None)
    assert job.unfinished() is None
    assert Journal(tmp_path / "state").history()[0].outcome == "abandoned"


def test_alerts_hear_of_a_failure_before_any_other_end(tmp_path: Path) -> None:
    def fail(step: str, when: str) -> None:
        if step == "train":
            raise VisionloopError("no\n  memory", where="here", expected="more", action="buy some")

    failed = go(make(tmp_path / "a", Pipeline(tmp_path, fail)))
    good = go(make(tmp_path / "b", Pipeline(tmp_path)))
    file = tmp_path / "retraining.json"
    when = datetime(2026, 3, 1, tzinfo=UTC)
    bad, fine = ending(failed, tmp_path / "x", when), ending(good, tmp_path / "y", when)
    tell_alerts(file, [bad, fine])
    report = json.loads(file.read_text())
    assert (report["status"], report["step"], report["error"]) == ("failed", "train", "no memory")
    tell_alerts(file, [])
    assert json.loads(file.read_text()) == report
    tell_alerts(file, [fine])
    assert json.loads(file.read_text())["status"] == "promoted"


_SCRIPT = """
import sys, time
from pathlib import Path
from tests.retraining.fake import Pipeline, go, make
from visionloop.core.errors import BusyError
from visionloop.retraining.job import BUSY_STATUS, exclusive
root = Path(sys.argv[1])
def wait(step, when):
    if step in sys.argv[2:] and when == "after":
        (root / "reached").touch()
        time.sleep(600)
try:
    with exclusive(root / "state"):
        go(make(root, Pipeline(root, wait)))
except BusyError:
    sys.exit(BUSY_STATUS)
"""


def call(root: Path, *stops: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _SCRIPT, str(root), *stops], cwd=Path(__file__).parents[2])


def test_a_real_kill_and_two_at_once(tmp_path: Path) -> None:
    with call(tmp_path, "promote") as victim:
        while not (tmp_path / "reached").exists():
            assert victim.poll() is None
            time.sleep(0.01)
        with pytest.raises(BusyError, match=f"process {victim.pid} on "), exclusive(tmp_path / "state"):
            pass
        assert call(tmp_path).wait(60) == 75
        os.kill(victim.pid, signal.SIGKILL)
    assert victim.returncode == -signal.SIGKILL
    # The system lets go of a dead process's lock.
    assert call(tmp_path).wait(60) == 0
    state = Journal(tmp_path / "state").read()
    assert state is not None
    assert (state.status, state.outcome) == ("done", "promoted")
    assert [step.attempts for step in state.steps] == [1, 1, 1, 2, 1]
    assert (tmp_path / "audit").read_text().splitlines() == [state.run]
