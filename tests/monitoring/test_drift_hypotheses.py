from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from visionloop.monitoring.drift.embedding_tests import embedding_tests
from visionloop.monitoring.drift.hypotheses import class_test, holm, ks_test
from visionloop.monitoring.drift.permutation import permutation_p


def one_hot(ids: np.ndarray, num: int) -> np.ndarray:
    return np.asarray(np.eye(num, dtype=np.int32)[ids])


def test_ks_equals_scipy_and_ignores_what_is_not_finite() -> None:
    rng = np.random.default_rng(0)
    reference, window = rng.normal(size=900), rng.normal(0.2, 1, 250)
    expected = stats.ks_2samp(reference, window, method="asymp")
    result = ks_test(reference, np.append(window, [np.nan, np.inf]))
    assert (result.outcome, result.num_window) == ("tested", 250)
    assert result.p == pytest.approx(expected.pvalue)
    assert result.effect == pytest.approx(expected.statistic)


def test_what_cannot_be_compared_has_an_outcome() -> None:
    many, constant, nothing = np.arange(100.0), np.full(100, 3.0), np.full(100, np.nan)
    assert ks_test(constant, constant).outcome == "constant"
    assert ks_test(many, nothing).outcome == "no_data"
    assert ks_test(many, np.zeros(0)).outcome == "no_data"
    assert ks_test(many, many[:1]).outcome == "too_few"
    changed = ks_test(constant, constant + 1)
    assert (changed.outcome, changed.effect) == ("tested", 1.0)
    rng = np.random.default_rng(0)
    zeros = np.zeros((50, 3), np.int32)
    assert class_test(zeros, zeros, permutations=100, rng=rng).outcome == "no_data"
    assert class_test(zeros[:0], zeros, permutations=100, rng=rng).outcome == "no_data"
    same = one_hot(np.zeros(50, int), 3)
    assert class_test(same, same, permutations=100, rng=rng).outcome == "constant"
    assert class_test(same, same[:1], permutations=100, rng=rng).outcome == "too_few"
    flat = np.ones((50, 4))
    for reference, window, outcome in (
        (flat, flat, "constant"),
        (flat, flat[:1], "too_few"),
        (flat, flat[:0], "no_data"),
        (flat[:, :0], flat[:, :0], "no_data"),
    ):
        found = embedding_tests(reference, window, permutations=100, rng=rng)
        assert found.mmd.outcome == found.domain.outcome == outcome
        assert len(found.scores) == 0


def test_chi_square_equals_scipy_where_counts_suffice() -> None:
    rng = np.random.default_rng(1)
    reference, window = rng.integers(0, 4, 500), rng.integers(0, 3, 200)
    table = np.stack([np.bincount(reference, minlength=4), np.bincount(window, minlength=4)])
    expected = stats.chi2_contingency(table, correction=False)
    result = class_test(one_hot(reference, 4), one_hot(window, 4), permutations=100, rng=rng)
    assert result.p == pytest.approx(expected.pvalue)
    assert result.effect == pytest.approx(stats.contingency.association(table, method="cramer"))


def test_rare_classes_get_permutations() -> None:
    """A 2 x 2 table with small counts: by permutation the p-value is that of the exact distribution."""
    rng = np.random.default_rng(2)
    reference, window = np.repeat([0, 1], [297, 3]), np.repeat([0, 1], [92, 8])
    # Two-sided by the statistic: tables at least as far from the expectation as the one seen.
    counts = np.arange(12)
    weights = stats.hypergeom.pmf(counts, 400, 11, 100)
    far = np.abs(counts - 11 / 4) >= abs(8 - 11 / 4)
    result = class_test(one_hot(reference, 2), one_hot(window, 2), permutations=20_000, rng=rng)
    assert result.p is not None
    assert result.p == pytest.approx(weights[far].sum(), rel=0.5)


def test_a_class_the_reference_never_had() -> None:
    rng = np.random.default_rng(3)
    reference, window = rng.integers(0, 3, 400), np.where(rng.random(200) < 0.1, 3, rng.integers(0, 3, 200))
    result = class_test(one_hot(reference, 4), one_hot(window, 4), permutations=5000, rng=rng)
    assert result.p is not None
    assert result.p < 0.001


