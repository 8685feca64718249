"""Bundle and evaluation to the registry, through the gate: a challenger, and perhaps a champion."""

from __future__ import annotations

import getpass
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from pipelines.stage import run
from visionloop.config import Config
from visionloop.core.files import write_json


def stage(config: Config) -> str:
    """Register the selected task's bundle and let the gate decide."""
    from visionloop.registry.connection import project_root
    from visionloop.registry.submit import submit

    block = config.selected
    submission = submit(
        config.general.registry,
        block.gate,
        block.evaluation,
        project_root(os.environ, Path.cwd()),
        bundle_root=config.build("bundle"),
        evaluation_dir=config.build("evaluation"),
        dataset_root=config.build("dataset"),
        who=getpass.getuser(),
        now=datetime.now(UTC),
    )
    version = submission.version
    write_json(
        config.root / "mlruns" / "registered" / f"{block.task.name}.json",
        {
            "model": version.model,
            "version": version.version,
            "champion": submission.champion,
            "decision": submission.verdict.decision,
            "note": submission.note,
        },
    )
    return f"{version.model} version {version.version}: {submission.note}"


if __name__ == "__main__":
    sys.exit(run(stage, name="register"))
