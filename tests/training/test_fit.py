from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.contract import tiny_plan
from visionloop.core.errors import DataError
from visionloop.data.samples import Dataset
from visionloop.task import task_names
from visionloop.training.fit import fit, load_trained
from visionloop.training.module import learning_rate_factor
from visionloop.training.settings import TrainingSettings


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
from visionloop.core.errors import VisionloopError
from visionloop.data.samples import Dataset
from visionloop.training.callbacks import History
from visionloop.training.fit import fit
torch.set_num_threads(1)
root = Path(sys.argv[1])
if sys.argv[4:]:
    # Ctrl-C in the middle, whatever the machine's speed.
    # A shell's background jobs ignore the signal, and pass that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    row_written = History.on_train_epoch_end
    def interrupt(self, trainer, module):
        row_written(self, trainer, module)
        if trainer.current_epoch == 4:
            os.kill(os.getpid(), signal.SIGINT)
    History.on_train_epoch_end = interrupt
try:
    fit(tiny_plan("classification", max_epochs=int(sys.argv[2])), Dataset.open(Path(sys.argv[3])),
        root / "model", resume_dir=root / "resume")
except VisionloopError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def test_ctrl_c_is_clean_and_the_same_command_continues_exactly(folder_dataset: Dataset, tmp_path: Path) -> None:
    """An interrupted training ends with the very weights of one that was not."""
    epochs = "12"
    command = [sys.executable, "-c", _SCRIPT, str(tmp_path / "a"), epochs, str(folder_dataset.root)]
    process = subprocess.run([*command, "interrupt"], stderr=subprocess.PIPE, text=True, timeout=120)
    stderr = process.stderr
    assert process.returncode == 1
    assert "TrainingInterrupted: interrupted in epoch" in stderr
    assert "run the same command again: it continues after epoch" in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "a/model").exists()
    again = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=120, check=True)
    assert f"epoch  1/{epochs}" not in again.stderr
    plan = tiny_plan("classification", max_epochs=int(epochs))
    whole = fit(plan, folder_dataset, tmp_path / "b", resume_dir=tmp_path / "rb")
    resumed = load_file(tmp_path / "a/model/weights.safetensors")
    for key, value in load_file(whole.folder / "weights.safetensors").items():
        assert torch.equal(resumed[key], value)


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
