from __future__ import annotations

import numpy as np
import pytest

from visionloop.core.errors import DataError
from visionloop.evaluation.gate import Verdict
from visionloop.evaluation.settings import GateSettings
from visionloop.evaluation.summary import EvaluationSummary
from visionloop.retraining.judge import Pair, judge
from visionloop.retraining.settings import RecentGateSettings

GATE = GateSettings(floors={"accuracy": 0.9}, max_class_drop=None)


def summary(right: int, total: int, *, bundle: str, dataset: str) -> EvaluationSummary:
    """A model that is right on the first `right` of `total` images."""
    correct = np.arange(total) < right
    return EvaluationSummary(
        task="t", primary_metric="accuracy", metrics={"accuracy": right / total}, per_class=[],
        per_image={"accuracy": correct.astype(np.float64)}, sample_ids=tuple(map(str, range(total))), dataset=dataset,
        dataset_hash=dataset, split="test", classes=("a", "b"), bundle_digest=bundle, parity_passed=True, model_mb=1.0,
        latency_ms=1.0,
    )  # fmt: skip


def pair(challenger: int, champion: int, total: int, dataset: str) -> Pair:
    return Pair(
        challenger=summary(challenger, total, bundle="new", dataset=dataset),
        champion=summary(champion, total, bundle="old", dataset=dataset),
    )


def verdict(frozen: tuple[int, int], recent: tuple[int, int] | None, *, num_recent: int = 100) -> Verdict:
    """(challenger, champion): right answers of 1,000 frozen images and of the recent ones."""
    new = None if recent is None else pair(*recent, num_recent, "recent")
    return judge(GATE, RecentGateSettings(), pair(*frozen, 1000, "frozen"), new)


def test_a_little_lower_on_the_frozen_set_is_allowed_beside_a_gain_on_recent_images() -> None:
    found = verdict((985, 990), (95, 60))
    assert found.decision == "promote"
    assert "; on recent images promote: accuracy 0.9500 on 100 images, champion 0.6000" in found.summary
    assert any("at most 0.01 lower than" in check.explanation for check in found.checks)
    # Without recent images the gate is as strict as for any model.
    assert verdict((985, 990), None).decision == "refuse"
    assert verdict((985, 990), (19, 12), num_recent=19).decision == "refuse"


@pytest.mark.parametrize(
    ("frozen", "recent", "decision"),
    [
        ((975, 990), (95, 60), "refuse"),
        ((890, 895), (95, 60), "refuse"),
        ((990, 990), (59, 60), "refuse"),
        ((985, 990), (60, 60), "promote"),
        ((995, 990), (95, 60), "promote"),
    ],
    ids=["frozen lost", "below a floor", "recent lower", "as good on recent", "better on both"],
)
def test_it_is_as_good_as_the_worse_of_the_two(frozen: tuple[int, int], recent: tuple[int, int], decision: str) -> None:
    assert verdict(frozen, recent).decision == decision


def test_too_few_recent_images_to_tell_is_insufficient_evidence() -> None:
    # Right where the champion is wrong and the other way round: the same mean, and nobody knows.
    new, old = summary(50, 100, bundle="new", dataset="r"), summary(50, 100, bundle="old", dataset="r")
    old.per_image["accuracy"][:] = old.per_image["accuracy"][::-1].copy()
    found = judge(GATE, RecentGateSettings(), pair(990, 990, 1000, "frozen"), Pair(challenger=new, champion=old))
    assert found.decision == "insufficient_evidence"


def test_floors_are_for_the_frozen_set() -> None:
    first = Pair(challenger=summary(950, 1000, bundle="new", dataset="f"), champion=None)
    hard = Pair(challenger=summary(40, 100, bundle="new", dataset="r"), champion=None)
    assert judge(GATE, RecentGateSettings(), first, hard).decision == "promote"


def test_evaluations_of_two_bundles_are_not_mixed() -> None:
    other = Pair(challenger=summary(9, 10, bundle="other", dataset="r"), champion=None)
    with pytest.raises(DataError, match="different bundles"):
        judge(GATE, RecentGateSettings(), pair(9, 9, 10, "f"), other)
