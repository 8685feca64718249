"""The training stage: a function from settings and a dataset to the best weights and their history."""

from __future__ import annotations

import logging
import shutil
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import Logger
from rich.console import Console
from safetensors.torch import save_file

from visionloop.core import files
from visionloop.core.errors import DataError, Interrupted, VisionloopError
from visionloop.data.samples import Dataset
from visionloop.task import Learner
from visionloop.training.callbacks import AveragedWeights, EpochBar, History, StepSeed
from visionloop.training.curves import training_curves
from visionloop.training.datamodule import DataModule, InputSet
from visionloop.training.module import VAL_PREFIX, TrainingModule
from visionloop.training.plan import TrainingPlan
from visionloop.training.resume import ForgetOthers, Unfinished, epoch_of, load_checkpoint
from visionloop.training.settings import (
    ResolvedHardware,
    TrainingSettings,
    effective_batch_size,
    few_steps_warning,
    resolve_hardware,
)
from visionloop.training.trained import SUMMARY, WEIGHTS

HISTORY = "history.csv"
CURVES = "curves.png"


class TrainingInterrupted(Interrupted):
    """Ctrl-C or a request to end; the last whole epoch is kept and the same command continues from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a training left.

    Attributes:
        folder: With `weights.safetensors`, `training.json`, `history.csv`, `curves.png`.
        metric: The best validation value of the primary metric.
        best_epoch: From 1.
        seconds: Wall time of the loop.
    """

    folder: Path
    metric: float
    best_epoch: int
    seconds: float


def fit(
    plan: TrainingPlan,
    dataset: Dataset,
    out_dir: Path,
    *,
    resume_dir: Path,
    loggers: list[Logger] | None = None,
    command: str = "the same command",
) -> TrainingResult:
    """Train, keep the weights of the best validation epoch, and write them with their history.

    Args:
        plan: What to train and how.
        dataset: Canonical dataset with a train and a val split.
        out_dir: Where the result appears, whole or not at all.
        resume_dir: Where checkpoints of unfinished trainings live; a training of the same plan and dataset
            continues from them, another one starts afresh and says why.
        loggers: Lightning loggers for live metrics.
        command: What continues an interrupted training, for the error.

    Raises:
        DataError: a split is empty.
        ModelError: the model cannot be built.
        TrainingInterrupted: Ctrl-C, or a request to end that the caller turned into `KeyboardInterrupt`.
    """
    _require_splits(dataset)
    hardware = resolve_hardware(plan.training)
    torch.set_num_threads(hardware.threads)
    torch.set_float32_matmul_precision("high")
    learner = plan.learner(len(dataset.classes))
    data = _data(plan, dataset, learner, hardware)
    key = plan.key(dataset)
    unfinished = Unfinished(resume_dir, key, plan.describe(), dataset.info.content_hash)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if unfinished.note:
        console.print(unfinished.note, markup=False)
    steps = len(data.batches) * plan.training.max_epochs
    if unfinished.checkpoint is None:
        for line in _steps_lines(plan, data, steps):
            console.print(line, markup=False)
        learner.begin(data.train.inputs)
    module = TrainingModule(
        plan.training, plan.task, learner, dataset.classes, (data.val.samples, data.val.placements), steps
    )
    folder = unfinished.folder
    history = History(folder / HISTORY, VAL_PREFIX + plan.task.primary_metric, console=console)
    best = ModelCheckpoint(
        folder, "best", monitor=VAL_PREFIX + plan.task.primary_metric, mode="max", enable_version_counter=False
    )
    # Lightning's own choice of when to save passes over epochs without validation.
    last = ModelCheckpoint(
        folder, "last", every_n_epochs=1, save_top_k=1, enable_version_counter=False, save_on_train_epoch_end=True
    )
    callbacks = [history, ForgetOthers(unfinished), best, last]
    trainer = _trainer(plan.training, hardware, callbacks, loggers or [], best.monitor or "")
    started = time.perf_counter()
    _run(trainer, module, data, unfinished, command)
    seconds = time.perf_counter() - started
    metric = float(best.best_model_score) if best.best_model_score is not None else 0.0
    best_epoch = epoch_of(best.best_model_path)
    summary = {
        "key": key,
        "plan": plan.describe(),
        "dataset": {"name": dataset.info.name, "content_hash": dataset.info.content_hash},
        "classes": list(dataset.classes),
        "classes_hash": dataset.info.classes_hash,
        "metric": best.monitor,
        "value": metric,
        "best_epoch": best_epoch,
        "epochs": trainer.current_epoch,
        "batch_size": data.batches.batch_size,
        "steps": trainer.global_step,
        "hardware": hardware.model_dump(mode="json"),
    }
    with files.new_folder(out_dir) as folder:
        save_file(_network_state(best.best_model_path), folder / WEIGHTS)
        files.write_json(folder / SUMMARY, summary)
        shutil.copy(unfinished.folder / HISTORY, folder / HISTORY)
        (folder / CURVES).write_bytes(training_curves(history.rows, best.monitor or "", best_epoch))
    unfinished.forget_all()
    return TrainingResult(folder=out_dir, metric=metric, best_epoch=best_epoch, seconds=seconds)


