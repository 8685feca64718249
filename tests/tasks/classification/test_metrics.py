from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from visionloop.data.samples import LabelledObject, Sample
from visionloop.tasks.classification.metrics import ClassificationScorer, confusion_counts, fit_temperature
from visionloop.tasks.classification.task import Classification, softmax

CLASSES = ("a", "b", "c")


def sample(class_id: int) -> Sample:
    return Sample(
        id="x",
        path="",
        sha256="",
        width=1,
        height=1,
        group="",
        split="test",
        objects=(LabelledObject(class_id=class_id),),
    )


def score(truth: list[int], probabilities: np.ndarray) -> ClassificationScorer:
    scorer = ClassificationScorer(CLASSES)
    for class_id, row in zip(truth, probabilities, strict=True):
        scorer.add(sample(class_id), Classification(row.astype(np.float32), np.zeros(2, np.float32)))
    return scorer


def test_metrics_equal_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    probabilities = softmax(rng.normal(0, 2, (300, 3)))
    truth = rng.integers(0, 3, 300).tolist()
    evaluation = score(truth, probabilities).evaluate()
    predicted = probabilities.argmax(axis=1)
    assert evaluation.metrics["accuracy"] == pytest.approx(np.mean(predicted == truth))
    assert evaluation.metrics["f1_macro"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert evaluation.metrics["log_loss"] == pytest.approx(log_loss(truth, probabilities.astype(float)), rel=1e-5)
    assert confusion_counts(evaluation.tables["confusion"], CLASSES).sum() == 300


def test_a_model_that_always_says_the_same_is_remarked_on() -> None:
    always_a = np.tile([0.6, 0.3, 0.1], (16, 1))
    (remark,) = score([0] * 5 + [1] * 3 + [2] * 8, always_a).evaluate().remarks
    assert remark == "16 of 16 answers are 'a': it does not tell the classes apart"
    # One that is right is not, however common a class is.
    mostly_a = np.vstack([always_a, [[0.1, 0.8, 0.1]]])
    assert score([0] * 16 + [1], mostly_a).evaluate().remarks == ()
    assert score([0] * 16, always_a).evaluate().remarks == ()


def test_undefined_values_are_none() -> None:
    evaluation = score([0, 0], np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])).evaluate()
    rows = {row["class"]: row for row in evaluation.per_class}
    assert rows["a"] == {"class": "a", "support": 2, "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}
    assert (rows["b"]["precision"], rows["b"]["recall"]) == (0.0, None)
    assert (rows["c"]["precision"], rows["c"]["recall"], rows["c"]["f1"]) == (None, None, None)
    # Only `a` has samples, so the macro means are its own.
    macro = [evaluation.metrics[f"{name}_macro"] for name in ("precision", "recall", "f1")]
    assert macro == [1.0, 0.5, pytest.approx(2 / 3)]


def test_the_temperature_that_made_the_logits_is_found() -> None:
    rng = np.random.default_rng(4)
    logits = rng.normal(0, 2, (4000, 3))
    truth = np.array([rng.choice(3, p=row / row.sum()) for row in softmax(logits).astype(float)])
    assert fit_temperature(logits * 3.0, truth) == pytest.approx(3.0, rel=0.1)


def test_a_confident_model_that_is_always_right_is_calibrated() -> None:
    metrics = score([0, 1, 2], np.eye(3)).evaluate().metrics
    assert metrics["ece"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["accuracy"] == 1.0


def test_no_mistake_does_not_make_the_model_infinitely_sure() -> None:
    logits = np.eye(3)[np.arange(150) % 3] * 6.0
    temperature = fit_temperature(logits, np.arange(150) % 3)
    assert 0.5 < temperature < 2.0
    assert softmax(logits / temperature).max() < 0.9999
