"""True accuracy from labels, corrected for how the labelled images were chosen.

Images chosen because the model doubted them say nothing of how often it is right, and what people report by
themselves is mostly mistakes. What was drawn by chance does: draw h had N_h images, n_h of them have been judged, so
each stands for w = N_h / n_h images. The estimate is the ratio (Hajek) estimator sum w y / sum w of a stratified random
sample (Cochran, "Sampling Techniques", 3rd ed. 1977, ch. 5); its interval is Wilson's for the effective number of
labels (sum w)^2 / sum w^2 (Kish 1965). It takes those drawn and not judged to be like those judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from visionloop.evaluation.statistics import Interval, weighted_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A judged answer.

    Attributes:
        right: Whether it was right.
        reason: Why it was chosen to be judged; None where somebody judged it unasked.
        draw: The draw it is of, whatever else it was chosen for; None where chance did not draw it.
        draw_images: Images that the draw was made among.
    """

    right: bool
    reason: str | None = None
    draw: str | None = None
    draw_images: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueAccuracy:
    """An accuracy by people's word.

    Attributes:
        interval: The estimate with its interval.
        num_labels: It rests on.
        basis: `random`: a random sample of the traffic. `unasked`: what people judged by themselves, for which nothing
            promises that it is like the rest.
    """

    interval: Interval
    num_labels: int
    basis: Literal["random", "unasked"]

    def text(self) -> str:
        """In words, as "87.5% of 40 judged answers were right ...", with interval and basis."""
        found, about = self.interval, "drawn by chance" if self.basis == "random" else "judged unasked"
        return (
            f"{found.mean:.1%} of {self.num_labels:,} judged answers were right "
            f"({found.confidence:.0%} interval {found.lower:.1%} to {found.upper:.1%}; {about})"
        )


def true_accuracy(judged: Sequence[Judged], *, at_least: int, confidence: float = 0.95) -> TrueAccuracy | None:
    """The share of right answers in all traffic, as far as labels tell.

    By what was drawn by chance where at least `at_least` of that is judged; else by that and what people judged
    unasked. What was chosen for another reason never counts.

    Returns:
        None with fewer than `at_least` labels.
    """
    drawn = [one for one in judged if one.draw is not None]
    if len(drawn) >= at_least:
        answered = Counter(one.draw for one in drawn)
        weights = [max(one.draw_images or 1, 1) / answered[one.draw] for one in drawn]
        interval = weighted_interval([one.right for one in drawn], weights, confidence=confidence)
        return TrueAccuracy(interval=interval, num_labels=len(drawn), basis="random")
    counted = [one for one in judged if one.draw is not None or one.reason is None]
    if not counted or len(counted) < at_least:
        return None
    interval = weighted_interval([one.right for one in counted], [1.0] * len(counted), confidence=confidence)
    return TrueAccuracy(interval=interval, num_labels=len(counted), basis="unasked")
