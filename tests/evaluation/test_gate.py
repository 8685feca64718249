from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from visionloop.core.errors import ConfigError
from visionloop.evaluation.gate import Verdict, decide
from visionloop.evaluation.settings import GateSettings
from visionloop.evaluation.summary import EvaluationSummary


def summary(num_correct: int = 950, num_images: int = 1000, **changes: Any) -> EvaluationSummary:
    correct = np.zeros(num_images)
    correct[:num_correct] = 1.0
    base = EvaluationSummary(
        task="classification",
        primary_metric="accuracy",
        metrics={"accuracy": num_correct / num_images, "macro_f1": None},
        per_class=[{"class": "cat", "support": 500, "f1": 0.9}, {"class": "dog", "support": 500, "f1": 0.9}],
        per_image={"accuracy": correct},
        sample_ids=tuple(f"{index:05d}" for index in range(num_images)),
        dataset="pets",
        dataset_hash="a" * 64,
        split="test",
        classes=("cat", "dog"),
        bundle_digest="b" * 64,
        parity_passed=True,
        model_mb=4.0,
        latency_ms=2.0,
    )
    return replace(base, **changes)


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.passed]


def test_a_first_model_needs_the_floors_only() -> None:
    verdict = decide(GateSettings(floors={"accuracy": 0.9}, min_images=5000), summary(), None)
    assert verdict.decision == "promote"
    assert verdict.promoted
    assert verdict.champion is None
    assert verdict.summary == "promote: the first model, accuracy 0.9500 on 1000 images, above every floor"


def test_below_a_floor_is_refused() -> None:
    verdict = decide(GateSettings(floors={"accuracy": 0.96}), summary(), None)
    assert verdict.decision == "refuse"
    assert verdict.summary == "refuse: accuracy 0.9500 is below its floor 0.96"


def test_a_refusal_says_what_was_remarked_of_the_answers() -> None:
    remarked = summary(remarks=("16 of 16 answers are 'cat'",))
    verdict = decide(GateSettings(floors={"accuracy": 0.96}), remarked, None)
    assert verdict.summary == "refuse: accuracy 0.9500 is below its floor 0.96; 16 of 16 answers are 'cat'"
    assert "answers" not in decide(GateSettings(floors={"accuracy": 0.9}), remarked, None).summary


def test_an_undefined_metric_does_not_reach_its_floor() -> None:
    verdict = decide(GateSettings(floors={"macro_f1": 0.1}), summary(), None)
    assert verdict.summary == "refuse: macro_f1 undefined is below its floor 0.1"


