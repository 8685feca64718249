"""The difference of two proportions, with a confidence that holds however often one looks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import brentq, minimize_scalar
from scipy.special import betaln, xlog1py, xlogy

_TOLERANCE = 1e-6


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
    likelihood = xlogy(count.successes, share) + xlog1py(failures, -share)
    return float(betaln(1 + count.successes, 1 + failures) - likelihood)


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

    lower = -1.0 if excess(-1.0) <= 0 else brentq(excess, -1.0, centre, xtol=_TOLERANCE)
    upper = 1.0 if excess(1.0) <= 0 else brentq(excess, centre, 1.0, xtol=_TOLERANCE)
    return float(lower), float(upper)


def _likeliest(count: Count) -> float:
    return count.share if count.trials else 0.5


def _least_evidence(first: Count, second: Count, difference: float) -> float:
    """The joint evidence against the pair (p, p + difference) it speaks least against; convex in p."""
    low, high = max(0.0, -difference), min(1.0, 1.0 - difference)

    def joint(share: float) -> float:
        return log_evidence(first, share) + log_evidence(second, min(1.0, max(0.0, share + difference)))

    # A bounded search never tries the ends themselves, where all of it may lie.
    least = min(joint(low), joint(high))
    if high - low > _TOLERANCE:
        found = minimize_scalar(joint, bounds=(low, high), method="bounded", options={"xatol": _TOLERANCE})
        least = min(least, float(found.fun))
    return least
