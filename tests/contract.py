"""Per task: settings small enough that a test trains in a second."""

from __future__ import annotations

from typing import Any

from visionloop.core.images import Recipe
from visionloop.task import Task, load_task
from visionloop.training.plan import TrainingPlan
from visionloop.training.settings import TrainingSettings

TINY_MODELS: dict[str, dict[str, Any]] = {
    "classification": {"architecture": "small_cnn", "width": 4},
    "detection": {"architecture": "light_fcos", "width": 8, "neck": 32, "head_convs": 1},
}


def tiny_plan(name: str, **training: Any) -> TrainingPlan:
    task: Task = load_task(name)
    settings: dict[str, Any] = {
        "max_epochs": 2,
        "batch_size": 6,
        "learning_rate": 0.003,
        "precision": "32",
        "device": "cpu",
        "threads": 1,
        "ema_decay": 0.9,
    }
    return TrainingPlan(
        task=task,
        model=task.model_settings(**TINY_MODELS[name]),
        augment=task.augment_settings(),
        recipe=Recipe(height=64, width=64),
        training=TrainingSettings(**(settings | training)),
    )
