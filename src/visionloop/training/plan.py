"""What is to be trained: known before anything heavy is imported, so that what cannot go on is refused at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from visionloop.core import files
from visionloop.core.images import Recipe
from visionloop.core.settings import Settings
from visionloop.data.samples import Dataset
from visionloop.task import Learner, Task
from visionloop.training.settings import TrainingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """Everything a training depends on; its hash names the training.

    Attributes:
        task: The task.
        model: Of `task.model_settings`.
        augment: Of `task.augment_settings`.
        recipe: The model's input.
        training: Optimizer, schedule, hardware.
    """

    task: Task
    model: Settings
    augment: Settings
    recipe: Recipe
    training: TrainingSettings

    def describe(self) -> dict[str, Any]:
        """JSON-like: the settings by section."""
        return {
            "task": self.task.name,
            "model": self.model.model_dump(mode="json"),
            "augment": self.augment.model_dump(mode="json"),
            "recipe": self.recipe.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
        }

    def key(self, dataset: Dataset) -> str:
        """Hash of the plan and the dataset's version: equal keys give equal trainings."""
        return files.hash_json([self.describe(), dataset.info.content_hash])

    def learner(self, num_classes: int) -> Learner:
        """A fresh learner, its weights drawn with the plan's seed."""
        import torch

        torch.manual_seed(self.training.seed)
        return self.task.learner(self.model, self.augment, num_classes=num_classes, recipe=self.recipe)
