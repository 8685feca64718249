"""COCO's twelve numbers, AP by class, and precision, recall, F1 at the operating point."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster

from visionloop.task import Evaluation, Prediction, Scorer
from visionloop.tasks.detection.boxes import judge
from visionloop.tasks.detection.task import Detections, truth_of

if TYPE_CHECKING:
    from visionloop.data.samples import Sample

COCO_NAMES = (
    "map",
    "map_50",
    "map_75",
    "map_small",
    "map_medium",
    "map_large",
    "mar_1",
    "mar_10",
    "mar_100",
    "mar_small",
    "mar_medium",
    "mar_large",
)
"""In COCO's own order (cocodataset.org/#detection-eval)."""


class DetectionScorer(Scorer):
    """Gathers true and found boxes."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = list(classes)
        self._samples: list[Sample] = []
        self._predictions: list[Detections] = []

    def add(self, sample: Sample, prediction: Prediction) -> None:
        """Take one image."""
        assert isinstance(prediction, Detections)
        self._samples.append(sample)
        self._predictions.append(prediction)

    def evaluate(self) -> Evaluation:
        """All metrics; None where a class or size has no ground truth."""
        if not self._samples:
            raise ValueError("nothing was added to the scorer")
        coco = self._coco()
        counts, per_image = self._counts()
        hits, found, true = counts.sum(axis=0)
        metrics: dict[str, float | None] = dict.fromkeys(COCO_NAMES, None)
        precision: npt.NDArray[np.float64] | None = None
        if coco is not None:
            metrics |= {name: _defined(value) for name, value in zip(COCO_NAMES, coco.stats[:12], strict=True)}
            precision = coco.eval["precision"]  # [IoU, recall, class, area, max detections]
        metrics |= _rates(hits, found, true)
        rows = [self._class_row(index, counts[index], precision) for index in range(len(self._classes))]
        return Evaluation(
            metrics=metrics,
            per_class=rows,
            tables={"pr_curve": self._curves(precision)},
            per_image={"image_f1": per_image},
        )

    def _coco(self) -> COCOeval_faster | None:
        truth: list[dict[str, Any]] = []
        found: list[dict[str, Any]] = []
        for image_id, (sample, prediction) in enumerate(zip(self._samples, self._predictions, strict=True), start=1):
            for item, ignored in zip(sample.objects, truth_of(sample).ignored, strict=True):
                assert item.box_xyxy is not None
                x1, y1, x2, y2 = item.box_xyxy
                truth.append(
                    {
                        "id": len(truth) + 1,
                        "image_id": image_id,
                        "category_id": item.class_id + 1,
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "area": (x2 - x1) * (y2 - y1),
                        "iscrowd": int(ignored),
                    }
                )
            for box, score, class_id in zip(
                prediction.boxes_xyxy.astype(np.float64), prediction.scores, prediction.class_ids, strict=True
            ):
                x1, y1, x2, y2 = box.tolist()
                found.append(
                    {
                        "image_id": image_id,
                        "category_id": int(class_id) + 1,
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "score": float(score),
                    }
                )
        if not truth:
            return None
        dataset = {
            "info": {},
            "images": [{"id": i + 1, "width": s.width, "height": s.height} for i, s in enumerate(self._samples)],
            "annotations": truth,
            "categories": [{"id": i + 1, "name": name} for i, name in enumerate(self._classes)],
        }
        return run_coco(dataset, found)

    def _counts(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Hits, detections and true objects per class [C,3] at the operating point, and F1 per image [N]."""
        counts = np.zeros((len(self._classes), 3), np.int64)
        per_image = np.zeros(len(self._samples))
        for index, (sample, prediction) in enumerate(zip(self._samples, self._predictions, strict=True)):
            truth, kept = truth_of(sample), prediction.confident
            found_ids, true_ids = prediction.class_ids[kept], truth.class_ids[~truth.ignored]
            hit, counted = judge(prediction.boxes_xyxy[kept], found_ids, truth)
            for column, ids in enumerate((found_ids[hit], found_ids[counted], true_ids)):
                counts[:, column] += np.bincount(ids, minlength=len(self._classes))
            total = int(counted.sum()) + len(true_ids)
            # An image with nothing in it and nothing found is right.
            per_image[index] = 2.0 * int(hit.sum()) / total if total else 1.0
        return counts, per_image

    def _class_row(
        self, index: int, counts: npt.NDArray[np.int64], precision: npt.NDArray[np.float64] | None
    ) -> dict[str, Any]:
        hits, found, true = counts.tolist()
        row: dict[str, Any] = {"class": self._classes[index], "support": true, "ap": None, "ap_50": None}
        if precision is not None:
            row["ap"] = _mean_defined(precision[:, :, index, 0, -1])
            row["ap_50"] = _mean_defined(precision[0, :, index, 0, -1])
        return row | _rates(hits, found, true)

    def _curves(self, precision: npt.NDArray[np.float64] | None) -> list[dict[str, Any]]:
        """Interpolated precision at 101 recalls, IoU 0.5, per class."""
        if precision is None:
            return []
        recalls = np.linspace(0.0, 1.0, precision.shape[1])
        return [
            {"class": name, "recall": round(float(recall), 2), "precision": round(float(value), 6)}
            for index, name in enumerate(self._classes)
            for recall, value in zip(recalls, precision[0, :, index, 0, -1], strict=True)
            if value >= 0
        ]


