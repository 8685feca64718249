"""Unfinished trainings: which one is continued, and what is said of one that is not.

Each keeps its checkpoints in a folder of its own below the folder for all, named by the hash of everything it depends
on. So a start that ends before its first checkpoint takes nothing away from an earlier training.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from visionloop.core import files
from visionloop.core.errors import DataError

LAST = "last.ckpt"
_PLAN = "plan.json"
_SHOWN = 4
"""Differing settings that are named."""


class Unfinished:
    """Where one training keeps what it needs to be continued.

    Attributes:
        folder: Of this training.
        checkpoint: To continue from; None at a first start.
        note: What a user should know of earlier trainings; empty where there was none.
    """

    def __init__(self, root: Path, key: str, plan: Mapping[str, Any], dataset_hash: str) -> None:
        """Look for an earlier start of the same training, and make the folder.

        Args:
            root: Folder of all unfinished trainings of a task.
            key: Hash of everything the training depends on.
            plan: Its settings, nested.
            dataset_hash: Of the dataset's contents.
        """
        self.folder = root / key[:16]
        self.checkpoint: Path | None = None
        self.note = ""
        wanted = {"plan": dict(plan), "dataset": dataset_hash}
        if self.last.is_file():
            self.checkpoint = self.last
            self.note = f"continuing after epoch {epoch_of(self.last)}"
        else:
            notes = [_not_continued(other, wanted) for other in sorted(root.glob(f"*/{LAST}"))]
            self.note = "\n".join(notes)
        files.write_json(self.folder / _PLAN, wanted)

    @property
    def last(self) -> Path:
        """The checkpoint of the last whole epoch; there may be none yet."""
        return self.folder / LAST

    @property
    def num_epochs(self) -> int:
        """Whole epochs that are kept."""
        return epoch_of(self.last) if self.last.is_file() else 0

    def forget(self) -> None:
        """Remove it, as after a training that broke down."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def forget_others(self) -> None:
        """Remove every other training's, once this one has a checkpoint."""
        if self.last.is_file():
            for path in self.folder.parent.iterdir():
                if path != self.folder:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def forget_all(self) -> None:
        """Remove all, as after a training that finished."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)


class ForgetOthers(pl.Callback):
    """Removes other trainings' checkpoints when this one's first is there."""

    def __init__(self, unfinished: Unfinished) -> None:
        self._unfinished = unfinished

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """The checkpoint of the epoch before has been written by now."""
        self._unfinished.forget_others()


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Lightning's checkpoint, on the CPU; plain values and tensors only."""
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint


def epoch_of(path: str | Path) -> int:
    """The epoch after which a checkpoint was written, from 1."""
    return int(load_checkpoint(path)["epoch"]) + 1


def _not_continued(checkpoint: Path, wanted: dict[str, Any]) -> str:
    """Why a training of which this is the last checkpoint does not go on."""
    try:
        found = files.read_json(checkpoint.parent / _PLAN)
        before, now = dict(_flat(found["plan"])), dict(_flat(wanted["plan"]))
        reasons = [
            f"{name} was {before.get(name)}, is {now.get(name)}"
            for name in {**before, **now}
            if before.get(name) != now.get(name)
        ]
        if len(reasons) > _SHOWN:
            reasons[_SHOWN:] = [f"{len(reasons) - _SHOWN} more"]
        if found["dataset"] != wanted["dataset"]:
            reasons.append("the dataset has changed")
    except (DataError, KeyError, TypeError):
        reasons = ["its settings cannot be read"]
    epoch = epoch_of(checkpoint)
    return (
        f"starting afresh; not continued is a training interrupted after epoch {epoch}: {'; '.join(reasons)}. "
        "Its checkpoint goes when this training has its first"
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
