"""Keys whose words retraining holds back, as it left them: what is counted of feedback leaves them out too."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from visionloop.core import files
from visionloop.core.errors import DataError
from visionloop.core.settings import Settings
from visionloop.monitoring.store.tables import FEEDBACK

_log = logging.getLogger(__name__)

FOLDER = "mlruns/monitoring/suspects"
"""Where the keys of each task lie, relative to the state folder: `<task>.json`."""


class SuspectKey(Settings):
    """A key whose words are held back."""

    key: str
    """Its id; empty for everybody without a key."""
    since: datetime
    """Its words from then on are held back."""
    kind: Literal["burst", "outlier", "distrusted"]
    """A burst of contradictions, an odd one out, or named in the settings."""


_KEYS = TypeAdapter(tuple[SuspectKey, ...])


def write_suspects(keys: Sequence[SuspectKey], state: Path, task: str) -> None:
    """Replace a task's list, by rename."""
    path = state / FOLDER / f"{task}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, json.dumps(_KEYS.dump_python(tuple(keys), mode="json"), indent=2) + "\n")


def read_suspects(state: Path, task: str) -> tuple[SuspectKey, ...]:
    """A task's list; empty where retraining has left none.

    Raises:
        DataError: damaged, or written by another version.
    """
    path = state / FOLDER / f"{task}.json"
    try:
        return _KEYS.validate_json(path.read_text())
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise DataError(
            f"the list of suspicious keys cannot be read: {type(error).__name__}",
            where=str(path),
            expected="a file that `visionloop retrain` wrote",
            action="run `visionloop retrain` again, or remove the file",
        ) from None


def known_suspects(state: Path, task: str) -> tuple[SuspectKey, ...]:
    """A task's list; a damaged one is logged and counts as empty."""
    try:
        return read_suspects(state, task)
    except DataError as error:
        # Counting everybody's words is better than counting none.
        _log.warning("%s: %s", error.where, error.what)
        return ()


def is_held_back(suspects: Sequence[SuspectKey]) -> sa.ColumnElement[bool]:
    """Whether a row of the feedback is a suspicious key's."""
    key = sa.func.coalesce(FEEDBACK.c.key_id, "")
    return sa.or_(sa.false(), *(sa.and_(key == one.key, FEEDBACK.c.created_at >= one.since) for one in suspects))
