"""The LightningModule around a learner: losses, optimizer, schedule, and validation through the task's own scorer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from torch import nn

from visionloop.core.images import Placement
from visionloop.core.settings import Settings
from visionloop.data.samples import Sample
from visionloop.task import Evaluation, Learner, Scorer, Task
from visionloop.training.datamodule import Batch
from visionloop.training.muon import Muon, filter_banks
from visionloop.training.settings import TrainingSettings

VAL_PREFIX = "val/"


class TrainingModule(pl.LightningModule):
    """Trains `learner.module`; validates by `Task.finish` and `Task.scorer`, as evaluation does."""

    def __init__(
        self,
        settings: TrainingSettings,
        task: Task,
        learner: Learner,
        classes: tuple[str, ...],
        val: tuple[list[Sample], list[Placement]],
        total_steps: int,
    ) -> None:
        """Wrap a learner.

        Args:
            settings: Optimizer and schedule.
            task: Finishes and scores validation outputs.
            learner: What is trained.
            classes: Class names.
            val: The validation split's samples and placements, in the loader's order.
            total_steps: Optimizer steps of the whole training.
        """
        super().__init__()
        self.network = learner.module
        self.graph = learner.graph()
        self.evaluation: Evaluation | None = None
        self._settings, self._task, self._learner, self._classes = settings, task, learner, classes
        self._val_samples, self._val_placements = val
        self._total_steps = total_steps
        self._scorer: Scorer | None = None
        self._operating_point: Settings = task.operating_point()

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:  # noqa: ARG002
        """Losses of a batch; each term is logged under `train/`."""
        progress = min(self.global_step / self._total_steps, 1.0)
        losses = self._learner.losses(batch.images, batch.targets, progress=progress)
        loss = losses["loss"]
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss.item()} at step {self.global_step}")
        terms = {f"train/{name}": value.detach().float() for name, value in losses.items()}
        self.log_dict(terms, on_step=False, on_epoch=True, batch_size=len(batch.indices))
        return loss

    def on_validation_epoch_start(self) -> None:
        """A fresh scorer."""
        self._scorer = self._task.scorer(self._classes)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Score a batch. In fp32: reduced precision moves boxes by pixels."""
        assert self._scorer is not None
        with torch.autocast(batch.images.device.type, enabled=False):
            raw = self.graph(batch.images)
        outputs: dict[str, npt.NDArray[Any]] = {
            name: value.float().cpu().numpy() for name, value in zip(self._task.outputs, raw, strict=True)
        }
        placements = [self._val_placements[index] for index in batch.indices]
        predictions = self._task.finish(outputs, placements, self._operating_point)
        for index, prediction in zip(batch.indices, predictions, strict=True):
            self._scorer.add(self._val_samples[index], prediction)

    def on_validation_epoch_end(self) -> None:
        """Log the task's metrics under `val/`."""
        assert self._scorer is not None
        self.evaluation = self._scorer.evaluate()
        metrics = {VAL_PREFIX + name: value for name, value in self.evaluation.metrics.items() if value is not None}
        # A metric can be undefined; the one that decides never is: nothing found counts as zero.
        metrics.setdefault(VAL_PREFIX + self._task.primary_metric, 0.0)
        self.log_dict({name: np.float32(value).item() for name, value in metrics.items()}, batch_size=1)

    def configure_optimizers(self) -> Any:
        """Optimizer without decay on norms and biases, and the learning rate's course by step."""
        settings = self._settings
        banks = filter_banks(self.network) if settings.optimizer == "muon" else []
        groups = _parameter_groups(self.network, settings, without=banks)
        rate, momentum = settings.learning_rate, settings.momentum
        optimizer: torch.optim.Optimizer
        if settings.optimizer == "adamw":
            optimizer = torch.optim.AdamW(groups, lr=rate)
        elif banks:
            bank = {"lr": settings.filter_learning_rate, "momentum": settings.filter_momentum}
            optimizer = Muon(banks, groups, **bank, others_lr=rate, others_momentum=momentum)
        else:
            optimizer = torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=momentum > 0)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(settings, step, self._total_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def learning_rate_factor(settings: TrainingSettings, step: int, total_steps: int) -> float:
    """The learning rate at a step over its peak, in [0, 1].

    Linear warm-up, then linear (one_cycle; Smith & Topin 2019) or half-cosine (Loshchilov & Hutter 2017)
    descent to zero, or none.
    """
    warmup = max(1, round(settings.warmup_fraction * total_steps))
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step + 1 - warmup) / max(1, total_steps - warmup))
    if settings.schedule == "one_cycle":
        return 1.0 - progress
    if settings.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    return 1.0


def _parameter_groups(
    network: nn.Module, settings: TrainingSettings, *, without: Sequence[nn.Parameter]
) -> list[dict[str, Any]]:
    norms = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    shifts = {id(norm.bias) for norm in norms if norm.bias is not None}
    left_out = {id(parameter) for parameter in without}
    trainable = [p for p in network.parameters() if p.requires_grad and id(p) not in left_out]
    others = [p for p in trainable if id(p) not in shifts]
    rate = settings.learning_rate
    return [
        {"params": [p for p in others if p.ndim > 1], "weight_decay": settings.weight_decay, "lr": rate},
        {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0, "lr": rate},
        {
            "params": [p for p in trainable if id(p) in shifts],
            "weight_decay": 0.0,
            "lr": rate * settings.norm_bias_rate,
        },
    ]
