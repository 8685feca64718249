"""The bounded queue in memory and the one thread that writes what is in it."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable

from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store.errors import reason_of
from visionloop.monitoring.store.rows import PredictionRow, Row

_log = logging.getLogger(__name__)

_ATTEMPTS = 5
"""How often a batch is tried; the wait between doubles, starting at `flush_s`."""
_MAX_WAIT_S = 5.0


class Writer:
    """A bounded queue and the thread that empties it into `save`.

    Args:
        save: Writes a batch and returns how many of its rows were unfit; raises when it should be tried again.
        settings: Sizes and times.
    """

    def __init__(self, save: Callable[[list[Row]], int], settings: StoreSettings) -> None:
        self.written = self.lost = self.refused = 0
        self._accepted = 0
        self._flush_to = 0
        self._save = save
        self._settings = settings
        self._queue: deque[Row] = deque()
        self._predictions: dict[str, PredictionRow] = {}
        lock = threading.Lock()
        self._work = threading.Condition(lock)
        self._settled = threading.Condition(lock)
        self._stopping = threading.Event()
        self._away = False
        self._thread = threading.Thread(target=self._run, name="prediction-store", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Rows accepted and neither written nor lost."""
        with self._work:
            return self._count()

    def put(self, row: Row) -> None:
        """Queue a row, or refuse it when the queue is full or closed."""
        with self._work:
            if self._stopping.is_set() or self._count() >= self._settings.max_pending:
                self.refused += 1
                return
            self._queue.append(row)
            self._accepted += 1
            if isinstance(row, PredictionRow):
                self._predictions[row.id] = row
            if len(self._queue) in (1, self._settings.batch):
                self._work.notify()

    def waiting(self, id: str) -> PredictionRow | None:
        """The prediction, while it is not yet in the database."""
        with self._work:
            return self._predictions.get(id)

    def flush(self, timeout_s: float) -> bool:
        """Wait for what is pending now; False when that takes longer than `timeout_s`, or rows were lost."""
        with self._work:
            goal, lost = self._accepted, self.lost
            self._flush_to = max(self._flush_to, goal)
            self._work.notify()
            settled = self._settled.wait_for(lambda: self.written + self.lost >= goal, timeout_s)
            return settled and self.lost == lost

    def close(self) -> None:
        """Write what is pending, for at most five seconds, and end the thread; the rest counts as lost."""
        if self._stopping.is_set():
            return
        self.flush(5.0)
        with self._work:
            self._stopping.set()
            self._work.notify()
        self._thread.join(self._settings.timeout_s + 1)

    def _count(self) -> int:
        return self._accepted - self.written - self.lost

    def _run(self) -> None:
        while batch := self._take():
            self._settle(batch, self._attempt(batch))
        with self._work:
            rest = list(self._queue)
            self._queue.clear()
        self._settle(rest, len(rest))

    def _take(self) -> list[Row]:
        with self._work:
            self._work.wait_for(lambda: self._queue or self._stopping.is_set())
            self._work.wait_for(self._due, self._settings.flush_s)
            if self._stopping.is_set():
                return []
            return [self._queue.popleft() for _ in range(min(len(self._queue), self._settings.batch))]

    def _due(self) -> bool:
        asked = self.written + self.lost < self._flush_to
        return asked or len(self._queue) >= self._settings.batch or self._stopping.is_set()

    def _attempt(self, batch: list[Row]) -> int:
        """Number of rows lost."""
        for attempt in itertools.count(1):
            try:
                lost = self._save(batch)
            except Exception as error:
                self._report(away=True, reason=reason_of(error))
            else:
                self._report(away=False)
                return lost
            wait_s = min(self._settings.flush_s * 2 ** (attempt - 1), _MAX_WAIT_S)
            if attempt == _ATTEMPTS or self._stopping.wait(wait_s):
                break
        return len(batch)

    def _settle(self, batch: list[Row], lost: int) -> None:
        with self._work:
            self.lost += lost
            self.written += len(batch) - lost
            for row in batch:
                if isinstance(row, PredictionRow):
                    self._predictions.pop(row.id, None)
            self._settled.notify_all()

    def _report(self, *, away: bool, reason: str = "") -> None:
        if away and not self._away:
            _log.warning("the prediction store cannot be written: %s; rows wait, then are dropped", reason)
        elif self._away and not away:
            _log.warning("the prediction store is written again; %d rows were dropped", self.lost + self.refused)
        self._away = away
