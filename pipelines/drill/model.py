"""From a source to a judged model: `pipelines.run` without the report on the data, which nobody reads here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from pipelines.run import STAGES, run_stages
from pipelines.stage import run
from visionloop.config import Config

UNJUDGED = "--unjudged"
"""Ends after the evaluation; `pipelines.register` has the model judged later."""


def stage(config: Config, *, judged: bool = True) -> str:
    """Prepare, train, export and evaluate; with `judged`, register."""
    left_out = {"explore"} if judged else {"explore", "register"}
    return run_stages(config, {name: work for name, work in STAGES.items() if name not in left_out})


def main(argv: Sequence[str] | None = None) -> int:
    """The stages of one task; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    overrides = [word for word in words if word != UNJUDGED]
    return run(partial(stage, judged=overrides == words), name="drill.model", argv=overrides)


if __name__ == "__main__":
    sys.exit(main())
