"""The tests: each compares one aspect of a window with the reference and gives a p-value beside an effect size.

All are defined for every input: what cannot be compared has an outcome that says why, and no p-value. scipy is
imported where it is used, so that nothing that serves loads it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

Outcome = Literal["tested", "constant", "too_few", "no_data"]
Floats = npt.NDArray[np.float64]

MIN_VALUES = 20
"""Finite values a side needs for a test."""
_MIN_EXPECTED = 5.0
"""Expected count below which chi-square's distribution is not trusted (Cochran 1954)."""
_ENOUGH = 20
"""Permutations at least as extreme as the data after which a p-value is known well enough."""
_FIRST_BATCH, _BATCH = 100, 1000
"""Permutations drawn at once."""
_DIMENSIONS = 128
"""Of an embedding in its tests; wider ones are projected."""
_GROUPS = 40
"""Least number of groups of images a side is permuted in."""
_RIDGE = 0.05
"""Regularisation of the domain classifier per root of the number of images it learns from; points have length 1."""


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
        groups = _Groups.make(len(reference), len(window), rng)
        grouped = groups.sums(counts)

        def draw(start: int, num: int) -> Floats:
            return _chi_square(groups.draw(start, num) @ grouped, total)

    return TestResult(outcome="tested", p=permutation_p(statistic, draw, permutations), effect=effect, **sizes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbeddingTests:
    """Both tests on embeddings.

    Attributes:
        mmd: Its effect is the unbiased estimate of MMD squared, 0 (alike) to 2.
        domain: Its effect is the classifier's AUC over images it did not learn from, 0.5 (alike) to 1.
        scores: float64 [M], how far each image of the window looks like the window rather than the reference, by a
            classifier that did not learn from it; empty unless tested.
        reference_scores: float64 [N], likewise of the reference.
    """

    mmd: TestResult
    domain: TestResult
    scores: Floats
    reference_scores: Floats


def embedding_tests(
    reference: npt.NDArray[np.floating],
    window: npt.NDArray[np.floating],
    *,
    permutations: int,
    rng: np.random.Generator,
    num_folds: int = 5,
) -> EmbeddingTests:
    """Kernel two-sample test and domain classifier; both by permutation, so exact whatever the embedding.

    MMD: A. Gretton et al., "A kernel two-sample test", JMLR 13 (2012), with the Gaussian kernel at the median
    distance. Domain classifier: D. Lopez-Paz and M. Oquab, "Revisiting classifier two-sample tests", ICLR 2017, with
    a regularised linear least-squares classifier (Fisher's discriminant): its predictions are linear in the labels,
    so thousands of permuted labels cost one matrix product, where a logistic regression would be fitted anew each time.
    Images are permuted in groups (see `_Groups`).

    Args:
        reference: [N,D], finite.
        window: [M,D], finite; [M,0] where embeddings are not kept.
        permutations: At most so many.
        rng: Draws folds and permutations.
        num_folds: Of the classifier's cross-validation.
    """
    sizes = {"num_reference": len(reference), "num_window": len(window)}
    empty = np.zeros(0)

    def untested(outcome: Outcome) -> EmbeddingTests:
        result = TestResult(outcome=outcome, **sizes)
        return EmbeddingTests(mmd=result, domain=result, scores=empty, reference_scores=empty)

    if not len(reference) or not len(window) or not reference.shape[1] or not window.shape[1]:
        return untested("no_data")
    if min(len(reference), len(window)) < MIN_VALUES:
        return untested("too_few")
    points = np.concatenate([reference, window]).astype(np.float64)
    points -= points.mean(axis=0)
    scale = points.std(axis=0)
    if not (scale > 0).any():
        return untested("constant")
    # Every direction alike, over both sides together: that does not know the labels, so permutations stay exact.
    projected = _projected(points[:, scale > 0] / scale[scale > 0], rng)
    labels = np.repeat([0.0, 1.0], [len(reference), len(window)])
    groups = _Groups.make(len(reference), len(window), rng)
    mmd = _mmd(projected, labels, groups, permutations)
    smoother, folds = _cross_validated(projected, num_folds, rng)
    domain, scores = _domain(smoother, folds, labels, groups, permutations)
    return EmbeddingTests(
        mmd=TestResult(outcome="tested", p=mmd[0], effect=mmd[1], **sizes),
        domain=TestResult(outcome="tested", p=domain[0], effect=domain[1], **sizes),
        scores=scores[len(reference) :],
        reference_scores=scores[: len(reference)],
    )


def permutation_p(observed: float, draw: Callable[[int, int], Floats], permutations: int) -> float:
    """p-value of a statistic that is large under drift, by drawing it under permuted labels.

    Stops early where the data are clearly not extreme; J. Besag and P. Clifford, "Sequential Monte Carlo p-values",
    Biometrika 78 (1991): with the h-th draw at least as large at draw l, h / l is an exact p-value. Without it,
    (1 + exceedances) / (1 + draws).

    Args:
        observed: The statistic of the data.
        draw: Statistics of permuted data, from the permutation of this number on, so many.
        permutations: At most so many.
    """
    slack = 1e-9 * max(1.0, abs(observed))
    drawn = exceeding = 0
    while drawn < permutations:
        # Growing batches: what is clearly not extreme shows it in the first hundred.
        batch = draw(drawn, min(max(_FIRST_BATCH, drawn), _BATCH, permutations - drawn))
        hits = np.flatnonzero(batch >= observed - slack)
        if exceeding + len(hits) >= _ENOUGH:
            return float(_ENOUGH / (drawn + int(hits[_ENOUGH - exceeding - 1]) + 1))
        exceeding += len(hits)
        drawn += len(batch)
    return (1 + exceeding) / (1 + drawn)


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


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """Images in groups of one size, each of one side; permutations exchange whole groups.

    C. Domingo-Enrich, R. Dwivedi and L. Mackey, "Cheap permutation testing" (2025): the p-value stays exact, as such
    permutations are a subgroup of all, the power hardly falls, and with groups of g a quadratic statistic costs 1/g^2.
    Images left over when a side is cut into groups keep their side, which leaves it a subgroup.

    Attributes:
        members: float32 [N,G+1], which group an image is in; the last column holds what is left over of the window.
        num_reference, num_window: Groups of each side.
    """

    members: npt.NDArray[np.float32]
    num_reference: int
    num_window: int

    @classmethod
    def make(cls, num_reference: int, num_window: int, rng: np.random.Generator) -> Self:
        """As large as leaves `_GROUPS` groups to the smaller side; images come into groups by chance."""
        size = max(1, min(num_reference, num_window) // _GROUPS)
        counts = num_reference // size, num_window // size
        members = np.zeros((num_reference + num_window, sum(counts) + 1), np.float32)
        for start, num, first, count in ((0, num_reference, 0, counts[0]), (num_reference, num_window, *counts)):
            order = start + rng.permutation(num)
            members[order[: count * size], first + np.arange(count * size) // size] = 1
            if start:
                members[order[count * size :], -1] = 1
        return cls(members, *counts)

    def draw(self, start: int, num: int) -> npt.NDArray[np.float32]:
        """Permuted labels of the groups, rows [B,G+1]: 1 in the window, at random places; always 1 in the last."""
        return _permuted(self.num_reference, self.num_window, start, num)

    def sums(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Sums over groups of the first axis: float32 [G+1,...]."""
        return np.asarray(self.members.T @ values.astype(np.float32), np.float32)

    @property
    def observed(self) -> npt.NDArray[np.float32]:
        """The labels as they are, [1,G+1]."""
        return np.repeat(np.array([0, 1], np.float32), [self.num_reference, self.num_window + 1])[None]


@functools.lru_cache(maxsize=32)
def _permuted(num_reference: int, num_window: int, start: int, num: int) -> npt.NDArray[np.float32]:
    """As `_Groups.draw`. Drawing costs more than any statistic, and the same permutations do for all tests and windows:
    which images are in which group is drawn anew."""
    rng = np.random.default_rng([num_reference, num_window, start])
    labels = np.zeros((num, num_reference + num_window + 1), np.float32)
    # The places of the smallest of G random numbers; four times as fast as shuffling every row.
    places = np.argpartition(rng.random((num, labels.shape[1] - 1), np.float32), num_window, axis=1)
    np.put_along_axis(labels, places[:, :num_window], np.float32(1), axis=1)
    labels[:, -1] = 1
    labels.setflags(write=False)
    return labels


def _projected(points: Floats, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """At most `_DIMENSIONS` columns, scaled so that a point's squared length is 1 on average.

    Random projection keeps distances (Johnson and Lindenstrauss 1984), and does not know the labels.
    """
    if points.shape[1] > _DIMENSIONS:
        points = points @ rng.normal(size=(points.shape[1], _DIMENSIONS))
    scale = np.sqrt((points**2).sum(axis=1).mean())
    return np.asarray(points / scale, np.float32)


def _mmd(points: npt.NDArray[np.float32], labels: Floats, groups: _Groups, permutations: int) -> tuple[float, float]:
    squares = (points**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * (points @ points.T), 0.0)
    median = float(np.median(distances)) or float(distances.mean())
    kernel = np.exp(-distances / median)  # the usual exp(-d^2 / (2 s^2)) with 2 s^2 at the median of d^2
    np.fill_diagonal(kernel, 0.0)
    num_window = int(labels.sum())
    num_reference = len(labels) - num_window
    rows = groups.sums(kernel.sum(axis=1))
    total = float(kernel.sum(dtype=np.float64))
    between = groups.sums(groups.sums(kernel).T)

    def statistic(window: npt.NDArray[np.float32]) -> Floats:
        """Unbiased MMD squared for labels of groups [B,G+1]."""
        both = np.einsum("bi,bi->b", window @ between, window).astype(np.float64)
        cross = (window @ rows).astype(np.float64) - both
        neither = total - both - 2 * cross
        value: Floats = (
            both / (num_window * (num_window - 1))
            + neither / (num_reference * (num_reference - 1))
            - 2 * cross / (num_window * num_reference)
        )
        return value

    observed = float(statistic(groups.observed)[0])
    return permutation_p(observed, lambda start, num: statistic(groups.draw(start, num)), permutations), observed


def _cross_validated(
    points: npt.NDArray[np.float32], num_folds: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """The matrix [N,N] that turns labels into predictions of a classifier that did not see the point, and the folds.

    Folds do not look at the labels, so that permuting these leaves the folds alone.
    """
    num, width = points.shape
    folds = rng.permutation(np.arange(num) % num_folds)
    smoother = np.zeros((num, num), np.float32)
    for fold in range(num_folds):
        test, train = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        seen = points[train] - points[train].mean(axis=0)
        scatter = seen.T @ seen + np.float32(_RIDGE * len(train) ** 0.5) * np.eye(width, dtype=np.float32)
        # Ridge regression without its constant, which ranks nothing; centred points need no centred labels.
        smoother[np.ix_(test, train)] = points[test] @ np.linalg.solve(scatter, seen.T)
    return smoother, folds


def _domain(
    smoother: npt.NDArray[np.float32],
    folds: npt.NDArray[np.intp],
    labels: Floats,
    groups: _Groups,
    permutations: int,
) -> tuple[tuple[float, float], Floats]:
    num_window = int(labels.sum())
    grouped = groups.sums(smoother.T)  # scores of all images by the groups that are in the window
    inner, outer = groups.sums(grouped.T).T, grouped.sum(axis=1, dtype=np.float64)
    squared = grouped @ grouped.T

    def statistic(window: npt.NDArray[np.float32]) -> Floats:
        """Difference of mean scores of window and reference, in units of their mean square's root; labels [B,G+1]."""
        inside = np.einsum("bi,bi->b", window @ inner, window).astype(np.float64)
        outside = window @ outer - inside
        spread = np.sqrt(np.einsum("bi,bi->b", window @ squared, window).astype(np.float64) / len(labels)) + 1e-12
        value: Floats = (inside / num_window - outside / (len(labels) - num_window)) / spread
        return value

    scores = (grouped.T @ groups.observed[0]).astype(np.float64)
    p = permutation_p(
        float(statistic(groups.observed)[0]), lambda start, num: statistic(groups.draw(start, num)), permutations
    )
    return (p, _auc(scores, labels, folds)), scores


def _auc(scores: Floats, labels: Floats, folds: npt.NDArray[np.intp]) -> float:
    """Area under the ROC curve within folds, whose classifiers' scores are not comparable; weighted by pairs."""
    from scipy.stats import rankdata

    wins = pairs = 0.0
    for fold in np.unique(folds):
        values, inside = scores[folds == fold], labels[folds == fold] > 0
        positives, negatives = int(inside.sum()), int((~inside).sum())
        wins += float(rankdata(values)[inside].sum()) - positives * (positives + 1) / 2
        pairs += positives * negatives
    return wins / pairs if pairs else 0.5
