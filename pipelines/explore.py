"""Dataset to EDA report."""

from __future__ import annotations

import sys

from pipelines.stage import run, shown
from visionloop.config import Config


def stage(config: Config) -> str:
    """Explore the selected task's dataset."""
    from visionloop.data.explore import explore
    from visionloop.data.samples import Dataset

    report = explore(Dataset.open(config.build("dataset")), config.build("explore"))
    return f"report {shown(report, config.root)}"


if __name__ == "__main__":
    sys.exit(run(stage, name="explore"))
