from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from scipy import stats

from tests.monitoring.drift_data import SHIFTS, DigitModel, Shift, digits, profile_of, window_of
from visionloop.core.errors import BundleError
from visionloop.core.images import ImageArray
from visionloop.monitoring.drift.check import check
from visionloop.monitoring.drift.observations import Observations
from visionloop.monitoring.drift.profile import Profile
from visionloop.monitoring.drift.result import DriftResult
from visionloop.monitoring.drift.windows import tumbling_windows
from visionloop.monitoring.settings import DriftSettings

SETTINGS = DriftSettings(max_test_images=200)
QUICK = DriftSettings(max_test_images=100)


@dataclasses.dataclass(frozen=True)
class World:
    """A model trained on 400 scans, a profile of 700, and the rest as traffic."""

    model: DigitModel
    images: list[ImageArray]
    truth: np.ndarray
    rows: Observations
    reference: Observations

    @functools.cached_property
    def profile(self) -> Profile:
        return profile_of(self.reference)


@pytest.fixture(scope="module")
def world() -> World:
    images, truth = digits()
    order = np.random.default_rng(1).permutation(len(images))
    learn, reference, rest = order[:400], order[400:1100], order[1100:]
    model = DigitModel([images[index] for index in learn], truth[learn])
    traffic = [images[index] for index in rest]
    return World(
        model=model,
        images=traffic,
        truth=truth[rest],
        rows=model.observe(traffic, "traffic "),
        reference=model.observe([images[index] for index in reference], "reference "),
    )


def changed(rows: Observations, **columns: object) -> Observations:
    return dataclasses.replace(rows, **columns)  # type: ignore[arg-type]


def checked(world: World, rows: Observations, settings: DriftSettings = SETTINGS) -> DriftResult:
    return check(world.profile, window_of(rows), settings)


def test_windows_without_drift_rarely_alarm(world: World) -> None:
    """60 windows, each against a reference of its own: the bound is passed by chance once in a thousand runs."""
    everything = world.model.observe(world.images)
    alarms = 0
    for seed in range(60):
        order = np.random.default_rng([2, seed]).permutation(len(everything))
        profile = profile_of(everything.take(order[:450]))
        result = check(profile, window_of(everything.take(order[450:650])), QUICK)
        alarms += result.status != "ok"
    assert alarms <= stats.binom.isf(0.001, 60, SETTINGS.alpha)


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shifted_camera_is_detected(world: World, name: str) -> None:
    shift: Shift = SHIFTS[name]
    rng = np.random.default_rng(3)
    shifted = world.model.observe([shift(image, rng) for image in world.images[:300]])
    for seed in range(2):
        chosen = np.random.default_rng(seed).choice(300, 200, replace=False)
        assert checked(world, shifted.take(chosen)).status in ("drift", "critical")


def test_a_changed_mix_of_classes_is_detected(world: World) -> None:
    weights = np.where(world.truth < 5, 3.0, 1.0)
    chosen = np.random.default_rng(4).choice(len(world.rows), 300, replace=False, p=weights / weights.sum())
    result = checked(world, world.rows.take(chosen))
    assert "classes" in result.drifted
    assert sum(share.window for share in result.classes) == 300


def test_rotated_digits_withdraw_the_estimate(world: World) -> None:
    turned = [np.ascontiguousarray(np.rot90(image)) for image in world.images[:200]]
    assert world.model.accuracy(turned, world.truth[:200]) < 0.3
    result = checked(world, world.model.observe(turned))
    assert result.status == "critical"
    assert result.accuracy.status == "not_valid"
    assert result.accuracy.value is None
    assert "label some of them" in result.accuracy.reason


def test_the_estimate_holds_without_drift(world: World) -> None:
    right = world.reference.expected_scores
    labelled = world.model.accuracy(world.images, world.truth)
    profile = profile_of(world.reference, gap=float(right.mean()) - labelled)
    inside = 0
    for seed in range(20):
        chosen = np.random.default_rng([5, seed]).choice(len(world.rows), 200, replace=False)
        estimate = check(profile, window_of(world.rows.take(chosen)), QUICK).accuracy
        assert estimate.value is not None and estimate.lower is not None and estimate.upper is not None
        true = np.mean(world.rows.take(chosen).class_counts.argmax(axis=1) == world.truth[chosen])
        inside += estimate.lower <= true <= estimate.upper
    assert inside >= 17


