"""How far a job is: its counts, and the file of rows that they are of."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import orjson

from visionloop.serving.batches.results import entries
from visionloop.serving.batches.state import JobState, Status, save

_SAVE_S = 0.5


class Progress:
    """Counts, written to `job.json` now and then."""

    def __init__(self, folder: Path, state: JobState) -> None:
        self._folder = folder
        self._state = state
        self._models: set[str] = set()
        self._boxes: bool | None = None
        self._failures = 0
        self._began = self._saved = time.monotonic()
        self._done_before = 0
        self.done = 0

    def count(self, row: Mapping[str, Any]) -> None:
        """One row that is whole."""
        self.done += 1
        if "error" in row:
            self._failures += 1
            return
        self._models.add(row["model"])
        for entry in entries(row):
            self._boxes = bool(self._boxes) or "box_xyxy" in entry

    def begin(self) -> None:
        """The rows found were counted; from here on speed is measured."""
        self._done_before = self.done
        self._state = self._state.model_copy(update={"started_at": self._state.started_at or time.time()})
        self._save()

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows that were written just now."""
        for row in rows:
            self.count(row)
        if time.monotonic() - self._saved >= _SAVE_S:
            self._save()

    def state(self, status: Status) -> JobState:
        """As it stands."""
        seconds = time.monotonic() - self._began
        return self._state.model_copy(
            update={
                "status": status,
                "done": self.done,
                "failures": self._failures,
                "models": tuple(sorted(self._models)),
                "boxes": self._boxes,
                "images_per_s": round((self.done - self._done_before) / seconds, 2) if seconds else None,
            }
        )

    def _save(self) -> None:
        self._saved = time.monotonic()
        save(self._folder, self.state("running"))


def open_results(path: Path, progress: Progress) -> IO[bytes]:
    """The file of rows, at its end; a last row that is not whole is cut off."""
    file = path.open("a+b")
    try:
        file.seek(0)
        whole = 0
        for line in file:
            try:
                row = orjson.loads(line) if line.endswith(b"\n") else None
            except orjson.JSONDecodeError:
                row = None
            if row is None:
                break
            progress.count(row)
            whole += len(line)
        file.truncate(whole)
        file.seek(whole)
    except BaseException:
        file.close()
        raise
    return file
