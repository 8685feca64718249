"""What a retraining has done so far: one file a task, rewritten whole at every step, so that a kill can be survived."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from visionloop.core import files
from visionloop.core.errors import DataError
from visionloop.core.settings import Settings

FORMAT_VERSION = 1
STATE = "state.json"
HISTORY = "history.jsonl"

RunStatus = Literal["running", "failed", "done", "abandoned"]
Outcome = Literal["promoted", "canary", "approved", "refused", "unchanged", "failed", "abandoned"]
"""`approved`: the gate said promote and the settings leave the rest to a person; `unchanged`: nothing new to learn."""


class StepState(Settings):
    """One step of a run."""

    name: str
    """Of the step."""
    status: Literal["waiting", "running", "done", "failed"] = "waiting"
    """`running` after a kill means: it did not finish, and is done again."""
    started_at: datetime | None = None
    """Of the latest try."""
    ended_at: datetime | None = None
    """Of the latest try."""
    attempts: int = 0
    """Tries."""
    line: str = ""
    """What it did, for people."""
    result: dict[str, Any] = Field(default_factory=dict)
    """What the steps behind it need."""
    error: str = ""
    """Why it failed."""


class RunState(Settings):
    """One retraining of one task."""

    format_version: int = FORMAT_VERSION
    """Version of this layout."""
    run: str
    """Its name; its folder has the same."""
    task: str
    """Which task is trained."""
    status: RunStatus
    """`failed` may still be continued; `abandoned` will not be."""
    outcome: Outcome | None = None
    """What came of it, once it has ended."""
    reasons: tuple[str, ...]
    """Why it was started."""
    who: str
    """Who started it."""
    forced: bool = False
    """Whether it trains although there is nothing new to learn."""
    started_at: datetime
    """When it was started first."""
    ended_at: datetime | None = None
    """When it ended."""
    busy_s: float = 0.0
    """Seconds that steps have taken in all, for the budget."""
    calls: int = 0
    """Calls that have worked on it."""
    steps: tuple[StepState, ...]
    """In order."""

    def result(self, step: str) -> dict[str, Any]:
        """What a finished step left."""
        return next(item.result for item in self.steps if item.name == step)


class Ended(Settings):
    """A line of the history."""

    run: str
    """Its name."""
    outcome: Outcome
    """What came of it."""
    started_at: datetime
    """When it began."""
    ended_at: datetime
    """When it ended."""
    busy_s: float
    """Seconds its steps took."""
    reasons: tuple[str, ...]
    """Why it was started."""
    line: str
    """The last thing it said."""


class Journal:
    """State and history of one task's retrainings.

    Attributes:
        folder: `state.json`, `history.jsonl`, and a folder a run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> RunState | None:
        """The latest run, None where there was none.

        Raises:
            DataError: the file is damaged.
        """
        path = self.folder / STATE
        try:
            state = RunState.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            raise _damaged(path, error) from None
        if state.format_version != FORMAT_VERSION:
            raise _damaged(path, ValueError(f"format version {state.format_version}"))
        return state

    def write(self, state: RunState) -> None:
        """Replace the file."""
        files.write_text(self.folder / STATE, state.model_dump_json(indent=2) + "\n")

    def end(self, ended: Ended) -> None:
        """Append to the history, once a run."""
        if any(item.run == ended.run for item in self.history()):
            return
        path = self.folder / HISTORY
        text = path.read_bytes() if path.exists() else b""
        with path.open("ab") as file:
            # A line that a kill cut short stays alone on its line, where reading passes it over.
            file.write((b"" if not text or text.endswith(b"\n") else b"\n") + ended.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def history(self) -> list[Ended]:
        """Runs that have ended, oldest first."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / HISTORY).read_text(encoding="utf-8", errors="replace").splitlines()
            return [item for line in lines if (item := _ended(line)) is not None]
        return []

    def run_folder(self, run: str) -> Path:
        """Where a run keeps what it makes."""
        return self.folder / "runs" / run


def _ended(line: str) -> Ended | None:
    try:
        return Ended.model_validate_json(line)
    except (ValidationError, json.JSONDecodeError):
        return None


def _damaged(path: Path, error: Exception) -> DataError:
    what = type(error).__name__
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"
    return DataError(
        f"the retraining's state is damaged ({what})",
        where=str(path),
        expected="the JSON that `visionloop retrain` writes",
        action="delete the file: the next retraining starts anew; models and labels are not concerned",
    )
