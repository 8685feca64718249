"""What drift is seen by: each answered image in numbers, as long as that takes a small share of the worker's time."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from visionloop.core.images import ImageArray
from visionloop.monitoring.drift.observations import observe
from visionloop.serving import metrics
from visionloop.serving.settings import ObserveSettings
from visionloop.task import Prediction, Task

_log = logging.getLogger(__name__)

_BURST_S = 0.02
"""Seconds of measuring that an idle worker saves up, so that the images of one request hold up each other little."""


class Answered(NamedTuple):
    """An image with its answer; `wanted` where it will be remembered."""

    image: ImageArray
    prediction: Prediction
    wanted: bool


class Observer:
    """Measures answered images within a budget of time; one for each worker, used by its inference threads.

    Where there are more images than the budget allows, chance decides which are measured, so that windows of drift
    stay a fair sample of the traffic.
    """

    def __init__(self, settings: ObserveSettings, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock` gives seconds; another one is for tests."""
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._saved_s, self._at = _BURST_S, clock()
        self._measured, self._passed_over, self._failed = (
            metrics.OBSERVED.labels(fate) for fate in ("measured", "passed_over", "failed")
        )

    def observe(self, task: Task, answered: Sequence[Answered]) -> list[dict[str, Any] | None]:
        """Records for the prediction store's `features`, in order; None for what is not measured. Never raises."""
        records: list[dict[str, Any] | None] = [None] * len(answered)
        if not self._settings.enabled:
            return records
        wanted = [index for index, item in enumerate(answered) if item.wanted]
        for index in random.sample(wanted, len(wanted)):
            if not self._affords():
                self._passed_over.inc()
                continue
            started = self._clock()
            try:
                item = answered[index]
                records[index] = observe(task, item.image, item.prediction).to_record()
                self._measured.inc()
            except Exception:
                # An answer is never lost to what is noted about it.
                _log.exception("an image could not be measured")
                self._failed.inc()
            with self._lock:
                self._saved_s -= self._clock() - started
        return records

    def _affords(self) -> bool:
        now = self._clock()
        with self._lock:
            self._saved_s = min(_BURST_S, self._saved_s + (now - self._at) * self._settings.max_share)
            self._at = now
            return self._saved_s > 0