def test_boxes_of_one_image_are_not_counted_as_independent() -> None:
    """Images with many boxes of one class each: chi-square on boxes would alarm, permuting images does not."""
    rng = np.random.default_rng(4)
    low = 0
    for _ in range(60):
        images = one_hot(rng.integers(0, 3, 150), 3) * rng.integers(5, 40, (150, 1))
        table = np.stack([images[:100].sum(axis=0), images[100:].sum(axis=0)])
        result = class_test(images[:100], images[100:], permutations=1000, rng=rng)
        assert result.p is not None
        low += result.p < 0.05
        assert stats.chi2_contingency(table).pvalue < 1.1 * result.p
    assert low <= stats.binom.isf(0.001, 60, 0.05)


def test_embedding_tests_find_shift_and_spread() -> None:
    rng = np.random.default_rng(5)
    reference = rng.normal(size=(300, 200))
    shifted = embedding_tests(reference, rng.normal(0.3, 1, (150, 200)), permutations=2000, rng=rng)
    assert shifted.mmd.p is not None and shifted.domain.p is not None
    assert max(shifted.mmd.p, shifted.domain.p) < 0.001
    assert shifted.domain.effect is not None and shifted.domain.effect > 0.9
    # No line separates these two, but their distances differ.
    wider = embedding_tests(reference[:, :20], rng.normal(0, 1.5, (150, 20)), permutations=2000, rng=rng)
    assert wider.mmd.p is not None and wider.mmd.p < 0.001


def test_embedding_tests_rarely_alarm_without_drift() -> None:
    low = {"mmd": 0, "domain": 0}
    for seed in range(100):
        rng = np.random.default_rng([6, seed])
        points = rng.standard_t(3, size=(160, 10))
        found = embedding_tests(points[:100], points[100:], permutations=200, rng=rng)
        assert found.mmd.p is not None and found.domain.p is not None
        low["mmd"] += found.mmd.p <= 0.05
        low["domain"] += found.domain.p <= 0.05
    assert max(low.values()) <= stats.binom.isf(0.001, 100, 0.05)


def test_permuting_groups_of_images_rarely_alarms_without_drift() -> None:
    """Sides that do not divide into groups evenly, and images with several classes."""
    low = {"mmd": 0, "domain": 0, "classes": 0}
    for seed in range(60):
        rng = np.random.default_rng([9, seed])
        points = rng.standard_t(3, size=(407, 6))
        counts = rng.integers(0, 3, (407, 4))
        found = embedding_tests(points[:204], points[204:], permutations=200, rng=rng)
        classes = class_test(counts[:204], counts[204:], permutations=200, rng=rng)
        assert found.mmd.p is not None and found.domain.p is not None and classes.p is not None
        low["mmd"] += found.mmd.p <= 0.05
        low["domain"] += found.domain.p <= 0.05
        low["classes"] += classes.p <= 0.05
    assert max(low.values()) <= stats.binom.isf(0.001, 60, 0.05)


def test_the_most_novel_images_score_highest() -> None:
    rng = np.random.default_rng(7)
    window = rng.normal(size=(200, 16))
    window[:40] += 2
    found = embedding_tests(rng.normal(size=(400, 16)), window, permutations=500, rng=rng)
    assert np.mean(np.argsort(-found.scores)[:30] < 40) > 0.9


def test_sequential_permutation_p_values_are_uniform() -> None:
    rng = np.random.default_rng(8)
    p = [permutation_p(float(rng.normal()), lambda _, num: rng.normal(size=num), 2000) for _ in range(400)]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert permutation_p(9.0, lambda _, num: rng.normal(size=num), 999) == 1 / 1000
    assert permutation_p(1.0, lambda _, num: np.ones(num), 999) == 1.0


def test_holm() -> None:
    assert holm([]) == []
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_weights_of_holm_share_alpha_out() -> None:
    """Worked by hand: 0.02 / 0.5 is tried first, at all of alpha; then 0.03 / 0.3 at the remaining half."""
    assert holm([0.02, 0.03, 0.2], [0.5, 0.3, 0.2]) == pytest.approx([0.04, 0.05, 0.2])
    assert holm([0.01, 0.04, 0.03], [2, 2, 2]) == pytest.approx(holm([0.01, 0.04, 0.03]))
    # Uniform p-values: any rejection at 0.05 in at most 5% of families, however the weights.
    rng = np.random.default_rng(10)
    low = sum(min(holm(rng.random(6).tolist(), [0.4, 0.3, 0.1, 0.1, 0.05, 0.05])) <= 0.05 for _ in range(2000))
    assert low <= stats.binom.isf(0.001, 2000, 0.05)
