"""The difference of two proportions, with a confidence that holds however often one looks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

# No scipy: the service shows these bounds on its page, and its image has none.
_TOLERANCE = 1e-6
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Successes among independent trials.

    Attributes:
        successes: 0 to `trials`.
        trials: 0 or more.
    """

    successes: int
    trials: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.trials:
            raise ValueError(f"successes must be in 0..trials, found {self.successes} of {self.trials}")

    @property
    def share(self) -> float:
        """Successes over trials; NaN without trials."""
        return self.successes / self.trials if self.trials else math.nan


def log_evidence(count: Count, share: float) -> float:
    """Logarithm of the evidence against `share` being the true proportion, by a uniform mixture.

    log of B(1 + s, 1 + n - s) / (p^s (1 - p)^(n - s)): under the true p its exponential is a martingale of mean
    1, so it ever exceeds 1/alpha with a probability of at most alpha, whenever one stops (Ville 1939; Robbins,
    "Statistical methods related to the law of the iterated logarithm", 1970; Howard, Ramdas, McAuliffe and Sekhon,
    "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49, 2021).

    Args:
        count: What was seen so far.
        share: The proportion held against it, 0 to 1.

    Returns:
        A finite number, or infinity where `share` cannot give what was seen.
    """
    failures = count.trials - count.successes
    likelihood = _times_log(count.successes, share) + _times_log(failures, 1.0 - share)
    log_beta = math.lgamma(1 + count.successes) + math.lgamma(1 + failures) - math.lgamma(2 + count.trials)
    return log_beta - likelihood


def difference_bounds(first: Count, second: Count, *, confidence: float = 0.95) -> tuple[float, float]:
    """Bounds of `second`'s true proportion minus `first`'s that hold at all times at once.

    The evidence of two independent arms multiplies. The bounds are the extremes of q - p over all pairs (p, q)
    whose joint evidence has not reached 1 / (1 - confidence). So one may look every day, stop when the bounds
    leave zero, and still be wrong with a probability of at most 1 - confidence; the price is width: bounds for one
    look alone are about half as wide.

    Args:
        first: Of the model that is there.
        second: Of the model that might replace it.
        confidence: In (0, 1).

    Returns:
        Lower and upper bound, in [-1, 1]; -1 and 1 without trials.

    Raises:
        ValueError: confidence is out of range.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be between 0 and 1, found {confidence}")
    limit = -math.log1p(-confidence)
    centre = _likeliest(second) - _likeliest(first)

    def excess(difference: float) -> float:
        return min(_least_evidence(first, second, difference), 1e6) - limit

    lower = -1.0 if excess(-1.0) <= 0 else _crossing(excess, outside=-1.0, inside=centre)
    upper = 1.0 if excess(1.0) <= 0 else _crossing(excess, outside=1.0, inside=centre)
    return lower, upper


def _likeliest(count: Count) -> float:
    return count.share if count.trials else 0.5


def _least_evidence(first: Count, second: Count, difference: float) -> float:
    """The joint evidence against the pair (p, p + difference) it speaks least against; convex in p."""
    low, high = max(0.0, -difference), min(1.0, 1.0 - difference)

    def joint(share: float) -> float:
        return log_evidence(first, share) + log_evidence(second, min(1.0, max(0.0, share + difference)))

    # A bounded search never tries the ends themselves, where all of it may lie.
    least = min(joint(low), joint(high))
    return min(least, _minimum(joint, low, high)) if high - low > _TOLERANCE else least


def _times_log(count: int, value: float) -> float:
    """count * log(value), and 0 for none of nothing."""
    if count == 0:
        return 0.0
    return count * math.log(value) if value > 0 else -math.inf


def _crossing(excess: Callable[[float], float], *, outside: float, inside: float) -> float:
    """Where `excess` falls to 0 between a point above 0 and one at or below it; by bisection."""
    while abs(outside - inside) > _TOLERANCE:
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if excess(middle) > 0 else (outside, middle)
    return outside


def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """The least value of a convex function between two points; by golden sections."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > _TOLERANCE:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return min(at_left, at_right)
