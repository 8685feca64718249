"""What `monitoring` answers, as plain dictionaries of the shapes in `schema_monitoring`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from visionloop.evaluation.statistics import Interval
from visionloop.monitoring.ab.compare import AbReport, Arm
from visionloop.monitoring.alerts.messages import RUNBOOK
from visionloop.monitoring.alerts.state import AlertState
from visionloop.monitoring.alerts.store import Silence
from visionloop.monitoring.drift.estimate import AccuracyEstimate
from visionloop.monitoring.drift.summary import DriftSummary, WindowReport
from visionloop.monitoring.history.accuracy import FeedbackAccuracy
from visionloop.monitoring.history.counts import Counts
from visionloop.monitoring.history.requests import Endings
from visionloop.monitoring.labelling.estimate import TrueAccuracy
from visionloop.serving.counters import is_ours

_PERCENTS = (50, 95, 99)
_DIGITS = 6


def latency_body(counts: Counts) -> dict[str, float] | None:
    """Percentiles, or None without answers."""
    found = {f"p{percent}": counts.percentile_ms(percent) for percent in _PERCENTS}
    return {name: round(value, 3) for name, value in found.items() if value is not None} or None


def accuracy_body(found: FeedbackAccuracy | None, drawn: TrueAccuracy | None = None) -> dict[str, Any] | None:
    """Share of right answers with its interval; by what was drawn by chance where there is enough of it."""
    if found is None:
        return None
    return _bounds(found.corrected if drawn is None else drawn.interval) | {
        "judged": found.num_judged,
        "right": found.num_right,
        "disputed": found.num_disputed,
        "uncorrected": round(found.judged_alone.mean, _DIGITS),
        "basis": "random" if drawn is not None else "weighted" if found.num_strata > 1 else "plain",
        "drawn": drawn.num_labels if drawn is not None else 0,
    }


def _bounds(interval: Interval) -> dict[str, Any]:
    mean = interval.mean
    return {
        "value": round(mean, _DIGITS) if math.isfinite(mean) else None,
        "lower": round(interval.lower, _DIGITS),
        "upper": round(interval.upper, _DIGITS),
    }


def report_body(found: AbReport) -> dict[str, Any]:
    """A comparison, without its `basis`."""
    return {
        "since": found.since,
        "confidence": found.confidence,
        "first": _arm(found.first, found.confidence),
        "second": _arm(found.second, found.confidence),
        "gain": _bounds(found.gain),
        "verdict": found.verdict,
        "slower_ms": None if found.slower_ms is None else _bounds(found.slower_ms),
        "agreement": None if found.agreement is None else _bounds(found.agreement[0]) | {"images": found.agreement[1]},
    }


def _arm(arm: Arm, confidence: float) -> dict[str, Any]:
    accuracy = arm.accuracy(confidence)
    return {
        "version": arm.version,
        "answers": arm.answers,
        "judged": arm.judged.trials,
        "right": arm.judged.successes,
        "disputed": arm.disputed,
        "accuracy": None if accuracy is None else _bounds(accuracy),
        "p50_ms": round(arm.p50_ms, 3) if math.isfinite(arm.p50_ms) else None,
        "p95_ms": round(arm.p95_ms, 3) if math.isfinite(arm.p95_ms) else None,
    }


def _window_body(window: WindowReport) -> dict[str, Any]:
    """One window of a drift check."""
    result = window.result
    return {
        "first_at": window.first_at,
        "last_at": window.last_at,
        "status": result.status,
        "num_images": result.num_images,
        "num_required": result.num_required,
        "auc": next((test.effect for test in result.tests if test.effect_name == "AUC"), None),
        "drifted": result.drifted,
        "accuracy": _estimate_body(result.accuracy),
    }


def _estimate_body(found: AccuracyEstimate) -> dict[str, Any]:
    """Accuracy without labels."""
    return found.model_dump(mode="json", exclude={"confidence", "num_images"})


def alert_body(state: AlertState, silences: Sequence[Silence], now: datetime) -> dict[str, Any]:
    """An alert, and whether it is silenced."""
    silent = [silence for silence in silences if silence.covers(state.rule, state.label, now)]
    longest = max(silent, key=lambda silence: silence.until, default=None)
    return {
        "rule": state.rule,
        "label": state.label,
        "phase": "resolved" if state.phase == "ok" else state.phase,
        "since": state.since,
        "severity": state.severity,
        "text": state.text,
        "evidence": state.evidence,
        "seen_at": state.seen_at,
        "silenced_until": longest and longest.until,
        "silenced_why": longest and longest.why,
        "runbook": f"{RUNBOOK}#{state.rule}",
    }


def drift_body(
    summary: DriftSummary, pictures: Mapping[str, str], *, is_champion: bool, has_image: Callable[[str], bool]
) -> dict[str, Any]:
    """What the last drift check found, with its latest window in full.

    Args:
        summary: As the check left it.
        pictures: Reference images by id, JPEG as base64.
        is_champion: Whether what was checked still serves.
        has_image: Whether a prediction's image is kept.
    """
    result = summary.latest.result
    totals = [sum(getattr(share, side) for share in result.classes) for side in ("reference", "window")]
    return {
        "created_at": summary.created_at,
        "model": summary.model,
        "version": summary.version,
        "is_champion": is_champion,
        "alarm": summary.alarm,
        "severity": summary.severity,
        "status": summary.status,
        "sentence": summary.sentence(),
        "num_looked_at": summary.num_looked_at,
        "num_drifted": summary.num_drifted,
        "num_stored": summary.num_stored,
        "num_measured": summary.num_measured,
        "num_reference": result.num_reference,
        "alpha": result.alpha,
        "windows": [_window_body(window) for window in summary.windows],
        "latest": next(index for index, window in enumerate(summary.windows) if window is summary.latest),
        "tests": [
            test.model_dump(mode="json", exclude={"num_reference", "num_window", "num_missing", "p"})
            for test in sorted(result.tests, key=lambda t: (not t.drifted, t.p_adjusted is None, t.p_adjusted or 0))
        ],
        "classes": [
            {
                "class": share.name,
                "reference": share.reference / max(1, totals[0]),
                "window": share.window / max(1, totals[1]),
            }
            for share in result.classes
        ],
        "newest": [
            {
                "prediction_id": new.id,
                "score": new.score,
                "has_image": has_image(new.id),
                "nearest": [{"id": id_, "jpeg_base64": pictures.get(id_)} for id_ in new.nearest_reference],
            }
            for new in result.newest
        ],
        "accuracy": _estimate_body(result.accuracy),
        "remarks": [*summary.remarks, *result.remarks],
    }


def requests_body(edges: Sequence[datetime], parts: Sequence[Endings]) -> dict[str, Any]:
    """How requests ended between each of `edges` and the next, and over all, without its `range`."""
    codes = sum((part.codes for part in parts), Counter())
    return {
        "since": edges[0].isoformat(),
        "until": edges[-1].isoformat(),
        "bucket_s": (edges[1] - edges[0]).total_seconds(),
        "requests": sum(part.total for part in parts),
        "refused": sum(part.refused for part in parts),
        "failed": sum(part.failed for part in parts),
        "codes": [{"code": code, "count": count, "ours": is_ours(code)} for code, count in codes.most_common()],
        "buckets": [
            {
                "start": start.isoformat(),
                "requests": part.total,
                "refused": part.refused,
                "failed": part.failed,
                "by_code": dict(part.codes),
            }
            for start, part in zip(edges, parts, strict=False)
        ],
    }
