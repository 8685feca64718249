"""Trained weights to a bundle, with the proof that both answer alike."""

from __future__ import annotations

import sys

from pipelines.stage import run
from visionloop.config import Config


def stage(config: Config) -> str:
    """Export the selected task's model."""
    from visionloop.artifact.export import Trained, export_bundle
    from visionloop.data.samples import Dataset
    from visionloop.monitoring.drift.profile import build_profile
    from visionloop.monitoring.settings import ProfileSettings
    from visionloop.training.trained import load_trained

    block = config.selected
    dataset = Dataset.open(config.build("dataset"))
    learner, model, recipe, summary = load_trained(block.task, config.build("model"), dataset)
    trained = Trained(task=block.task, learner=learner, model=model, recipe=recipe, training=summary)
    bundle = export_bundle(
        block.export,
        trained,
        dataset,
        config.build("bundle"),
        companions=lambda predictor, folder: build_profile(predictor, dataset, ProfileSettings()).save(folder),
    )
    worst = max(bundle.manifest.parity.max_relative_error.values())
    return f"bundle {bundle.digest[:12]}, {bundle.size_bytes / 1e6:.1f} MB, parity within {worst:.1e}"


if __name__ == "__main__":
    sys.exit(run(stage, name="export"))
