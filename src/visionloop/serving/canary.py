"""The watch on a canary: errors, latency and disagreement, against the champion in the same worker."""

from __future__ import annotations

from collections import deque
from statistics import median

from visionloop.serving.settings import CanarySettings


class CanaryWatch:
    """What one worker has seen of one canary; forgets all but the last `window` requests."""

    def __init__(self, settings: CanarySettings) -> None:
        self._settings = settings
        self._errors: deque[bool] = deque(maxlen=settings.window)
        self._canary_s: deque[float] = deque(maxlen=settings.window)
        self._champion_s: deque[float] = deque(maxlen=settings.window)
        self._agreement: deque[float] = deque(maxlen=settings.window)

    def answered(self, seconds: float, *, by_canary: bool) -> None:
        """Take a request that was answered in so many seconds."""
        if by_canary:
            self._errors.append(False)
            self._canary_s.append(seconds)
        else:
            self._champion_s.append(seconds)

    def failed(self) -> None:
        """Take a request of the canary's that ended in an error of ours."""
        self._errors.append(True)

    def compared(self, agreement: float) -> None:
        """Take an agreement with the champion, in [0, 1]."""
        self._agreement.append(agreement)

    def verdict(self) -> str | None:
        """Why the canary must stop, or None. Nothing is said before `min_requests`."""
        limits = self._settings
        if len(self._errors) < limits.min_requests:
            return None
        errors = sum(self._errors) / len(self._errors)
        if errors > limits.max_error_rate:
            return f"{errors:.0%} of its requests failed; {limits.max_error_rate:.0%} is allowed"
        if len(self._agreement) >= limits.min_requests:
            agreement = sum(self._agreement) / len(self._agreement)
            if agreement < limits.min_agreement:
                return f"it agrees with the champion in {agreement:.0%}; {limits.min_agreement:.0%} is required"
        if min(len(self._champion_s), len(self._canary_s)) >= limits.min_requests:
            ratio = median(self._canary_s) / max(median(self._champion_s), 1e-4)
            if ratio > limits.max_latency_ratio:
                return f"it takes {ratio:.1f} times as long as the champion; {limits.max_latency_ratio:g} is allowed"
        return None
