from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from safetensors.torch import load_file

from tests.contract import tiny_plan
from visionloop.core.errors import DataError
from visionloop.data.samples import Dataset
from visionloop.task import task_names
from visionloop.training.fit import TrainingInterrupted, fit
from visionloop.training.module import learning_rate_factor
from visionloop.training.settings import TrainingSettings, effective_batch_size
from visionloop.training.trained import load_trained


@pytest.mark.parametrize("name", task_names())
def test_a_training_leaves_weights_history_and_curves(name: str, datasets: dict[str, Dataset], tmp_path: Path) -> None:
    plan, dataset = tiny_plan(name), datasets[name]
    result = fit(plan, dataset, tmp_path / "model", resume_dir=tmp_path / "resume")
    assert not (tmp_path / "resume").exists()
    assert (result.folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    with (result.folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    assert max(float(row[f"val_{plan.task.primary_metric}"]) for row in rows) == pytest.approx(result.metric, abs=1e-5)
    learner, model, recipe, summary = load_trained(plan.task, result.folder, dataset)
    assert (model, recipe) == (plan.model, plan.recipe)
    assert summary["key"] == plan.key(dataset)
    for key, value in load_file(result.folder / "weights.safetensors").items():
        assert torch.equal(learner.module.state_dict()[key], value)


def test_the_same_plan_gives_the_same_weights(folder_dataset: Dataset, tmp_path: Path) -> None:
    plan = tiny_plan("classification")
    weights = []
    for number in range(2):
        result = fit(plan, folder_dataset, tmp_path / f"m{number}", resume_dir=tmp_path / "resume")
        weights.append(load_file(result.folder / "weights.safetensors"))
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


_SCRIPT = """
import os
import signal
import sys
from pathlib import Path
import torch
from tests.contract import tiny_plan
from pipelines.stage import guarded, typed_command
from visionloop.data.samples import Dataset
from visionloop.training.callbacks import History
from visionloop.training.fit import fit
torch.set_num_threads(1)
root = Path(sys.argv[1])
# In the middle, whatever the machine's speed.
row_written = History.on_train_epoch_end
def interrupt(self, trainer, module):
    row_written(self, trainer, module)
    if trainer.current_epoch == 5:
        os.kill(os.getpid(), signal.SIGTERM)
History.on_train_epoch_end = interrupt
def work():
    fit(tiny_plan("classification", max_epochs=int(sys.argv[2]), validate_every=2), Dataset.open(Path(sys.argv[3])),
        root / "model", resume_dir=root / "resume", command=typed_command())
sys.exit(guarded(work))
"""


def test_an_interruption_is_clean_and_the_same_command_continues_exactly(
    folder_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An interrupted training ends with the very weights of one that was not.

    It goes on after the last whole epoch, also after one that was not validated. SIGTERM is Ctrl-C to it.
    """
    command = [sys.executable, "-c", _SCRIPT, str(tmp_path / "a"), "8", str(folder_dataset.root)]
    process = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=120)
    stderr = process.stderr
    assert process.returncode == 130
    assert "error: interrupted in epoch 6" in stderr
    assert f"to do:    run `{Path(sys.executable).name} -c " in stderr
    assert "again: it continues after epoch 5" in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "a/model").exists()
    plan = tiny_plan("classification", max_epochs=8, validate_every=2)
    fit(plan, folder_dataset, tmp_path / "a/model", resume_dir=tmp_path / "a/resume")
    assert capsys.readouterr().err.startswith("continuing after epoch 5\nepoch 6/8")
    whole = fit(plan, folder_dataset, tmp_path / "b", resume_dir=tmp_path / "rb")
    resumed = load_file(tmp_path / "a/model/weights.safetensors")
    for key, value in load_file(whole.folder / "weights.safetensors").items():
        assert torch.equal(resumed[key], value)


class _Stop(pl.Callback):
    """Ends a training as Ctrl-C does, when an epoch begins."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == self._epoch:
            raise KeyboardInterrupt


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets trainings end at the start of an epoch, counted from 0."""
    trainer = pl.Trainer

    def stop(epoch: int) -> None:
        def stopping(*args: Any, **kwargs: Any) -> pl.Trainer:
            return trainer(*args, **kwargs | {"callbacks": [*kwargs["callbacks"], _Stop(epoch)]})

        monkeypatch.setattr(pl, "Trainer", stopping)

    return stop


def test_another_training_leaves_the_unfinished_one_until_it_has_a_checkpoint(
    folder_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], stop_at: Callable[[int], None]
) -> None:
    def train(**settings: Any) -> str:
        with pytest.raises(TrainingInterrupted) as raised:
            fit(tiny_plan("classification", **settings), folder_dataset, tmp_path / "m", resume_dir=tmp_path / "resume")
        return raised.value.action + "\n" + capsys.readouterr().err

    stop_at(1)
    assert "continues after epoch 1" in train(max_epochs=3)
    # Another one is interrupted before its first checkpoint: nothing is lost, and it is said why it started afresh.
    stop_at(0)
    said = train(max_epochs=4)
    assert "starts from the beginning" in said
    assert "not continued is a training interrupted after epoch 1: training.max_epochs was 3, is 4." in said
    stop_at(2)
    assert "continuing after epoch 1" in train(max_epochs=3)
    # Now the other one has a checkpoint, and the first training's is gone.
    assert "continues after epoch 2" in train(max_epochs=4)
    stop_at(0)
    said = train(max_epochs=3)
    assert "interrupted after epoch 2: training.max_epochs was 4, is 3." in said


def test_a_small_training_split_gets_smaller_batches_and_few_steps_are_told(
    folder_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    num_images = folder_dataset.info.split_counts["train"]
    assert 16 < num_images < 64
    plan = tiny_plan("classification", batch_size=64)
    steps = 2 * (num_images // 8)
    result = fit(plan, folder_dataset, tmp_path / "m", resume_dir=tmp_path / "r")
    summary = json.loads((result.folder / "training.json").read_text())
    assert (summary["batch_size"], summary["steps"]) == (8, steps)
    said = capsys.readouterr().err
    assert said.startswith(
        f"{num_images} training images: batches of 8 (training.batch_size=64), {steps // 2} steps an epoch, "
        f"{steps} in all\nwarning: {steps} optimizer steps in all are few to learn anything by: "
    )
    assert "training.max_epochs=" in said
    assert "model.weights" in said


@pytest.mark.parametrize(
    ("batch_size", "num_images", "expected"),
    [(64, 1257, 64), (64, 1024, 64), (64, 600, 60), (64, 87, 8), (8, 205, 8), (4, 87, 4), (64, 5, 5)],
)
def test_batches_shrink_only_where_an_epoch_would_have_too_few(batch_size: int, num_images: int, expected: int) -> None:
    assert effective_batch_size(TrainingSettings(batch_size=batch_size), num_images) == expected


def test_epochs_count_from_one_and_say_how_long_it_will_take(
    folder_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a terminal, with the bar and a logger whose number nobody asked for."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    logger = CSVLogger(tmp_path / "log")
    plan = tiny_plan("classification", validate_every=2)
    fit(plan, folder_dataset, tmp_path / "m", resume_dir=tmp_path / "r", loggers=[logger])
    out, err = capsys.readouterr()
    assert re.search(r"epoch 1/2  loss [\d.]+  [\d.]+ s  about \d+ s left", err)
    assert re.search(r"epoch 2/2  loss [\d.]+  val/accuracy [\d.]+  [\d.]+ s$", err, re.MULTILINE)
    assert "Epoch 2/2" in out + err
    assert "Epoch 0" not in out + err
    assert "v_num" not in out + err


def test_classes_of_checkpoint_and_dataset_differ(datasets: dict[str, Dataset], tmp_path: Path) -> None:
    plan, dataset = tiny_plan("classification", max_epochs=1), datasets["classification"]
    result = fit(plan, dataset, tmp_path / "model", resume_dir=tmp_path / "resume")
    summary = result.folder / "training.json"
    summary.write_text(summary.read_text().replace('"red"', '"crimson"').replace(dataset.info.classes_hash, "0" * 64))
    with pytest.raises(DataError, match=r"only in the checkpoint \['crimson'\], only in the dataset \['red'\]"):
        load_trained(plan.task, result.folder, dataset)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_the_learning_rate_rises_then_falls(schedule: str) -> None:
    settings = TrainingSettings(schedule=schedule, warmup_fraction=0.25)  # type: ignore[arg-type]
    factors = [learning_rate_factor(settings, step, 100) for step in range(100)]
    assert factors[24] == pytest.approx(1.0)
    assert factors[:25] == sorted(factors[:25])
    assert factors[25:] == sorted(factors[25:], reverse=True)
    assert factors[-1] == pytest.approx(1.0 if schedule == "constant" else 0.0, abs=1e-3)
