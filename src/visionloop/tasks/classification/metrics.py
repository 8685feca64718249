"""Accuracy, precision, recall, F1, calibration; the temperature that calibrates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from visionloop.task import Evaluation, Prediction, Scorer
from visionloop.tasks.classification.task import Classification

if TYPE_CHECKING:
    from visionloop.data.samples import Sample

_BINS = 10
_NEARLY_ALWAYS = 0.9


class ClassificationScorer(Scorer):
    """Gathers true classes and probabilities."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = list(classes)
        self._truth: list[int] = []
        self._probabilities: list[npt.NDArray[np.float32]] = []

    def add(self, sample: Sample, prediction: Prediction) -> None:
        """Take one image."""
        assert isinstance(prediction, Classification)
        self._truth.append(sample.objects[0].class_id)
        self._probabilities.append(prediction.probabilities)

    def evaluate(self) -> Evaluation:
        """All metrics. Precision without any prediction of a class, and recall without any sample, are None."""
        if not self._truth:
            raise ValueError("nothing was added to the scorer")
        truth, probabilities = np.array(self._truth), np.stack(self._probabilities)
        predicted = probabilities.argmax(axis=1)
        correct = (predicted == truth).astype(np.float64)
        rows = self._per_class(truth, predicted)
        true_probability = probabilities[np.arange(len(truth)), truth].astype(np.float64)
        log_losses = -np.log(np.clip(true_probability, 1e-12, 1.0))
        bins = reliability(probabilities.max(axis=1), correct)
        metrics: dict[str, float | None] = {
            "accuracy": float(correct.mean()),
            **{f"{name}_macro": _macro(rows, name) for name in ("precision", "recall", "f1")},
            "log_loss": float(log_losses.mean()),
            "ece": float(sum(row["share"] * abs(row["accuracy"] - row["confidence"]) for row in bins)),
        }
        pairs = [
            {"actual": self._classes[t], "predicted": self._classes[p]} for t, p in zip(truth, predicted, strict=True)
        ]
        return Evaluation(
            metrics=metrics,
            per_class=rows,
            tables={"confusion": pairs, "reliability": bins},
            per_image={"accuracy": correct, "log_loss": log_losses},
            remarks=self._remarks(truth, predicted),
        )

    def _remarks(self, truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> tuple[str, ...]:
        """Whether images of other classes are nearly always given the commonest answer: nothing was learned then."""
        common = int(np.bincount(predicted).argmax())
        others = predicted[truth != common]
        if not len(others) or (others == common).mean() < _NEARLY_ALWAYS:
            return ()
        count = int((predicted == common).sum())
        said = f"{count} of {len(predicted)} answers are {self._classes[common]!r}"
        return (f"{said}: it does not tell the classes apart",)

    def _per_class(self, truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
        labels = list(range(len(self._classes)))
        precision, recall, f1, support = precision_recall_fscore_support(
            truth, predicted, labels=labels, average=None, zero_division=0.0
        )
        counts = np.bincount(predicted, minlength=len(labels))
        return [
            {
                "class": name,
                "support": int(support[index]),
                "precision": float(precision[index]) if counts[index] else None,
                "recall": float(recall[index]) if support[index] else None,
                "f1": float(f1[index]) if support[index] or counts[index] else None,
            }
            for index, name in enumerate(self._classes)
        ]


def reliability(confidence: npt.NDArray[np.floating], correct: npt.NDArray[np.float64]) -> list[dict[str, float]]:
    """Ten bins of equal width over the confidence: its mean, the accuracy, the share of images.

    The weighted mean of their differences is the expected calibration error (Naeini et al. 2015).
    """
    index = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    rows = []
    for number in range(_BINS):
        inside = index == number
        if inside.any():
            rows.append(
                {
                    "confidence": float(confidence[inside].mean()),
                    "accuracy": float(correct[inside].mean()),
                    "share": float(inside.mean()),
                }
            )
    return rows


def fit_temperature(logits: npt.NDArray[np.floating], truth: npt.NDArray[np.int64]) -> float:
    """The temperature in [0.05, 20] of the smallest log loss (Guo et al. 2017, section 4.2).

    The targets are not quite 1 but (N + 1) / (N + 2), Platt's (1999) prior: on a validation split without a
    mistake the loss would have no minimum, and the model would be told to be infinitely sure of itself.

    Args:
        logits: float [N,C].
        truth: int [N].
    """
    count, num_classes = logits.shape
    doubt = 1.0 / (count + 2)
    targets = np.full((count, num_classes), doubt / (num_classes - 1))
    targets[np.arange(count), truth] = 1.0 - doubt

    def loss(log_temperature: float) -> float:
        return float(-(targets * log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)).sum())

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(best.x))


def confusion_counts(pairs: Sequence[dict[str, Any]], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """Counts [C,C], row the true class, from the rows of the `confusion` table."""
    actual, predicted = [row["actual"] for row in pairs], [row["predicted"] for row in pairs]
    counts: npt.NDArray[np.int64] = confusion_matrix(actual, predicted, labels=list(classes))
    return counts


def _macro(rows: Sequence[dict[str, Any]], name: str) -> float:
    """Mean over the classes with samples. One never predicted has no precision and earns nothing."""
    return float(np.mean([row[name] or 0.0 for row in rows if row["support"]]))
