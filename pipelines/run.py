"""All stages of one task in order, without DVC: for experiments beside the pipeline.

python -m pipelines.run experiment=bccd data.source.path=../bccd.tar.gz build=runs/bccd reports=runs/bccd
"""

from __future__ import annotations

import sys
import time

from pipelines import evaluate, explore, export, prepare, register, train
from pipelines.stage import run
from visionloop.config import Config

_STAGES = {
    "prepare": prepare.stage,
    "explore": explore.stage,
    "train": train.stage,
    "export": export.stage,
    "evaluate": evaluate.stage,
    "register": register.stage,
}


def stage(config: Config) -> str:
    """Run every stage; the first error stops."""
    line = ""
    for name, work in _STAGES.items():
        started = time.perf_counter()
        line = work(config)
        if name != "register":
            print(f"{name}@{config.general.task}: {line} ({time.perf_counter() - started:.1f} s)", flush=True)
    return line


if __name__ == "__main__":
    sys.exit(run(stage, name="run"))
