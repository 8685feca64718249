"""How often somebody may ask."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable


class RateLimiter:
    """A token bucket for each client: a burst first, then a steady rate.

    Args:
        per_minute: Steady rate, in requests a minute; the burst is a sixth of it, at least 10.
        clock: Seconds of a monotonic clock.
        max_clients: Most buckets kept; beyond it the one unused for longest is forgotten.
    """

    def __init__(
        self, per_minute: int, clock: Callable[[], float] = time.monotonic, *, max_clients: int = 10_000
    ) -> None:
        self._per_second = per_minute / 60
        self._burst = max(10.0, per_minute / 6)
        self._clock = clock
        self._max_clients = max_clients
        # Tokens left and when they were counted, in the order of last use.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: str) -> float:
        """Count one request.

        Returns:
            0 when it may pass, else the seconds after which the next one may; a refused request costs nothing.
        """
        now = self._clock()
        tokens, counted = self._buckets.get(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - counted) * self._per_second)
        wait_s = 0.0 if tokens >= 1 else (1 - tokens) / self._per_second
        self._buckets[client] = (tokens - 1 if wait_s == 0 else tokens, now)
        self._buckets.move_to_end(client)
        if len(self._buckets) > self._max_clients:
            self._buckets.popitem(last=False)
        return wait_s
