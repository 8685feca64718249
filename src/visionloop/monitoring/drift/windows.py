"""Tumbling windows of distinct images, in which no client outweighs the others, and the alarm over several of them.

Frames of a standing camera are not independent draws: with them every test alarms (99 to 100% of windows without
drift, when tried). So a window counts distinct images only. The first of several near duplicates stays.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from visionloop.monitoring.drift.features import hamming
from visionloop.monitoring.drift.observations import Observations
from visionloop.monitoring.settings import DriftSettings

Status = Literal["ok", "drift", "critical", "insufficient_data"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """Consecutive observations of one model.

    Attributes:
        observations: The distinct images that count, in order.
        complete: Whether there are as many as the settings ask for.
        num_seen: All images the window saw.
        num_duplicates: Left out because they look like an earlier one of the window.
        num_capped: Left out because their client had filled its share.
        first, last: Positions of the first and the last row it saw, in what was cut; both -1 where it saw none.
        digest: Of the bundle that answered, where it is known: a profile of another one is refused.
    """

    observations: Observations
    complete: bool
    num_seen: int
    num_duplicates: int = 0
    num_capped: int = 0
    first: int = -1
    last: int = -1
    digest: str | None = None


def tumbling_windows(
    rows: Observations, settings: DriftSettings, *, duplicate_bits: int | None = None, digest: str | None = None
) -> list[Window]:
    """Cut rows into windows that follow each other without overlap.

    Args:
        rows: In order of time.
        settings: Size, near duplicates and the share of a client.
        duplicate_bits: The profile's; `settings.duplicate_bits` without one.
        digest: Of the bundle that answered.

    Returns:
        At least one window. The last is incomplete unless the rows end exactly with a full one; without any rows it
        is empty.
    """
    bits = settings.duplicate_bits if duplicate_bits is None else min(duplicate_bits, settings.duplicate_bits)
    cap = client_cap(rows.clients, settings)
    windows: list[Window] = []
    start = 0
    while start < len(rows) or not windows:
        window = _fill(rows, start, settings.window_images, bits, cap, digest)
        windows.append(window)
        start = max(window.last, start) + 1
    return windows


def client_cap(clients: Sequence[str | None], settings: DriftSettings) -> int:
    """Most rows of one client in a window.

    `client_share` of it, or an equal share where there are too few clients for that: two clients fill half each.
    """
    known = len({client for client in clients if client is not None})
    # Rows without a key are a client of no name; where there are no keys at all there is nothing to cap.
    share = max(settings.client_share, 1 / max(1, known + (None in clients)))
    return math.ceil(share * settings.window_images - 1e-9)


def distinct(dhash: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.intp]:
    """Positions of the images that look like no earlier one that was kept.

    Args:
        dhash: uint64 [N].
        bits: Hashes that differ in at most so many bits look alike; -1 keeps all.
    """
    if bits < 0:
        return np.arange(len(dhash))
    kept = np.empty_like(dhash)
    positions: list[int] = []
    for position, value in enumerate(dhash):
        if not (hamming(kept[: len(positions)], value) <= bits).any():
            kept[len(positions)] = value
            positions.append(position)
    return np.array(positions, np.intp)


def natural_duplicate_bits(dhash: npt.NDArray[np.uint64], limit: int, *, size: int = 200) -> int:
    """How many bits near duplicates may differ in, so that at most 1% of distinct images are taken for one.

    Where hashes say little (digits on black, slides under a microscope), distinct images lie close to each other, and
    thinning them would itself shift what a window holds.

    Args:
        dhash: uint64 [N] of images that are known to be distinct.
        limit: Largest answer.
        size: Of the windows; the more images, the more chance neighbours.

    Returns:
        Between -1 (hashes cannot tell them apart) and `limit`.
    """
    order = np.random.default_rng(0).permutation(len(dhash))
    groups = [dhash[order[start : start + size]] for start in range(0, len(order), size)]
    groups = [group for group in groups if len(group) >= min(size, len(dhash))][:5]
    total = sum(map(len, groups))
    for bits in range(limit, -1, -1):
        if total - sum(len(distinct(group, bits)) for group in groups) <= 0.01 * total:
            return bits
    return -1


def alarm(history: Sequence[Status], settings: DriftSettings) -> bool:
    """Whether enough of the latest complete windows drifted.

    Args:
        history: Status of windows of one model, oldest first; those with insufficient data do not count.
        settings: How many of how many.
    """
    latest = [status for status in history if status != "insufficient_data"][-settings.alarm_windows :]
    return sum(status in ("drift", "critical") for status in latest) >= settings.alarm_drifted


def _fill(rows: Observations, start: int, size: int, bits: int, cap: int, digest: str | None) -> Window:
    kept: list[int] = []
    hashes = np.empty(size, np.uint64)
    per_client: Counter[str | None] = Counter()
    duplicates = capped = 0
    position = start - 1
    for position in range(start, len(rows)):
        value, client = rows.dhash[position], rows.clients[position]
        if bits >= 0 and (hamming(hashes[: len(kept)], value) <= bits).any():
            duplicates += 1
        elif per_client[client] >= cap:
            capped += 1
        else:
            hashes[len(kept)] = value
            kept.append(position)
            per_client[client] += 1
            if len(kept) == size:
                break
    seen = position - start + 1
    return Window(
        observations=rows.take(kept),
        complete=len(kept) == size,
        num_seen=seen,
        num_duplicates=duplicates,
        num_capped=capped,
        first=start if seen else -1,
        last=position if seen else -1,
        digest=digest,
    )
