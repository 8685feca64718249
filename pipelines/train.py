"""Dataset to trained weights, logged live to MLflow."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from pipelines.stage import run, typed_command
from visionloop.config import Config


def stage(config: Config) -> str:
    """Train the selected task's model."""
    from visionloop.data.samples import Dataset
    from visionloop.registry.connection import project_root
    from visionloop.registry.runs import training_logger
    from visionloop.training.plan import TrainingPlan

    block = config.selected
    plan = TrainingPlan(
        task=block.task, model=block.model, augment=block.augment, recipe=block.recipe, training=block.training
    )
    dataset = Dataset.open(config.build("dataset"))
    with training_logger(
        config.general.registry,
        project_root(os.environ, Path.cwd()),
        plan=plan.describe(),
        key=plan.key(dataset),
        dataset=dataset.info,
    ) as logger:
        # Seconds of imports: whoever cannot reach MLflow hears of it before.
        from visionloop.training.fit import CURVES, HISTORY, fit

        result = fit(
            plan,
            dataset,
            config.build("model"),
            resume_dir=config.build("resume"),
            loggers=[logger],
            command=typed_command(),
        )
    config.reports().mkdir(parents=True, exist_ok=True)
    for name in (HISTORY, CURVES):
        shutil.copy(result.folder / name, config.reports(name))
    metric = block.task.primary_metric
    return f"val {metric} {result.metric:.4f} in epoch {result.best_epoch}, trained {result.seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(run(stage, name="train"))
