"""Source to dataset: read, check, split, write."""

from __future__ import annotations

import sys

from pipelines.stage import run, shown
from visionloop.config import Config


def stage(config: Config) -> str:
    """Prepare the selected task's dataset."""
    from visionloop.data.prepare import FINDINGS, prepare

    block = config.selected
    result = prepare(block.data, block.task.requirements, config.build("dataset"), root=config.root)
    line = result.summary()
    if result.findings:
        listed, report = (
            shown(path, config.root)
            for path in (config.build("dataset", FINDINGS), config.build("explore", "report.html"))
        )
        line += f"\n  all of them in {listed}, and in {report}, which the stage explore makes"
    return line


if __name__ == "__main__":
    sys.exit(run(stage, name="prepare"))
