"""How sure a number is: intervals for proportions, and for the difference of two models on the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

_BLOCK = 1 << 22
"""Drawn indices held in memory at once."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A point estimate with its confidence interval.

    Attributes:
        mean: The estimate.
        lower, upper: Bounds of the interval.
        confidence: Share of samplings in which such an interval holds the true value.
    """

    mean: float
    lower: float
    upper: float
    confidence: float


def wilson_interval(successes: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """The score interval of a proportion: honest near 0 and 1 and for few trials, where the textbook's is not.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927);
    recommended by Brown, Cai and DasGupta, "Interval estimation for a binomial proportion",
    Statistical Science 16 (2001).

    Args:
        successes: Between 0 and `trials`.
        trials: At least 1.
        confidence: In (0, 1).

    Raises:
        ValueError: an argument is out of range.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"successes must be in 0..trials and trials at least 1, found {successes} of {trials}")
    return score_interval(successes / trials, float(trials), confidence=confidence)


def weighted_interval(successes: Sequence[bool], weights: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """The score interval of a weighted share, for as many trials as the weights are worth.

    (sum w)^2 / sum w^2 is Kish's effective sample size ("Survey Sampling", 1965, section 11.7); with equal weights it
    is the number of trials, and the interval `wilson_interval`.

    Args:
        successes: One a trial.
        weights: Above 0, one a trial.
        confidence: In (0, 1).

    Raises:
        ValueError: nothing, a weight that is not positive, or lengths that differ.
    """
    rights, sizes = np.asarray(successes, np.float64), np.asarray(weights, np.float64)
    if rights.shape != sizes.shape or not len(sizes) or not (sizes > 0).all():
        raise ValueError(f"one positive weight a trial is needed, found {len(sizes)} for {len(rights)}")
    share = float((rights * sizes).sum() / sizes.sum())
    return score_interval(share, float(sizes.sum() ** 2 / (sizes**2).sum()), confidence=confidence)


def score_interval(share: float, trials: float, *, confidence: float = 0.95) -> Interval:
    """As `wilson_interval`, of a share that was estimated otherwise, and is as sure as so many trials would make it.

    Args:
        share: In [0, 1].
        trials: Above 0; need not be whole.
        confidence: In (0, 1).
    """
    z = _two_sided_z(confidence)
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    return Interval(mean=share, lower=max(0.0, centre - half), upper=min(1.0, centre + half), confidence=confidence)


def paired_bootstrap(
    challenger: Values, champion: Values, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Interval of the mean gain of one model over another on the same images, by resampling images.

    The two models meet the same easy and hard images, so it is the difference on each image that is
    resampled. Percentile interval: Efron and Tibshirani, "An introduction to the bootstrap" (1993), ch. 13;
    for paired systems: Koehn, "Statistical significance tests for machine translation evaluation", EMNLP 2004.

    Args:
        challenger, champion: float64 [N], contributions of the same images in the same order; finite.
        confidence: In (0, 1).
        resamples: Bootstrap samples; 10,000 fixes a 95% bound to about 1% of its standard error.
        seed: Of the resampling; equal seeds give equal bounds.

    Returns:
        Mean of challenger - champion with its bounds.

    Raises:
        ValueError: lengths differ, nothing to compare, or a value is not finite.
    """
    if challenger.shape != champion.shape or challenger.ndim != 1 or not len(challenger):
        raise ValueError(f"two arrays [N] of equal N >= 1 are needed, found {challenger.shape} and {champion.shape}")
    _two_sided_z(confidence)
    gains = np.asarray(challenger, np.float64) - np.asarray(champion, np.float64)
    if not np.isfinite(gains).all():
        raise ValueError("a contribution is not finite")
    means = _resampled_means(gains, resamples, np.random.default_rng(seed))
    tail = 50.0 * (1.0 - confidence)
    lower, upper = np.percentile(means, [tail, 100.0 - tail])
    return Interval(mean=float(gains.mean()), lower=float(lower), upper=float(upper), confidence=confidence)


def _resampled_means(values: Values, resamples: int, rng: np.random.Generator) -> Values:
    """Means of `resamples` draws with replacement, float64 [resamples]."""
    num = len(values)
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= 64:
        # Right or wrong: how often each value is drawn is multinomial, which needs no draw of single images.
        drawn = rng.multinomial(num, counts / num, size=resamples)
        return np.asarray(drawn @ distinct / num, dtype=np.float64)
    means = np.empty(resamples)
    rows = max(1, _BLOCK // num)
    for start in range(0, resamples, rows):
        block = means[start : start + rows]
        block[:] = values[rng.integers(0, num, size=(len(block), num))].mean(axis=1)
    return means


def _two_sided_z(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be between 0 and 1, found {confidence}")
    return NormalDist().inv_cdf(0.5 + confidence / 2.0)
