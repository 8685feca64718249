from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from visionloop.data.samples import LabelledObject, Sample
from visionloop.tasks.detection.metrics import COCO_NAMES, DetectionScorer, best_thresholds
from visionloop.tasks.detection.task import Detections

CLASSES = ("a", "b", "c")


def sample(number: int, boxes: np.ndarray, class_ids: np.ndarray) -> Sample:
    objects = tuple(
        LabelledObject(class_id=int(i), box_xyxy=tuple(map(float, box)))  # type: ignore[arg-type]
        for i, box in zip(class_ids, boxes, strict=True)
    )
    return Sample(id=str(number), path="", sha256="", width=300, height=300, group="", split="test", objects=objects)


def found(boxes: np.ndarray, scores: np.ndarray, class_ids: np.ndarray, threshold: float = 0.5) -> Detections:
    order = np.argsort(-scores, kind="stable")
    scores = scores[order].astype(np.float32)
    return Detections(
        boxes[order].astype(np.float32).reshape(-1, 4),
        scores,
        class_ids[order],
        scores >= threshold,
        np.zeros(2, np.float32),
    )


def random_case(rng: np.random.Generator, number: int) -> tuple[Sample, Detections]:
    count = int(rng.integers(0, 7))
    corner = rng.uniform(0, 150, (count, 2))
    true = np.concatenate([corner, corner + rng.uniform(5, 140, (count, 2))], axis=1)
    class_ids = rng.integers(0, 3, count)
    moved = np.repeat(true, 2, axis=0) + rng.normal(0, 5, (2 * count, 4))
    moved = np.concatenate([moved[:, :2], np.maximum(moved[:, 2:], moved[:, :2] + 1)], axis=1)
    guessed = np.where(rng.random(2 * count) < 0.8, np.repeat(class_ids, 2), rng.integers(0, 3, 2 * count))
    return sample(number, true, class_ids), found(moved, rng.random(2 * count), guessed)


def pycocotools_numbers(cases: list[tuple[Sample, Detections]]) -> tuple[np.ndarray, list[float]]:
    truth, results = [], []
    for number, (item, prediction) in enumerate(cases, start=1):
        for labelled in item.objects:
            x1, y1, x2, y2 = labelled.box_xyxy or (0, 0, 0, 0)
            box = [x1, y1, x2 - x1, y2 - y1]
            truth.append(
                {"id": len(truth) + 1, "image_id": number, "category_id": labelled.class_id + 1, "bbox": box,
                 "area": box[2] * box[3], "iscrowd": 0}
            )  # fmt: skip
        for (x1, y1, x2, y2), score, class_id in zip(
            prediction.boxes_xyxy.astype(float), prediction.scores, prediction.class_ids, strict=True
        ):
            results.append(
                {"image_id": number, "category_id": int(class_id) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1],
                 "score": float(score)}
            )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": n + 1} for n in range(len(cases))],
            "annotations": truth,
            "categories": [{"id": i + 1} for i in range(3)],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"]
    return evaluation.stats, [float(precision[:, :, i, 0, -1].mean()) for i in range(3)]


def test_the_twelve_numbers_equal_pycocotools() -> None:
    rng = np.random.default_rng(11)
    cases = [random_case(rng, number) for number in range(60)]
    scorer = DetectionScorer(CLASSES)
    for item, prediction in cases:
        scorer.add(item, prediction)
    evaluation = scorer.evaluate()
    stats, per_class = pycocotools_numbers(cases)
    mine = [evaluation.metrics[name] for name in COCO_NAMES]
    assert mine == pytest.approx(stats.tolist(), abs=1e-9)
    assert [row["ap"] for row in evaluation.per_class] == pytest.approx(per_class, abs=1e-9)
    assert 0.1 < stats[0] < 0.9


def test_what_has_no_ground_truth_is_none() -> None:
    scorer = DetectionScorer(CLASSES)
    box = np.array([[10, 10, 20, 20]])
    scorer.add(sample(0, box, np.array([0])), found(box, np.array([0.9]), np.array([0])))
    evaluation = scorer.evaluate()
    assert evaluation.metrics["map"] == pytest.approx(1.0)
    assert evaluation.metrics["map_large"] is None
    assert [row["ap"] for row in evaluation.per_class] == [pytest.approx(1.0), None, None]
    assert [row["recall"] for row in evaluation.per_class] == [1.0, None, None]


def test_no_detection_at_all() -> None:
    scorer = DetectionScorer(CLASSES)
    scorer.add(
        sample(0, np.array([[10, 10, 20, 20]]), np.array([0])), found(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
    )
    evaluation = scorer.evaluate()
    assert (evaluation.metrics["map"], evaluation.metrics["recall"], evaluation.metrics["precision"]) == (
        0.0,
        0.0,
        None,
    )


def test_operating_point_counts_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [50, 50, 60, 60]])
    scorer = DetectionScorer(CLASSES)
    extra = np.array([[0, 0, 10, 10], [200, 200, 210, 210], [50, 50, 60, 60]])
    scorer.add(sample(0, boxes, np.array([0, 1])), found(extra, np.array([0.9, 0.8, 0.3]), np.array([0, 0, 1])))
    metrics = scorer.evaluate().metrics
    assert (metrics["precision"], metrics["recall"], metrics["f1"]) == (0.5, 0.5, 0.5)


def test_thresholds_maximise_f1() -> None:
    boxes = np.array([[0, 0, 10, 10], [50, 50, 60, 60]])
    guesses = np.array([[0, 0, 10, 10], [50, 50, 60, 60], [100, 100, 110, 110]])
    prediction = found(guesses, np.array([0.9, 0.6, 0.2]), np.zeros(3, int))
    thresholds = best_thresholds([sample(0, boxes, np.zeros(2, int))], [prediction], 2)
    assert thresholds[0] == pytest.approx(0.4)
    assert thresholds[1] == 0.5


def test_difficult_objects_count_in_no_number() -> None:
    boxes = np.array([[0, 0, 100, 100], [150, 150, 250, 250], [10, 150, 100, 250]], np.float32)
    plain = sample(0, boxes, np.array([0, 0, 0]))
    hard = replace(
        plain, objects=(*plain.objects[:1], *(replace(item, flags=("difficult",)) for item in plain.objects[1:]))
    )
    scorer = DetectionScorer(CLASSES)
    # One easy and one difficult object are found, the other difficult one is missed.
    scorer.add(hard, found(boxes[:2], np.array([0.9, 0.8]), np.array([0, 0])))
    evaluation = scorer.evaluate()
    assert evaluation.metrics["map_50"] == pytest.approx(1.0)
    assert [evaluation.metrics[name] for name in ("precision", "recall", "f1")] == [1.0, 1.0, 1.0]
    assert evaluation.per_class[0]["support"] == 1
    assert evaluation.per_image["image_f1"].tolist() == [1.0]
    assert best_thresholds([hard], [found(boxes[:2], np.array([0.9, 0.8]), np.array([0, 0]))], 3)[0] == pytest.approx(
        0.45
    )
