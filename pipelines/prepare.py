"""Source to dataset: read, check, split, write."""

from __future__ import annotations

import sys

from pipelines.stage import run
from visionloop.config import Config


def stage(config: Config) -> str:
    """Prepare the selected task's dataset."""
    from visionloop.data.prepare import prepare

    block = config.selected
    result = prepare(block.data, block.task.requirements, config.build("dataset"), root=config.root)
    return result.summary()


if __name__ == "__main__":
    sys.exit(run(stage, name="prepare"))
