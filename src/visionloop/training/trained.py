"""What a finished training left, read back without Lightning, which takes seconds to import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from visionloop.core import files
from visionloop.core.errors import DataError
from visionloop.core.images import Recipe
from visionloop.core.settings import Settings, parse_settings
from visionloop.data.samples import Dataset
from visionloop.task import Learner, Task

WEIGHTS = "weights.safetensors"
SUMMARY = "training.json"


def load_trained(task: Task, folder: Path, dataset: Dataset) -> tuple[Learner, Settings, Recipe, dict[str, Any]]:
    """Rebuild the learner of a finished training.

    Returns:
        The learner with its weights, its model settings, its recipe, and the summary.

    Raises:
        DataError: the training saw other classes, or classes in another order, than `dataset` has.
    """
    summary = files.read_json(folder / SUMMARY)
    if summary["classes_hash"] != dataset.info.classes_hash:
        trained, found = summary["classes"], list(dataset.classes)
        raise DataError(
            "checkpoint and dataset differ in their classes: "
            f"only in the checkpoint {sorted(set(trained) - set(found))}, "
            f"only in the dataset {sorted(set(found) - set(trained))}",
            where=f"{folder / SUMMARY} and {dataset.root / 'dataset.json'}",
            expected="the same classes in the same order",
            action="train again on this dataset, or prepare the dataset the checkpoint was trained on",
        )
    plan, where = summary["plan"], str(folder / SUMMARY)
    # The trained weights follow; fetching pretrained ones first would need the network.
    model = parse_settings(task.model_settings, plan["model"] | {"weights": None}, where=where)
    augment = parse_settings(task.augment_settings, plan["augment"], where=where)
    recipe = parse_settings(Recipe, plan["recipe"], where=where)
    learner = task.learner(model, augment, num_classes=len(dataset.classes), recipe=recipe)
    learner.module.load_state_dict(load_file(folder / WEIGHTS))
    return learner, model, recipe, summary
