"""Training's settings, and the one place where their `auto` values become numbers."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Literal

from pydantic import Field

from visionloop.core.cores import usable_cores
from visionloop.core.settings import Settings

_log = logging.getLogger(__name__)


class TrainingSettings(Settings):
    """How a learner is trained."""

    max_epochs: int = Field(default=20, ge=1, le=10_000)
    """Passes over the training split."""
    batch_size: int = Field(default=64, ge=1, le=65_536)
    """Most images per optimizer step. A training split of fewer than 10 such batches is learned from in smaller ones,
    down to 8 images, so that an epoch has enough steps; `training.json` has the number taken."""
    optimizer: Literal["adamw", "sgd", "muon"] = "adamw"
    """`sgd` is with Nesterov momentum; `muon` trains convolutions before a norm by Muon, and all else by SGD."""
    learning_rate: float = Field(default=1e-3, gt=0, le=100)
    """Peak learning rate."""
    weight_decay: float = Field(default=0.01, ge=0, le=10)
    """Decay of weights with two or more axes; norms and biases are left alone."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """SGD's momentum; ignored by AdamW."""
    norm_bias_rate: float = Field(default=1.0, gt=0, le=1000)
    """Learning rate of batch norms' biases, as a multiple of `learning_rate`; with `fast_cnn` 64 (Jordan 2024)."""
    filter_learning_rate: float = Field(default=0.08, gt=0, le=1)
    """Muon's peak learning rate: a step's length over that of the weights."""
    filter_momentum: float = Field(default=0.6, ge=0, lt=1)
    """Muon's momentum."""
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    """Shape of the learning rate over the steps, after the warm-up."""
    warmup_fraction: float = Field(default=0.2, ge=0, lt=1)
    """Share of all steps in which the learning rate rises to its peak."""
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the moving average of the weights, reached gradually; 0 switches it off."""
    gradient_clip: float = Field(default=0.0, ge=0)
    """Largest norm of the gradient; 0 does not clip."""
    patience: int = Field(default=0, ge=0)
    """Epochs without a better validation metric before training stops; 0 never stops early."""
    validate_every: int = Field(default=1, ge=1)
    """Epochs between validations."""
    precision: Literal["auto", "32", "bf16"] = "auto"
    """`bf16` is mixed precision; `auto` takes it where the processor has units for it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes CUDA where there is a device."""
    threads: int = Field(default=0, ge=0, le=1024)
    """Threads of a CPU operation; 0 takes all cores this process may use."""
    workers: int = Field(default=-1, ge=-1, le=256)
    """Processes that load and augment images; -1 decides from the cores."""
    cache_mb: int = Field(default=4096, ge=0)
    """Inputs are kept decoded in memory when they fit into this many megabytes."""
    seed: int = Field(default=7, ge=0, lt=2**31)
    """Seed of weights, order and augmentation."""


_SMALL_BATCH = 8
"""A small training split's batches are not made smaller than this: batch norms need a few images."""
_EPOCH_STEPS = 10
"""Steps an epoch should have where batches can be made small enough."""
_FEW_STEPS = 200
"""Steps in all with which even easy classes were hardly learned from scratch."""


def effective_batch_size(settings: TrainingSettings, num_images: int) -> int:
    """Images per optimizer step for a training split of `num_images`: `settings.batch_size`, or less for a small one.

    Examples:
        >>> [effective_batch_size(TrainingSettings(batch_size=64), count) for count in (1200, 600, 87, 5)]
        [64, 60, 8, 5]
    """
    return min(settings.batch_size, max(_SMALL_BATCH, num_images // _EPOCH_STEPS), num_images)


def few_steps_warning(num_steps: int, settings: TrainingSettings) -> str:
    """What to say before a training from scratch of so few optimizer steps; empty where they are enough."""
    if num_steps >= _FEW_STEPS:
        return ""
    epochs = math.ceil(settings.max_epochs * _FEW_STEPS / num_steps)
    return (
        f"{num_steps} optimizer steps in all are few to learn anything by: set training.max_epochs={epochs} or more, "
        "add images, or begin with pretrained weights (model.weights of one of torchvision's architectures)"
    )


class ResolvedHardware(Settings):
    """What the `auto` values became on this machine."""

    device: Literal["cpu", "cuda"]
    precision: Literal["32", "bf16"]
    threads: int
    workers: int


def resolve_hardware(settings: TrainingSettings) -> ResolvedHardware:
    """Turn every `auto` into a value for this machine, and log it."""
    import torch

    cores = usable_cores()
    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = settings.precision
    if precision == "auto":
        precision = "bf16" if _has_bf16(device) else "32"
    workers = settings.workers
    if workers < 0:
        # On a small CPU machine a worker takes a core from the arithmetic and gains nothing.
        workers = 0 if device == "cpu" else max(1, min(cores - 1, 8))
    resolved = ResolvedHardware(device=device, precision=precision, threads=settings.threads or cores, workers=workers)
    _log.info("hardware: %s", resolved)
    return resolved


def _has_bf16(device: str) -> bool:
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Without AMX or AVX512-BF16 the CPU emulates bf16 and is slower than with fp32.
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and any(flag in cpuinfo.read_text() for flag in ("amx_bf16", "avx512_bf16"))
