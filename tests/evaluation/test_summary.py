from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.test_gate import summary
from visionloop.core.errors import DataError
from visionloop.evaluation.summary import EvaluationSummary


def test_it_reads_what_it_wrote(tmp_path: Path) -> None:
    written = summary(metrics={"accuracy": 0.95, "ap": None, "broken": math.nan})
    written.write(tmp_path)
    read = EvaluationSummary.read(tmp_path)
    assert math.isnan(read.metrics.pop("broken") or 0.0)
    np.testing.assert_array_equal(read.per_image["accuracy"], written.per_image["accuracy"])
    del written.metrics["broken"]
    assert replace(read, per_image={}) == replace(written, per_image={})


def test_the_flat_metrics_hold_numbers_only(tmp_path: Path) -> None:
    summary(metrics={"accuracy": 0.95, "ap": None, "broken": math.nan}).write(tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {
        "accuracy": 0.95,
        "num_images": 1000,
        "latency_ms": 2.0,
        "model_mb": 4.0,
    }


@pytest.mark.parametrize("damage", ["per_image.npz", "evaluation.json"])
def test_a_damaged_evaluation_is_named(tmp_path: Path, damage: str) -> None:
    summary().write(tmp_path)
    (tmp_path / damage).write_text("{}")
    with pytest.raises(DataError, match="the evaluation cannot be read"):
        EvaluationSummary.read(tmp_path)
