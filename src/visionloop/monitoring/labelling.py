"""Which predictions are most useful to look at: the model is unsure, a shadow disagrees, and a few at random.

Uncertainty is the margin between the two best classes (Scheffer, Decomain and Wrobel, "Active hidden Markov models for
information extraction", IDA 2001); of boxes, how near the least sure one is to a coin's toss.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from visionloop.monitoring.store import Unjudged

Reason = Literal["uncertain", "disagreement", "random"]

RANDOM_EVERY = 5
"""Every so many picks one is random: what models are sure of and wrong about is found no other way, and only the random
ones tell how good the model is on all images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A prediction to look at.

    Attributes:
        id: Of the prediction.
        reason: Why it was picked.
        usefulness: 0 (the model is sure and nobody disagrees) to 1.
    """

    id: str
    reason: Reason
    usefulness: float


def uncertainty(result: Mapping[str, Any]) -> float:
    """How unsure an answer is, from 0 to 1, as the API gave it.

    Of ranked classes 1 less the margin between the first two; of boxes 1 for a score of 0.5, 0 for scores of 0 and 1,
    the least sure box counting. An answer without any finding is 0: it says nothing of what it is unsure of.
    """
    ranked = result.get("ranked")
    if ranked:
        first = float(ranked[0]["score"])
        # One class alone was asked for: the second has at most what is left.
        second = float(ranked[1]["score"]) if len(ranked) > 1 else min(first, 1.0 - first)
        return _clipped(1.0 - (first - second))
    scores = [float(box["score"]) for box in result.get("detections") or ()]
    return _clipped(max((1.0 - abs(2.0 * score - 1.0) for score in scores), default=0.0))


def most_useful(candidates: Sequence[Unjudged], limit: int) -> list[Pick]:
    """The picks, in the order in which to look at them; an image that was sent twice is picked once.

    The random ones are drawn by the hash of their id: asked again, the same come in the same order.
    """
    images: dict[str, Unjudged] = {}
    for candidate in candidates:
        images.setdefault(candidate.image_sha256, candidate)
    ranked = sorted(map(_judged, images.values()), key=lambda pick: (-pick.usefulness, pick.id))
    drawn = sorted(ranked, key=lambda pick: hashlib.sha256(pick.id.encode()).digest())
    picks: dict[str, Pick] = {}
    best, chance = iter(ranked), iter(drawn)
    while len(picks) < min(limit, len(ranked)):
        is_random = len(picks) % RANDOM_EVERY == RANDOM_EVERY - 1
        pick = next(pick for pick in (chance if is_random else best) if pick.id not in picks)
        reason: Reason = "random" if is_random else pick.reason
        picks[pick.id] = Pick(id=pick.id, reason=reason, usefulness=pick.usefulness)
    return list(picks.values())


def _judged(candidate: Unjudged) -> Pick:
    unsure = uncertainty(candidate.result)
    disagreement = 0.0 if candidate.agreement is None else _clipped(1.0 - candidate.agreement)
    if disagreement > unsure:
        return Pick(id=candidate.id, reason="disagreement", usefulness=disagreement)
    return Pick(id=candidate.id, reason="uncertain", usefulness=unsure)


def _clipped(value: float) -> float:
    return min(1.0, max(0.0, value))
