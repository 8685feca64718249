"""How this worker's requests ended, until the prediction store has it: an error rate over time outlives the worker."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from visionloop.monitoring.history.requests import MINUTE_S, Ending, add_endings
from visionloop.monitoring.store import PredictionStore, StoreError

_MOST = 10_000
"""Different endings held while there is no database: days of minutes with a few kinds each."""
_OWN = frozenset({"/livez", "/readyz", "/metrics", "/openapi.json"})


class Tally:
    """Counts endings on the event loop, and adds them to the store in whichever thread is free for it.

    Args:
        clock: Seconds since 1970; another one is for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._counts: Counter[Ending] = Counter()

    def count(self, path: str, status: int, code: str = "") -> None:
        """One request more.

        What orchestrators and this service's own page ask all the time is not counted: it would hide what happens to
        everybody else.
        """
        if path in _OWN or path.startswith("/v1/monitoring/"):
            return
        ending = Ending(int(self._clock()) // MINUTE_S, status, code)
        with self._lock:
            if len(self._counts) < _MOST or ending in self._counts:
                self._counts[ending] += 1

    def write(self, store: PredictionStore | None) -> None:
        """Add what was counted to the store; what it does not take waits for the next time. Never raises."""
        if store is None or not self._writing.acquire(blocking=False):
            return
        try:
            with self._lock:
                counts, self._counts = self._counts, Counter()
            try:
                add_endings(*store.database, counts, datetime.fromtimestamp(self._clock(), UTC))
            except StoreError:
                # The store's own writer says that the database is away.
                with self._lock:
                    self._counts.update(counts)
        finally:
            self._writing.release()