def run_coco(dataset: dict[str, Any], found: list[dict[str, Any]]) -> COCOeval_faster:
    """COCO's evaluation of detections; its prints are swallowed."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(dataset)
        # The library cannot load an empty list of results; an impossible detection stands for none.
        nothing = [{"image_id": 1, "category_id": 1, "bbox": [0.0, 0.0, 0.0, 0.0], "score": 0.0}]
        evaluation = COCOeval_faster(truth, truth.loadRes(found or nothing), "bbox", print_function=lambda *_: None)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def best_thresholds(
    samples: Sequence[Sample], predictions: Sequence[Prediction], num_classes: int
) -> tuple[float, ...]:
    """Per class the score from which on F1 at IoU 0.5 is best; 0.5 where a class has no hit.

    Args:
        samples: The truth, length N.
        predictions: `Detections`, length N.
        num_classes: C.
    """
    scores: list[list[float]] = [[] for _ in range(num_classes)]
    hits: list[list[bool]] = [[] for _ in range(num_classes)]
    true = np.zeros(num_classes, np.int64)
    for sample, prediction in zip(samples, predictions, strict=True):
        assert isinstance(prediction, Detections)
        truth = truth_of(sample)
        true += np.bincount(truth.class_ids[~truth.ignored], minlength=num_classes)
        hit, counted = judge(prediction.boxes_xyxy, prediction.class_ids, truth)
        for index in np.flatnonzero(counted):
            class_id = prediction.class_ids[index]
            scores[class_id].append(float(prediction.scores[index]))
            hits[class_id].append(bool(hit[index]))
    return tuple(_best_threshold(np.array(s), np.array(h), int(t)) for s, h, t in zip(scores, hits, true, strict=True))


def _best_threshold(scores: npt.NDArray[np.float64], hits: npt.NDArray[np.bool_], true: int) -> float:
    if not hits.any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    f1 = 2.0 * np.cumsum(hits[order]) / (np.arange(1, len(order) + 1) + true)
    best = int(f1.argmax())
    # Half way to the next score, so that the last detection that counts is not on the edge.
    following = scores[order[best + 1]] if best + 1 < len(order) else 0.0
    return round(float((scores[order[best]] + following) / 2.0), 6)


def _rates(hits: int, found: int, true: int) -> dict[str, float | None]:
    return {
        "precision": float(hits / found) if found else None,
        "recall": float(hits / true) if true else None,
        "f1": float(2 * hits / (found + true)) if found + true else None,
    }


def _defined(value: float) -> float | None:
    """COCO says -1 where there is no ground truth."""
    return float(value) if value >= 0 else None


def _mean_defined(values: npt.NDArray[np.float64]) -> float | None:
    defined = values[values >= 0]
    return float(defined.mean()) if defined.size else None
