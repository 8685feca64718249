"""How much a label of an image would teach, by what the model said of it: numbers in [0, 1] on plain arrays.

Surveyed by B. Settles, "Active learning literature survey", Univ. of Wisconsin-Madison TR 1648 (2009).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Measure = Literal["margin", "entropy"]
PerImage = Literal["max", "mean"]


def entropy(probabilities: npt.NDArray[np.floating]) -> Floats:
    """Shannon's entropy over its largest possible value, log C (Settles 2009, section 3.1).

    Args:
        probabilities: float [N,C], rows summing to 1, C at least 2.

    Returns:
        float64 [N]: 0 for a sure answer, 1 where all classes are as likely.
    """
    rows = np.asarray(probabilities, np.float64)
    nats = -(rows * np.log(np.maximum(rows, 1e-12))).sum(axis=1)
    return _clipped(nats / np.log(rows.shape[1]))


def margin(probabilities: npt.NDArray[np.floating]) -> Floats:
    """1 less the distance of the two likeliest classes (Scheffer, Decomain and Wrobel, IDA 2001).

    Args:
        probabilities: float [N,C], C at least 2.

    Returns:
        float64 [N]: 0 for a sure answer, 1 where two classes are as likely.
    """
    best = np.partition(np.asarray(probabilities, np.float64), -2, axis=1)[:, -2:]
    return _clipped(1.0 - (best[:, 1] - best[:, 0]))


def boxes(scores: Sequence[float], per_image: PerImage = "max") -> float:
    """An image's doubt from the scores of its boxes: the largest, or the mean, of 1 - |2 s - 1|.

    A box counts 1 at a score of 0.5, a coin's toss, and 0 at 0 and 1: the margin of "there" against "not there"
    (after Brust, Kaeding and Denzler, "Active learning for deep object detection", VISAPP 2019). No box is 0: an
    answer without a finding says nothing of what it doubts.
    """
    if not len(scores):
        return 0.0
    doubts = _clipped(1.0 - np.abs(2.0 * np.asarray(scores, np.float64) - 1.0))
    return float(doubts.max() if per_image == "max" else doubts.mean())


def uncertainty(
    result: Mapping[str, Any],
    *,
    num_classes: int | None = None,
    measure: Measure = "margin",
    per_image: PerImage = "max",
) -> float:
    """How unsure a stored answer is, from 0 to 1.

    Args:
        result: As the API gave it: `ranked` classes, or `detections`. Classes that were not listed share what is left
            of the probability equally.
        num_classes: Of the model; what is listed where None.
        measure: Of ranked classes.
        per_image: Of boxes.
    """
    ranked = result.get("ranked")
    if ranked:
        return _of_ranked([float(entry["score"]) for entry in ranked], num_classes, measure)
    return boxes([float(box["score"]) for box in result.get("detections") or ()], per_image)


def named_classes(result: Mapping[str, Any]) -> frozenset[str]:
    """The classes that a stored answer says are there."""
    if result.get("ranked"):
        return frozenset({str(result["ranked"][0]["class"])})
    return frozenset(str(box["class"]) for box in result.get("detections") or ())


def _of_ranked(listed: list[float], num_classes: int | None, measure: Measure) -> float:
    left = max(0.0, 1.0 - sum(listed))
    if measure == "margin":
        # Of one listed class alone the second has at most what is left.
        second = listed[1] if len(listed) > 1 else min(listed[0], left)
        return float(_clipped(np.float64(1.0 - (listed[0] - second))))
    others = max(0, (num_classes or 0) - len(listed)) or int(left > 1e-6)
    row = np.array([*listed, *([left / others] * others if others else ())])
    return float(entropy(row[None])[0]) if len(row) > 1 else 0.0


def _clipped(values: Floats | np.float64) -> Floats:
    clipped: Floats = np.clip(values, 0.0, 1.0)
    return clipped