def _require_splits(dataset: Dataset) -> None:
    for split in ("train", "val"):
        if not dataset.info.split_counts.get(split):
            raise DataError(
                f"the {split} split is empty",
                where=str(dataset.root),
                expected="at least one sample to train on and one to validate on",
                action="add images, or raise data.split.val_fraction and run the prepare stage again",
            )


def _data(plan: TrainingPlan, dataset: Dataset, learner: Learner, hardware: ResolvedHardware) -> DataModule:
    settings = plan.training
    train = InputSet(dataset, "train", learner, plan.recipe, seed=settings.seed, cache_mb=settings.cache_mb)
    val = InputSet(dataset, "val", learner, plan.recipe, seed=None, cache_mb=settings.cache_mb)
    batch_size = effective_batch_size(settings, len(train))
    return DataModule(train, val, learner, batch_size=batch_size, workers=hardware.workers, seed=settings.seed)


def _steps_lines(plan: TrainingPlan, data: DataModule, num_steps: int) -> Iterator[str]:
    """How the training images make steps, where that is not as the settings say or not enough."""
    settings, batch_size = plan.training, data.batches.batch_size
    pretrained = any(value for name, value in plan.model if name.startswith("weights"))
    warning = "" if pretrained else few_steps_warning(num_steps, settings)
    if batch_size < settings.batch_size or warning:
        yield (
            f"{len(data.train):,} training images: batches of {batch_size} "
            f"(training.batch_size={settings.batch_size}), {len(data.batches)} steps an epoch, {num_steps:,} in all"
        )
    if warning:
        yield f"warning: {warning}"


def _trainer(
    settings: TrainingSettings,
    hardware: ResolvedHardware,
    callbacks: list[pl.Callback],
    loggers: list[Logger],
    monitor: str,
) -> pl.Trainer:
    # Averaging comes first: it swaps the averaged weights in before validation and checkpoints look.
    first: list[pl.Callback] = [AveragedWeights(settings.ema_decay)] if settings.ema_decay else []
    if settings.patience:
        callbacks = [*callbacks, EarlyStopping(monitor, mode="max", patience=settings.patience, verbose=False)]
    if Console(stderr=True).is_terminal:
        callbacks = [*callbacks, EpochBar(leave=False)]
    with _quiet_lightning():
        return pl.Trainer(
            accelerator="gpu" if hardware.device == "cuda" else "cpu",
            devices=1,
            precision="bf16-mixed" if hardware.precision == "bf16" else "32-true",
            max_epochs=settings.max_epochs,
            check_val_every_n_epoch=min(settings.validate_every, settings.max_epochs),
            gradient_clip_val=settings.gradient_clip or None,
            callbacks=[*first, StepSeed(settings.seed), *callbacks],
            logger=loggers or False,
            enable_progress_bar=any(isinstance(callback, EpochBar) for callback in callbacks),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,
            use_distributed_sampler=False,
            log_every_n_steps=1_000_000,
        )


def _run(trainer: pl.Trainer, module: TrainingModule, data: DataModule, unfinished: Unfinished, command: str) -> None:
    checkpoint = unfinished.checkpoint
    with _quiet_lightning():
        try:
            trainer.fit(module, datamodule=data, ckpt_path=str(checkpoint) if checkpoint else None)
        except SystemExit:
            # Lightning turns Ctrl-C into an exit after its own clean-up.
            pass
        except FloatingPointError as error:
            unfinished.forget()
            raise VisionloopError(
                str(error),
                where=f"epoch {trainer.current_epoch + 1}",
                expected="a finite loss",
                action="lower training.learning_rate, or set training.gradient_clip=1.0",
            ) from None
    if trainer.interrupted:
        done = unfinished.num_epochs
        goes_on = f"continues after epoch {done}" if done else "starts from the beginning"
        raise TrainingInterrupted(
            f"interrupted in epoch {trainer.current_epoch + 1}",
            where=str(unfinished.folder),
            expected="the training to finish",
            action=f"run {command} again: it {goes_on}",
        )


def _network_state(path: str) -> dict[str, torch.Tensor]:
    prefix = "network."
    state = load_checkpoint(path)["state_dict"]
    return {name.removeprefix(prefix): value.contiguous() for name, value in state.items() if name.startswith(prefix)}


class _quiet_lightning(warnings.catch_warnings):
    """Lightning's advice on workers, tips and hardware banners are not for the user of a pipeline."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")
        for name in ("pytorch_lightning", "lightning", "lightning.pytorch", "lightning_fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
