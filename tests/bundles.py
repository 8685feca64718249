"""Real bundles of untrained networks."""

from __future__ import annotations

from pathlib import Path

from tests.contract import tiny_plan
from visionloop.artifact.export import Trained, export_bundle
from visionloop.artifact.settings import ExportSettings
from visionloop.data.samples import Dataset


def make_bundle(task: str, dataset: Dataset, out: Path, seed: int) -> Path:
    """An export of `tiny_plan`, whose own seed draws the weights; `seed` is noted in it, so that digests differ."""
    plan = tiny_plan(task)
    trained = Trained(
        task=plan.task,
        learner=plan.learner(len(dataset.classes)),
        model=plan.model,
        recipe=plan.recipe,
        training={"seed": seed},
    )
    export_bundle(ExportSettings(), trained, dataset, out)
    return out
