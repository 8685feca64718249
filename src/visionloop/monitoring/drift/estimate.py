"""How accurate the model probably is on images nobody has labelled, from what it says of its own answers."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from visionloop.core.settings import Settings
from visionloop.monitoring.drift.profile import ProfileInfo

EstimateStatus = Literal["estimate", "not_valid", "unavailable"]


class AccuracyEstimate(Settings):
    """An estimate without labels; never a measurement."""

    status: EstimateStatus
    """`not_valid` while embeddings drift; `unavailable` for tasks or windows without expected scores, and where
    embeddings were not compared."""
    metric: str
    """What is estimated."""
    value: float | None = Field(default=None, ge=0, le=1)
    """Mean confidence less its gap on the reference; None unless `estimate`."""
    lower: float | None = Field(default=None, ge=0, le=1)
    """Lower bound."""
    upper: float | None = Field(default=None, ge=0, le=1)
    """Upper bound."""
    confidence: float = 0.95
    """Of the interval, if the confidences are calibrated on such images."""
    num_images: int = Field(default=0, ge=0)
    """Images with a finite confidence."""
    reason: str
    """In a sentence, what it rests on or why there is none."""


def estimate_accuracy(
    expected_scores: npt.NDArray[np.float64], info: ProfileInfo, *, drifted: bool | None, confidence: float = 0.95
) -> AccuracyEstimate:
    """Confidence-based performance estimation (CBPE, after NannyML): the mean of calibrated top confidences.

    An answer given with calibrated probability p is right with probability p, so the share of right answers is p on
    average. Temperature scaling calibrates each answer; what gap it leaves between mean confidence and accuracy on the
    reference images is subtracted. The interval is Wilson's, for as many trials as have the variance of the chance
    that remains when every p is right, sum p (1 - p) / n^2, and of the gap's standard error.

    Confidence says nothing of images unlike any the model learned from: on rotated digits the mean was 99% when 10%
    were right. So there is no estimate while any test on embeddings is significant. Drift too slight to be found
    makes it less sure as well, and nothing here measures by how much.

    Args:
        expected_scores: float64 [N]; NaN where there is none.
        info: Of the reference profile.
        drifted: Whether embeddings drift; None where that was not tested.
        confidence: Of the interval.
    """
    scores = expected_scores[np.isfinite(expected_scores)]
    blank = AccuracyEstimate(
        status="unavailable",
        metric=info.metric,
        confidence=confidence,
        num_images=len(scores),
        reason="the task's answers carry no probability of being right",
    )
    if not len(expected_scores):
        return blank.model_copy(update={"reason": "no images"})
    if info.calibration_gap is None or not len(scores):
        return blank
    if drifted is None:
        reason = "embeddings were not compared, so nothing says whether confidence can be trusted on these images"
        return blank.model_copy(update={"reason": reason})
    if drifted:
        reason = "embeddings drift: confidence on such images was never calibrated; label some of them"
        return blank.model_copy(update={"status": "not_valid", "reason": reason})
    mean = float(np.clip(scores.mean() - info.calibration_gap, 0.0, 1.0))
    variance = float((scores * (1 - scores)).sum()) / len(scores) ** 2 + (info.calibration_error or 0.0) ** 2
    lower, upper = _wilson(mean, variance, len(scores), confidence)
    reason = f"mean confidence of {len(scores)} images, calibrated on {info.num_images} reference images"
    return blank.model_copy(
        update={"status": "estimate", "value": mean, "lower": lower, "upper": upper, "reason": reason}
    )


def _wilson(mean: float, variance: float, num: int, confidence: float) -> tuple[float, float]:
    """Wilson's interval around a mean of that variance: of as many trials as would give it that variance."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    trials = mean * (1 - mean) / variance if variance > 0 else float(num)
    trials = max(1.0, min(trials, 1e9)) if 0 < mean < 1 else float(num)
    centre = (mean + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(mean * (1 - mean) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    return max(0.0, centre - half), min(1.0, centre + half)
