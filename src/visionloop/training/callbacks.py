"""Callbacks of the loop: reproducible random numbers, averaged weights, history, progress."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import RichProgressBar, WeightAveraging
from rich.console import Console

from visionloop.core import files
from visionloop.training.module import VAL_PREFIX

_RECENT = 4
"""Epochs by which the time left is estimated."""


class StepSeed(pl.Callback):
    """torch's generator set from (seed, step), so that dropout does not depend on interruptions."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Seed before the batch."""
        torch.manual_seed((self._seed << 32) + trainer.global_step)


class AveragedWeights(WeightAveraging):
    """Exponential moving average whose decay grows to its value, so that short trainings profit too."""

    def __init__(self, decay: float) -> None:
        super().__init__(avg_fn=_Ema(decay))


class _Ema:
    def __init__(self, decay: float) -> None:
        self._decay = decay

    def __call__(self, average: torch.Tensor, current: torch.Tensor, num_averaged: torch.Tensor | int) -> torch.Tensor:
        """min(decay, (1 + n) / (10 + n)), as in tf.train.ExponentialMovingAverage's num_updates."""
        count = float(num_averaged)
        decay = min(self._decay, (1.0 + count) / (10.0 + count))
        if not average.is_floating_point():
            return current
        return average.lerp(current.to(average.dtype), 1.0 - decay)


class History(pl.Callback):
    """One row an epoch, written after every epoch, and one printed line.

    Attributes:
        rows: Epoch (from 1), seconds, learning rate, then every logged metric.
    """

    def __init__(self, path: Path, primary: str, *, console: Console | None = None) -> None:
        """Keep a history.

        Args:
            path: Where the CSV goes.
            primary: Key of the validation metric to print.
            console: Where lines go; stderr by default.
        """
        self.rows: list[dict[str, float]] = []
        self._path, self._primary = path, primary
        self._console = console or Console(stderr=True, highlight=False)
        self._started = 0.0
        self._validated = False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Start the clock."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Add the row; validation of this epoch has run by now."""
        row = {
            "epoch": trainer.current_epoch + 1,
            "seconds": round(time.perf_counter() - self._started, 2),
            "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
        }
        for name, value in sorted(trainer.callback_metrics.items()):
            # Lightning keeps the values of the last validation in epochs without one.
            if self._validated or not name.startswith(VAL_PREFIX):
                row[name.replace("/", "_")] = round(float(value), 6)
        self._validated = False
        self.rows.append(row)
        files.write_text(self._path, to_csv(self.rows))
        self._print(row, trainer.max_epochs or 0)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """This epoch's row has validation metrics of its own."""
        self._validated = True

    def state_dict(self) -> dict[str, Any]:
        """The rows, for resuming."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the rows of an interrupted training."""
        self.rows = list(state_dict["rows"])

    def _print(self, row: dict[str, float], max_epochs: int) -> None:
        width = len(str(max_epochs))
        metric = row.get(self._primary.replace("/", "_"))
        text = f"epoch {row['epoch']:>{width}.0f}/{max_epochs}  loss {row.get('train_loss', float('nan')):.4f}"
        if metric is not None:
            text += f"  {self._primary} {metric:.4f}"
        self._console.print(f"{text}  {row['seconds']:.1f} s{self._left(int(max_epochs - row['epoch']))}")

    def _left(self, num_epochs: int) -> str:
        """How long the epochs that remain will take, by the last few: some of them validate, some do not."""
        if num_epochs <= 0:
            return ""
        recent = [row["seconds"] for row in self.rows[-_RECENT:]]
        return f"  about {spoken_time(num_epochs * sum(recent) / len(recent))} left"


class EpochBar(RichProgressBar):
    """Lightning's bar over an epoch's batches; epochs count from 1, as everywhere else here."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}"

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Metrics beside the bar, without the logger's number of the run."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


def spoken_time(seconds: float) -> str:
    """A duration as a person would say it: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def to_csv(rows: list[dict[str, float]]) -> str:
    """Rows as CSV; columns in order of first appearance, absent values empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
