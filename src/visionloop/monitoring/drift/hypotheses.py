"""The tests: each compares one aspect of a window with the reference and gives a p-value beside an effect size.

All are defined for every input: what cannot be compared has an outcome that says why, and no p-value. scipy is
imported where it is used, so that nothing that serves loads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from visionloop.monitoring.drift.permutation import Floats, Groups, permutation_p

Outcome = Literal["tested", "constant", "too_few", "no_data"]

MIN_VALUES = 20
"""Finite values a side needs for a test."""
_MIN_EXPECTED = 5.0
"""Expected count below which chi-square's distribution is not trusted (Cochran 1954)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """One test's answer.

    Attributes:
        outcome: `tested`, or why not: `constant` (one value on both sides), `too_few` finite values, `no_data`.
        p: The p-value, None unless tested.
        effect: How large the difference is, None unless tested.
        num_reference, num_window: Values that took part.
    """

    __test__ = False  # pytest takes the name for a test class

    outcome: Outcome
    p: float | None = None
    effect: float | None = None
    num_reference: int
    num_window: int


def ks_test(reference: Floats, window: Floats) -> TestResult:
    """Two-sample Kolmogorov-Smirnov test of one number; the effect is D, the largest gap of the distributions, 0 to 1.

    Smirnov (1948); p-values by scipy: asymptotic with Stephens's effective size, exact below 100 values. Ties make it
    conservative. Values that are not finite do not take part.
    """
    from scipy.stats import ks_2samp

    reference, window = reference[np.isfinite(reference)], window[np.isfinite(window)]
    sizes = {"num_reference": len(reference), "num_window": len(window)}
    if not len(window) or not len(reference):
        return TestResult(outcome="no_data", **sizes)
    if min(len(window), len(reference)) < MIN_VALUES:
        return TestResult(outcome="too_few", **sizes)
    if reference.min() == reference.max() == window.min() == window.max():
        return TestResult(outcome="constant", **sizes)
    method = "asymp" if min(len(window), len(reference)) >= 100 else "auto"
    result = ks_2samp(reference, window, method=method)
    return TestResult(outcome="tested", p=float(result.pvalue), effect=float(result.statistic), **sizes)


def class_test(
    reference: npt.NDArray[np.integer],
    window: npt.NDArray[np.integer],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> TestResult:
    """Chi-square test of homogeneity of predicted classes; the effect is Cramer's V, 0 to 1.

    Where an expected count is below 5, or an answer names several classes (the boxes of one image are not independent
    of each other), the distribution of the statistic comes from permuting images instead.

    Args:
        reference: Counts [N,C].
        window: Counts [M,C].
        permutations: At most so many.
        rng: Draws them.
    """
    from scipy.stats import chi2

    sizes = {"num_reference": len(reference), "num_window": len(window)}
    counts = np.concatenate([reference, window]).astype(np.float64)
    counts = counts[:, counts.sum(axis=0) > 0]
    total = counts.sum(axis=0)
    if not len(reference) or not len(window) or not total.size:
        return TestResult(outcome="no_data", **sizes)
    if min(len(reference), len(window)) < MIN_VALUES:
        return TestResult(outcome="too_few", **sizes)
    if total.size < 2:
        return TestResult(outcome="constant", **sizes)
    here = counts[len(reference) :].sum(axis=0)
    statistic = float(_chi_square(here, total))
    effect = float(np.sqrt(statistic / total.sum()))
    expected = np.outer([here.sum(), total.sum() - here.sum()], total) / total.sum()
    single = bool((counts.sum(axis=1) == 1).all())
    if single and expected.min() >= _MIN_EXPECTED:
        return TestResult(outcome="tested", p=float(chi2.sf(statistic, total.size - 1)), effect=effect, **sizes)

    if single:  # permuting images with one class each draws from this distribution

        def draw(start: int, num: int) -> Floats:  # noqa: ARG001
            return _chi_square(rng.multivariate_hypergeometric(total.astype(np.int64), len(window), num), total)
    else:
        groups = Groups.make(len(reference), len(window), rng)
        grouped = groups.sums(counts)

        def draw(start: int, num: int) -> Floats:
            return _chi_square(groups.draw(start, num) @ grouped, total)

    return TestResult(outcome="tested", p=permutation_p(statistic, draw, permutations), effect=effect, **sizes)


def holm(p_values: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
    """Adjusted p-values: those at most alpha are significant with a family-wise error of at most alpha.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979),
    with the weights of its section 4; holds whatever the dependence between the tests.

    Args:
        p_values: One a test.
        weights: Positive, each test's claim to alpha; alike by default.
    """
    shares = np.ones(len(p_values)) if weights is None else np.asarray(weights, np.float64)
    scaled = np.asarray(p_values, np.float64) / shares
    order = np.argsort(scaled, kind="stable")
    # The weights of those that are not rejected before it.
    remaining = np.cumsum(shares[order][::-1])[::-1]
    adjusted = np.minimum(1.0, np.maximum.accumulate(scaled[order] * remaining))
    result = np.empty(len(p_values))
    result[order] = adjusted
    return [float(value) for value in result]


def _chi_square(here: npt.ArrayLike, total: Floats) -> Floats:
    """Statistic of a 2 x C table: one row [...,C], and the sum of both rows [C]."""
    here = np.asarray(here, np.float64)
    share = here.sum(axis=-1, keepdims=True) / total.sum()
    expected = share * total
    # Two rows that sum to `total`: both deviate by the same amount.
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = (here - expected) ** 2 * (1 / expected + 1 / (total - expected))
    statistic: Floats = np.where(np.isfinite(parts), parts, 0.0).sum(axis=-1)
    return statistic
