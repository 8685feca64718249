"""From a source to a judged model: `pipelines.run` without the report on the data, which nobody reads here."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.run import STAGES, run_stages
from pipelines.stage import run
from visionloop.config import Config


def stage(config: Config) -> str:
    """Prepare, train, export, evaluate and register."""
    return run_stages(config, {name: work for name, work in STAGES.items() if name != "explore"})


def main(argv: Sequence[str] | None = None) -> int:
    """The stages of one task; returns the exit status."""
    return run(stage, name="drill.model", argv=argv)


if __name__ == "__main__":
    sys.exit(main())
