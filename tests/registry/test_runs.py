from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from visionloop.data.samples import DatasetInfo
from visionloop.registry.connection import Connection, connect
from visionloop.registry.runs import close_abandoned_runs, find_training_run, flat, git_commit, training_logger
from visionloop.registry.settings import RegistrySettings

PLAN = {"task": "brightness", "model": {"name": "cnn"}, "training": {"max_epochs": 3, "device": None}}
DATASET = DatasetInfo(
    name="greys",
    classes=("dark", "light"),
    split_counts={},
    class_counts={},
    licence="",
    provenance={},
    content_hash="d" * 64,
)


def logger_of(root: Path, **env: str) -> Any:
    return training_logger(RegistrySettings(), root, plan=PLAN, key="k1", dataset=DATASET, env=env)


def runs(connection: Connection) -> list[Any]:
    return list(connection.client.search_runs([connection.experiment_id]))


def test_nested_settings_become_flat() -> None:
    assert flat({"a": {"b": {"c": 1}, "d": None}, "e": [1, 2]}) == {"a/b/c": "1", "a/d": "None", "e": "[1, 2]"}
    assert len(flat({"long": "x" * 10_000})["long"]) == 6000


def test_the_commit_is_read_or_absent(tmp_path: Path) -> None:
    assert git_commit(tmp_path / "nowhere") is None
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    subprocess.run([*run, "init", "-q"], cwd=tmp_path, check=True)
    assert git_commit(tmp_path) is None
    subprocess.run([*run, "commit", "-q", "--allow-empty", "-m", "x"], cwd=tmp_path, check=True)
    assert len(git_commit(tmp_path) or "") == 40


def test_runs_of_dead_processes_are_closed(root: Path) -> None:
    connection = connect(RegistrySettings(), root)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    for owner in (f"{host}:{dead.pid}", f"{host}:{os.getpid()}", f"elsewhere:{dead.pid}"):
        connection.client.create_run(connection.experiment_id, tags={"visionloop.process": owner})
    close_abandoned_runs(connection)
    status = {run.data.tags["visionloop.process"]: run.info.status for run in runs(connection)}
    assert status == {
        f"{host}:{dead.pid}": "KILLED",
        f"{host}:{os.getpid()}": "RUNNING",
        f"elsewhere:{dead.pid}": "RUNNING",
    }


def test_a_training_is_logged_live(root: Path) -> None:
    with logger_of(root, DVC_EXP_NAME="brave-fox") as logger:
        connection = connect(RegistrySettings(), root)
        assert runs(connection) == []  # the run starts with the training
        logger.log_metrics({"val/accuracy": 0.5}, step=0)
        assert runs(connection)[0].info.status == "RUNNING"
        logger.log_metrics({"val/accuracy": 0.75}, step=1)
        logger.finalize("success")
    (run,) = runs(connection)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "brave-fox"
    assert run.data.params == {
        "task": "brightness",
        "model/name": "cnn",
        "training/max_epochs": "3",
        "training/device": "None",
    }
    wanted = {"task": "brightness", "dataset": "greys", "dataset_hash": "d" * 64, "train_key": "k1"}
    assert {name: run.data.tags[f"visionloop.{name}"] for name in wanted} == wanted
    assert run.data.tags["DVC_EXP_NAME"] == "brave-fox"
    history = connection.client.get_metric_history(run.info.run_id, "val/accuracy")
    assert [(point.step, point.value) for point in history] == [(0, 0.5), (1, 0.75)]
    assert find_training_run(connection, "k1") == run.info.run_id


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("nan"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(1), "KILLED")]
)
def test_a_training_that_ends_early_says_how(root: Path, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), logger_of(root) as logger:
        logger.log_metrics({"loss": 1.0}, step=0)
        raise error
    connection = connect(RegistrySettings(), root)
    assert [run.info.status for run in runs(connection)] == [status]
    assert find_training_run(connection, "k1") is None


def test_an_error_before_the_training_leaves_no_run(root: Path) -> None:
    with pytest.raises(ValueError, match="no data"), logger_of(root):
        raise ValueError("no data")
    assert runs(connect(RegistrySettings(), root)) == []