def test_the_newest_images_are_named_with_their_neighbours(world: World) -> None:
    strange = [255 - image for image in world.images[:50]]
    rows = world.model.observe([*strange, *world.images[50:200]], "image ")
    result = checked(world, rows)
    assert result.status != "ok"
    names = [int(image.id.removeprefix("image ")) for image in result.newest]
    assert len(names) == SETTINGS.newest_images
    assert sum(number < 50 for number in names) >= 11
    assert all(item.score > 0.9 and len(item.nearest_reference) == 3 for item in result.newest[:5])
    assert result.newest[0].nearest_reference[0].startswith("reference ")


def test_the_same_window_gives_the_same_result_and_json_holds_it(world: World) -> None:
    window = world.rows.take(range(200))
    result = checked(world, window)
    assert result == checked(world, window)
    assert DriftResult.model_validate_json(result.model_dump_json()) == result
    brightness = next(test for test in result.tests if test.name == "brightness")
    assert brightness.histogram is not None
    assert sum(brightness.histogram.window) == 200
    assert sum(brightness.histogram.reference) == 700
    assert brightness.unit == "share of full scale"
    assert next(test for test in result.tests if test.name == "width").outcome == "constant"


@pytest.mark.parametrize("num", [0, 1, 199])
def test_too_few_images_are_insufficient_data(world: World, num: int) -> None:
    (window,) = tumbling_windows(world.rows.take(range(num)), SETTINGS, duplicate_bits=-1)
    result = check(world.profile, window, SETTINGS)
    assert (result.status, result.num_images, result.tests) == ("insufficient_data", num, ())
    assert DriftResult.model_validate_json(result.model_dump_json()) == result


def test_values_that_are_not_finite(world: World) -> None:
    rows = world.rows.take(range(220))
    embeddings = rows.embeddings.copy()
    embeddings[:10] = np.nan
    confidence = rows.scalars["confidence"].copy()
    confidence[:5], confidence[5] = np.nan, np.inf
    expected = rows.expected_scores.copy()
    expected[:5] = np.nan
    result = checked(
        world,
        changed(
            rows, embeddings=embeddings, scalars=rows.scalars | {"confidence": confidence}, expected_scores=expected
        ),
    )
    assert result.drifted == ("missing_values",)
    assert result.num_invalid_embeddings == 10
    assert "10 of 220 embeddings are not finite" in result.remarks
    assert "1 of 220 values of confidence are infinite" in result.remarks
    assert next(test for test in result.tests if test.name == "confidence").num_missing == 6
    assert next(test for test in result.tests if test.name == "embedding_mmd").outcome == "tested"
    assert result.accuracy.num_images == 215


def test_nothing_finite_at_all(world: World) -> None:
    rows = world.rows.take(range(200))
    nothing = changed(
        rows,
        embeddings=np.full_like(rows.embeddings, np.nan),
        scalars={name: np.full(200, np.nan) for name in rows.scalars},
        expected_scores=np.full(200, np.nan),
        class_counts=np.zeros_like(rows.class_counts),
    )
    result = checked(world, nothing)
    assert {test.outcome for test in result.tests} == {"no_data", "tested"}
    assert set(result.drifted) == {"classes", "missing_values"}
    assert result.newest == ()
    assert result.accuracy.status == "unavailable"
    assert DriftResult.model_validate_json(result.model_dump_json()) == result


def test_a_class_never_predicted_before_is_named(world: World) -> None:
    known = world.reference.take(np.flatnonzero(world.reference.class_counts[:, 7] == 0))
    result = check(profile_of(known), window_of(world.rows.take(range(300))), SETTINGS)
    assert "never predicted on reference images: 7" in result.remarks
    assert "classes" in result.drifted


def test_a_small_profile_says_so(world: World) -> None:
    profile = profile_of(world.reference.take(range(60)), small=True)
    result = check(profile, window_of(world.rows.take(range(200))), SETTINGS)
    assert result.small_reference
    assert "the reference profile has only 60 images; only gross drift is found" in result.remarks


def test_answers_of_another_version_are_refused(world: World) -> None:
    profile = dataclasses.replace(world.profile, digest="a" * 64)
    window = dataclasses.replace(window_of(world.rows), digest="b" * 64)
    with pytest.raises(BundleError, match="answers of bundle bbbbbbbbbbbb") as error:
        check(profile, window, SETTINGS)
    assert error.value.expected == "answers of bundle aaaaaaaaaaaa"
