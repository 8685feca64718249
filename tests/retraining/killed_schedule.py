"""`visionloop schedule run` on a project whose job only says that it was there."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from visionloop.retraining.schedule import Memory

ROOT = Path(__file__).resolve().parents[2]

_JOB = """
import sys, time
from pathlib import Path
from tests.retraining.fake import Pipeline, go, make
from visionloop.core.errors import BusyError
from visionloop.retraining.job import BUSY_STATUS, exclusive
root = Path.cwd()
def wait(step, when):
    if (step, when) == ("promote", "after") and (root / "hold").exists():
        (root / "reached").touch()
        while (root / "hold").exists():
            time.sleep(0.01)
try:
    with exclusive(root / "state"):
        go(make(root, Pipeline(root, wait)))
except BusyError:
    (root / "busy").touch()
    sys.exit(BUSY_STATUS)
"""


def write_project(folder: Path) -> None:
    """Settings, and a job that holds on in its last step but one while the file `hold` is there."""
    (folder / "pipelines").mkdir()
    (folder / "pipelines/__init__.py").touch()
    (folder / "pipelines/retrain.py").write_text(_JOB)
    shutil.copy(ROOT / "params.yaml", folder)


def a_day_passes(folder: Path) -> None:
    """What the scheduler remembers becomes a day older."""
    path = folder / "mlruns/retraining/schedule.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    due = Memory.model_validate_json(path.read_text()).due if path.exists() else datetime.now(UTC)
    path.write_text(Memory(due=due - timedelta(days=1)).model_dump_json())


def run(folder: Path) -> None:
    """The command."""
    from visionloop.commands.retrain import run as command

    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(ROOT)
    assert command.callback is not None
    command.callback()
