"""What `monitoring` answers, as plain dictionaries of the shapes in `schema_monitoring`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from visionloop.evaluation.statistics import Interval
from visionloop.monitoring.ab.compare import AbReport, Arm
from visionloop.monitoring.alerts.messages import RUNBOOK
from visionloop.monitoring.alerts.state import AlertState
from visionloop.monitoring.alerts.store import Silence
from visionloop.monitoring.drift.estimate import AccuracyEstimate
from visionloop.monitoring.drift.summary import WindowReport
from visionloop.monitoring.history.accuracy import FeedbackAccuracy
from visionloop.monitoring.history.counts import Counts
from visionloop.monitoring.labelling.estimate import TrueAccuracy

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


def window_body(window: WindowReport) -> dict[str, Any]:
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
        "accuracy": estimate_body(result.accuracy),
    }


def estimate_body(found: AccuracyEstimate) -> dict[str, Any]:
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
