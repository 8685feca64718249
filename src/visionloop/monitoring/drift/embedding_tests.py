"""Two tests of embeddings, by permutation: the distance of their distributions, and whether a classifier tells them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visionloop.monitoring.drift.hypotheses import MIN_VALUES, Outcome, TestResult
from visionloop.monitoring.drift.permutation import Floats, Groups, permutation_p

_DIMENSIONS = 128
"""Of an embedding in its tests; wider ones are projected."""
_RIDGE = 0.05
"""Regularisation of the domain classifier per root of the number of images it learns from; points have length 1."""


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
    Images are permuted in groups (see `Groups`).

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
    groups = Groups.make(len(reference), len(window), rng)
    mmd = _mmd(projected, labels, groups, permutations)
    smoother, folds = _cross_validated(projected, num_folds, rng)
    domain, scores = _domain(smoother, folds, labels, groups, permutations)
    return EmbeddingTests(
        mmd=TestResult(outcome="tested", p=mmd[0], effect=mmd[1], **sizes),
        domain=TestResult(outcome="tested", p=domain[0], effect=domain[1], **sizes),
        scores=scores[len(reference) :],
        reference_scores=scores[: len(reference)],
    )


def _projected(points: Floats, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """At most `_DIMENSIONS` columns, scaled so that a point's squared length is 1 on average.

    Random projection keeps distances (Johnson and Lindenstrauss 1984), and does not know the labels.
    """
    if points.shape[1] > _DIMENSIONS:
        points = points @ rng.normal(size=(points.shape[1], _DIMENSIONS))
    scale = np.sqrt((points**2).sum(axis=1).mean())
    return np.asarray(points / scale, np.float32)


def _mmd(points: npt.NDArray[np.float32], labels: Floats, groups: Groups, permutations: int) -> tuple[float, float]:
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
    groups: Groups,
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
