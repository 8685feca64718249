"""All stages of one task in order, without DVC: for experiments beside the pipeline.

python -m pipelines.run experiment=bccd data.source.path=../bccd.tar.gz build=runs/bccd reports=runs/bccd
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from pipelines import evaluate, explore, export, prepare, register, train
from pipelines.stage import Stage, run, show
from visionloop.config import Config

STAGES: dict[str, Stage] = {
    "prepare": prepare.stage,
    "explore": explore.stage,
    "train": train.stage,
    "export": export.stage,
    "evaluate": evaluate.stage,
    "register": register.stage,
}


def run_stages(config: Config, stages: Mapping[str, Stage]) -> str:
    """Run stages in order; the first error stops. Returns the last one's line."""
    line = ""
    for name, work in stages.items():
        started = time.perf_counter()
        line = work(config)
        if name != "register":
            show(f"{name}@{config.general.task}", line, time.perf_counter() - started)
    return line


def stage(config: Config) -> str:
    """Run every stage."""
    return run_stages(config, STAGES)


if __name__ == "__main__":
    sys.exit(run(stage, name="run"))
