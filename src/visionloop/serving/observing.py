"""What drift is seen by: each answered image in numbers, as long as that takes a small share of the worker's time."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from visionloop.core.images import ImageArray
from visionloop.monitoring.drift.features import ImageFeatures, image_features
from visionloop.monitoring.drift.observations import observed
from visionloop.serving import metrics
from visionloop.serving.settings import ObserveSettings
from visionloop.task import Prediction, Task

_log = logging.getLogger(__name__)

_BURST_S = 0.02
"""Seconds of measuring that an idle worker saves up, so that the images of one request hold up each other little."""
_FIRST_GUESS_S = 0.001
"""What an image is thought to cost before any was measured."""


class Observer:
    """Measures answered images within a budget of time; one for each worker, used by its inference threads.

    Where there are more images than the budget allows, chance decides which are measured, so that windows of drift
    stay a fair sample of the traffic. Nothing here raises: an answer is never lost to what is noted about it.
    """

    def __init__(self, settings: ObserveSettings, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock` gives seconds; another one is for tests."""
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._saved_s, self._cost_s, self._at = _BURST_S, _FIRST_GUESS_S, clock()
        self._measured, self._passed_over, self._failed = (
            metrics.OBSERVED.labels(fate) for fate in ("measured", "passed_over", "failed")
        )

    def choose(self, wanted: Sequence[int]) -> frozenset[int]:
        """Which of the images at these places of a batch are measured: all, or as many as there is time for."""
        if not self._settings.enabled or not wanted:
            return frozenset()
        now = self._clock()
        with self._lock:
            self._saved_s = min(_BURST_S, self._saved_s + (now - self._at) * self._settings.max_share)
            self._at = now
            count = min(len(wanted), max(0, math.ceil(self._saved_s / self._cost_s)))
        if count < len(wanted):
            self._passed_over.inc(len(wanted) - count)
        return frozenset(random.sample(wanted, count))

    def measure(self, image: ImageArray) -> ImageFeatures | None:
        """An upright image in numbers; None where it cannot be measured."""
        started = self._clock()
        try:
            return image_features(image)
        except Exception:
            _log.exception("an image could not be measured")
            self._failed.inc()
            return None
        finally:
            took = self._clock() - started
            with self._lock:
                self._saved_s -= took
                # The latest images count most: a caller with large ones may come and go.
                self._cost_s += 0.1 * (max(took, 1e-5) - self._cost_s)

    def record(self, task: Task, features: ImageFeatures | None, prediction: Prediction) -> dict[str, Any] | None:
        """For the prediction store's `features`; None where the image was not measured."""
        if features is None:
            return None
        try:
            record = observed(task, features, prediction).to_record()
        except Exception:
            _log.exception("an answer could not be measured")
            self._failed.inc()
            return None
        self._measured.inc()
        return record
