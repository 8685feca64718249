"""The report as data: what it says, and what bounds it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.fake import Answer
from visionloop.data.samples import LabelledObject, Sample
from visionloop.evaluation.record import write_record
from visionloop.evaluation.summary import EvaluationSummary
from visionloop.serving.schema_report import ReportAnswer
from visionloop.task import Example


def summary(per_class: list[dict[str, Any]], **metrics: float | None) -> EvaluationSummary:
    return EvaluationSummary(
        task="brightness", primary_metric="accuracy", metrics={"accuracy": 0.75, **metrics}, per_class=per_class,
        per_image={"accuracy": np.array([1.0, 1.0, 1.0, 0.0])}, sample_ids=("a", "b", "c", "d"), dataset="greys",
        dataset_hash="0" * 64, split="test", classes=("dark", "light"), bundle_digest="d", parity_passed=True,
        model_mb=0.5, latency_ms=1.5, runtime={"threads": 1},
    )  # fmt: skip


def example(width: int, height: int, num_objects: int = 1) -> Example:
    box = (0.0, 0.0, 4.0, 4.0)
    sample = Sample(
        id="a", path="a.png", sha256="0", width=width, height=height, group="a", split="test",
        objects=(LabelledObject(class_id=1, box_xyxy=box),) * num_objects,
    )  # fmt: skip
    image = np.zeros((height, width, 3), np.uint8)
    return Example(sample=sample, image=image, prediction=Answer(0, np.zeros(1, np.float32)))


def written(folder: Path, *args: Any) -> ReportAnswer:
    write_record(folder, *args)
    record = json.loads((folder / "report.json").read_text())
    return ReportAnswer.model_validate({"model": "m", "version": "1", "card": "", **record})


def test_it_says_what_the_service_shows(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"class": "dark", "support": 4, "recall": 0.75, "f1": float("nan")},
        {"class": "light", "support": 0, "recall": None, "f1": None},
    ]
    pairs = [{"actual": "dark", "predicted": name} for name in ("dark", "light", "dark", "dark")]
    curve = [{"class": "dark", "recall": 0.0, "precision": 1.0}]
    found = written(tmp_path, summary(rows, ece=None), {"confusion": pairs, "pr_curve": curve, "none": []}, [])
    dark, light = found.classes
    assert dark.metrics == {"recall": 0.75, "f1": None}
    low, high = dark.intervals["recall"]
    assert (round(low, 3), round(high, 3)) == (0.301, 0.954)  # Wilson's for 3 of 4
    assert light.intervals == {}
    assert found.metrics == {"accuracy": 0.75, "ece": None}
    confusion, pr_curve = found.tables
    assert (confusion.columns, confusion.rows) == (
        ["actual", "predicted", "count"],
        [["dark", "dark", 3], ["dark", "light", 1]],
    )
    assert pr_curve.rows == [["dark", 0.0, 1.0]]


@pytest.mark.parametrize(("size", "suffix", "shown"), [((28, 20), "png", (28, 20)), ((1440, 720), "jpg", (360, 180))])
def test_pictures_are_small_and_boxes_are_the_images_own(
    tmp_path: Path, size: tuple[int, int], suffix: str, shown: tuple[int, int]
) -> None:
    (found,) = written(tmp_path, summary([]), {}, [example(*size, num_objects=60)]).examples
    assert found.picture == f"000.{suffix}"
    assert (found.width, found.height) == size
    assert Image.open(io.BytesIO((tmp_path / "examples" / found.picture).read_bytes())).size == shown
    assert len(found.truth) == 50
    assert (found.truth[0].class_name, found.truth[0].box_xyxy) == ("light", (0.0, 0.0, 4.0, 4.0))
    assert found.prediction.class_name == "dark"


def test_it_stays_small_for_any_number_of_classes(tmp_path: Path) -> None:
    rows = [{"class": f"c{index}", "support": 1, "recall": 1.0} for index in range(1200)]
    curves = [
        {"class": f"c{index}", "recall": step / 100, "precision": 1.0} for index in range(60) for step in range(101)
    ]
    found = written(tmp_path, summary(rows), {"pr_curve": curves}, [])
    assert (len(found.classes), found.classes_left_out) == (1000, 200)
    (table,) = found.tables
    assert len(table.rows) == 49 * 101  # no curve is cut off
    assert table.left_out == 11 * 101
