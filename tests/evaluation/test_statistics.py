from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from visionloop.evaluation.statistics import paired_bootstrap, wilson_interval


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (7, 10), (983, 1000), (1, 1)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_equals_scipy(successes: int, trials: int, confidence: float) -> None:
    expected = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    found = wilson_interval(successes, trials, confidence=confidence)
    assert found.mean == successes / trials
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(-1, 10), (11, 10), (0, 0)])
def test_wilson_refuses_impossible_counts(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match=f"found {successes} of {trials}"):
        wilson_interval(successes, trials)


def test_equal_models_gain_nothing() -> None:
    values = np.ones(50)
    found = paired_bootstrap(values, values)
    assert (found.mean, found.lower, found.upper) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("kind", ["right or wrong", "continuous"])
def test_bounds_follow_the_normal_law_for_many_images(kind: str) -> None:
    rng = np.random.default_rng(1)
    if kind == "continuous":
        challenger, champion = rng.uniform(size=2000), rng.uniform(size=2000)
    else:
        challenger, champion = (rng.uniform(size=2000) < share for share in (0.9, 0.85))
    gains = np.asarray(challenger, float) - np.asarray(champion, float)
    half = 1.96 * gains.std() / np.sqrt(len(gains))
    found = paired_bootstrap(challenger.astype(float), champion.astype(float), resamples=4000)
    assert found.mean == pytest.approx(gains.mean())
    assert found.lower == pytest.approx(gains.mean() - half, abs=0.06 * half)
    assert found.upper == pytest.approx(gains.mean() + half, abs=0.06 * half)


def test_bounds_equal_scipys_bootstrap() -> None:
    rng = np.random.default_rng(3)
    gains = rng.exponential(size=120)
    expected = stats.bootstrap((gains,), np.mean, method="percentile", n_resamples=9999, rng=rng).confidence_interval
    found = paired_bootstrap(gains, np.zeros(120))
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_the_same_seed_gives_the_same_bounds() -> None:
    values = np.random.default_rng(0).uniform(size=100)
    assert paired_bootstrap(values, np.zeros(100), seed=4) == paired_bootstrap(values, np.zeros(100), seed=4)
    assert paired_bootstrap(values, np.zeros(100), seed=4) != paired_bootstrap(values, np.zeros(100), seed=5)


def test_unequal_lengths_and_nan_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found \(2,\) and \(3,\)"):
        paired_bootstrap(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="not finite"):
        paired_bootstrap(np.array([0.0, np.nan]), np.zeros(2))
    with pytest.raises(ValueError, match="confidence must be between 0 and 1, found 1"):
        paired_bootstrap(np.zeros(2), np.zeros(2), confidence=1.0)