def test_a_floor_on_an_unknown_metric_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(ConfigError) as caught:
        decide(GateSettings(floors={"acuracy": 0.9}), summary(), None)
    assert str(caught.value) == (
        "there is no metric 'acuracy' to hold against a floor\n"
        "  where:    setting gate.floors.acuracy\n"
        "  expected: did you mean accuracy?\n"
        "  to do:    correct the metric's name"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    verdict = decide(GateSettings(), summary(metrics={"accuracy": value}), None)
    assert (verdict.decision, failed(verdict)) == ("refuse", ["finite"])
    assert verdict.summary == "refuse: not a number: accuracy"


def test_nan_never_beats_a_champion() -> None:
    verdict = decide(GateSettings(), summary(metrics={"accuracy": float("nan")}), summary())
    assert verdict.decision == "refuse"
    assert "not worse: accuracy" in failed(verdict)


def test_unproven_parity_is_refused() -> None:
    assert failed(decide(GateSettings(), summary(parity_passed=False), None)) == ["parity"]


def test_budgets_for_size_and_time() -> None:
    verdict = decide(GateSettings(max_model_mb=3, max_latency_ms=1), summary(), None)
    assert failed(verdict) == ["model size", "latency"]
    assert verdict.summary == (
        "refuse: model size 4.0 MB is over the 3 MB allowed; "
        "latency 2.0 ms per image is over the 1 ms per image allowed"
    )
    assert decide(GateSettings(max_model_mb=4, max_latency_ms=2), summary(), None).promoted


def test_a_better_challenger_is_promoted_with_every_number() -> None:
    verdict = decide(GateSettings(), summary(960), summary(950, bundle_digest="c" * 64))
    assert verdict.summary == "promote: accuracy 0.9600 on 1000 images, champion 0.9500"
    assert verdict.champion == "c" * 64
    gain = next(check for check in verdict.checks if check.name == "gain: accuracy")
    assert isinstance(gain.found, float)
    assert 0.0 < gain.found < 0.01
    assert gain.explanation.startswith("gain +0.0100, 95% interval +0.00")
    assert gain.explanation.endswith(": a loss of more than 0.005 is ruled out")


def test_an_equal_challenger_passes() -> None:
    assert decide(GateSettings(), summary(), summary()).promoted


def test_a_worse_challenger_is_refused() -> None:
    verdict = decide(GateSettings(), summary(949), summary(950))
    assert verdict.decision == "refuse"
    assert verdict.summary == "refuse: accuracy 0.9490 is lower than the champion's 0.9500"


def test_a_gain_that_may_be_chance_is_insufficient_evidence() -> None:
    # One image better in total, but forty images changed sides: the loss of half a point is not ruled out.
    challenger, champion = np.ones(1000), np.ones(1000)
    challenger[:20], champion[20:41] = 0.0, 0.0
    pair = [summary(int(values.sum()), per_image={"accuracy": values}) for values in (challenger, champion)]
    verdict = decide(GateSettings(), *pair)
    assert verdict.decision == "insufficient_evidence"
    assert not verdict.promoted
    assert verdict.summary.startswith("insufficient evidence: gain +0.0010, 95% interval -0.0")
    assert verdict.summary.endswith("the test images are too few to rule out a loss of more than 0.005")


def test_too_few_images_are_insufficient_evidence() -> None:
    verdict = decide(GateSettings(min_images=30), summary(10, 10), summary(5, 10))
    assert verdict.decision == "insufficient_evidence"
    assert verdict.summary == ("insufficient evidence: 10 test images, at least 30 are wanted to replace a champion")


def test_a_refusal_outweighs_missing_evidence() -> None:
    assert decide(GateSettings(min_images=30), summary(4, 10), summary(5, 10)).decision == "refuse"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dataset_hash": "d" * 64}, "they were measured on different versions of the dataset"),
        ({"classes": ("dog", "cat")}, "the classes differ"),
        ({"sample_ids": tuple(f"x{index}" for index in range(1000))}, "they were measured on different images"),
        ({"split": "val"}, "they were measured on different images"),
    ],
)
def test_other_images_are_never_compared(change: dict[str, Any], words: str) -> None:
    verdict = decide(GateSettings(), summary(999), summary(1, **change))
    assert verdict.decision == "refuse"
    assert verdict.summary == f"refuse: {words}, so the numbers cannot be compared"
    assert verdict.checks[-1].name == "same test images"


def test_a_class_that_collapses_is_refused_though_the_mean_is_better() -> None:
    rows = [{"class": "cat", "support": 500, "f1": 0.99}, {"class": "dog", "support": 500, "f1": 0.7}]
    verdict = decide(GateSettings(max_class_drop=0.1), summary(960, per_class=rows), summary(950))
    assert verdict.summary == "refuse: dog, the class that fares worst, loses 0.200 of f1; 0.1 is allowed"


def test_a_rare_class_is_not_judged_alone() -> None:
    rows = [{"class": "cat", "support": 990, "f1": 0.99}, {"class": "dog", "support": 10, "f1": 0.1}]
    assert decide(GateSettings(), summary(960, per_class=rows), summary(950)).promoted


def test_an_unknown_class_metric_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(ConfigError, match="there is no per-class metric 'recal'"):
        decide(GateSettings(class_metric="recal"), summary(), summary())


def test_a_metric_that_is_no_mean_over_images_is_compared_without_bootstrap() -> None:
    pair = [summary(count, per_image={"true_positives": np.ones(1000)}) for count in (960, 950)]
    verdict = decide(GateSettings(), *pair)
    assert verdict.promoted
    assert "gain: accuracy" not in [check.name for check in verdict.checks]


def test_the_verdict_survives_json() -> None:
    verdict = decide(GateSettings(floors={"accuracy": 0.9}), summary(metrics={"accuracy": float("nan")}), summary())
    text = verdict.model_dump_json()
    json.loads(text)
    assert Verdict.model_validate_json(text) == verdict
