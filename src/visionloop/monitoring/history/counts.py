"""Counts of stored answers, additive over time: of versions, classes, confidences, latencies."""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

LATENCY_EDGES_MS = tuple(0.5 * 1.25**step for step in range(54))
"""Between bins of latency: each is a quarter wider than the one before it, up to 68 s."""
CONFIDENCE_EDGES = tuple(step / 20 for step in range(1, 20))
"""Between bins of confidence."""
MAX_CLASSES = 100
"""Most classes that an hour is counted by; the rest are `others`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Answers that somebody got in a stretch of time.

    Attributes:
        versions: By the model's version.
        classes: By the class that stands out.
        others: Of further classes.
        nothing: That found nothing.
        confidence: By bin between `CONFIDENCE_EDGES`, of those that found something.
        latency: By bin between `LATENCY_EDGES_MS`.
    """

    versions: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    others: int = 0
    nothing: int = 0
    confidence: tuple[int, ...] = (0,) * (len(CONFIDENCE_EDGES) + 1)
    latency: tuple[int, ...] = (0,) * (len(LATENCY_EDGES_MS) + 1)

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.versions.values())

    def percentile_ms(self, percent: float) -> float | None:
        """A percentile of latency, interpolated within its bin: off by at most a tenth; None without answers."""
        return percentile(LATENCY_EDGES_MS, self.latency, percent)

    def to_record(self) -> dict[str, Any]:
        """As JSON; the most frequent classes by name."""
        named = dict(self.classes.most_common(MAX_CLASSES))
        return {
            "versions": dict(self.versions),
            "classes": named,
            "others": self.others + self.classes.total() - sum(named.values()),
            "nothing": self.nothing,
            "confidence": list(self.confidence),
            "latency": list(self.latency),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """From `to_record`."""
        return cls(
            versions=Counter(record["versions"]),
            classes=Counter(record["classes"]),
            others=record["others"],
            nothing=record["nothing"],
            confidence=tuple(record["confidence"]),
            latency=tuple(record["latency"]),
        )

    @classmethod
    def merged(cls, parts: Iterable[Self]) -> Self:
        """The sum."""
        versions: Counter[str] = Counter()
        classes: Counter[str] = Counter()
        others = nothing = 0
        empty = cls()
        confidence, latency = list(empty.confidence), list(empty.latency)
        for part in parts:
            versions.update(part.versions)
            classes.update(part.classes)
            others += part.others
            nothing += part.nothing
            confidence = [a + b for a, b in zip(confidence, part.confidence, strict=True)]
            latency = [a + b for a, b in zip(latency, part.latency, strict=True)]
        return cls(
            versions=versions,
            classes=classes,
            others=others,
            nothing=nothing,
            confidence=tuple(confidence),
            latency=tuple(latency),
        )


def percentile(edges: Sequence[float], counts: Sequence[int], percent: float) -> float | None:
    """A percentile of what was counted in bins, interpolated within its bin.

    Args:
        edges: Between bins, rising, above 0; the first bin begins at 0, of the last only the beginning is known.
        counts: Of each bin, one more than edges.
        percent: 0 to 100.

    Returns:
        In the edges' unit; None where nothing was counted.
    """
    reached = list(itertools.accumulate(counts))
    if not reached[-1]:
        return None
    wanted = percent / 100 * reached[-1]
    index = min(bisect.bisect_left(reached, wanted), len(reached) - 1)
    while not counts[index]:  # of 0 percent, the first that has any
        index += 1
    low = edges[index - 1] if index else 0.0
    if index == len(edges):
        return low
    within = (wanted - (reached[index] - counts[index])) / counts[index]
    return low + (edges[index] - low) * min(1.0, max(0.0, within))
