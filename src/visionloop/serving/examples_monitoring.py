"""Examples of the routes of `openapi_monitoring`; see `examples`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visionloop.serving.examples_common import PREDICTION_ID, URL, Sample

MONITORING_SAMPLES: Mapping[str, Sample] = {
    "monitoring_summary": Sample(
        f"curl '{URL}/v1/monitoring/summary?task=classification&range=week'",
        """\
week = client.monitoring_summary("classification", range="week")
print(week.answers, week.latency_ms and week.latency_ms.p95, week.accuracy and week.accuracy.value)
busiest = max(week.buckets, key=lambda bucket: bucket.answers).start""",
    ),
    "monitoring_comparison": Sample(
        f"curl '{URL}/v1/monitoring/comparison?task=classification'",
        """\
found = client.monitoring_comparison("classification")
if found.report is not None:
    print(found.report.second.version, found.report.verdict, found.report.gain.lower, found.report.gain.upper)""",
    ),
    "monitoring_drift": Sample(
        f"curl '{URL}/v1/monitoring/drift?task=classification'",
        """\
report = client.monitoring_drift("classification").report
print(report.sentence if report else "not checked yet")""",
    ),
    "monitoring_alerts": Sample(
        f"curl {URL}/v1/monitoring/alerts",
        """\
for alert in client.monitoring_alerts().alerts:
    print(alert.phase, alert.severity, alert.rule, alert.label, alert.text, alert.runbook)""",
    ),
    "monitoring_service": Sample(
        f"curl {URL}/v1/monitoring/service",
        """\
counted = client.monitoring_service()
print(counted.since, counted.requests, {refusal.code: refusal.count for refusal in counted.refusals})""",
    ),
    "monitoring_requests": Sample(
        f"curl '{URL}/v1/monitoring/requests?range=hour'",
        """\
ended = client.monitoring_requests(range="hour")
for bucket in ended.buckets[-3:]:
    print(bucket.start, bucket.requests, bucket.refused, bucket.failed, bucket.by_code)""",
    ),
}
"""By operation."""

_LATENCY = {"p50": 11.921, "p95": 19.407, "p99": 27.512}
_ACCURACY = {
    "value": 0.981022, "lower": 0.957913, "upper": 0.991551, "judged": 274, "right": 262, "disputed": 1,
    "uncorrected": 0.956204, "basis": "weighted", "drawn": 0,
}  # fmt: skip
_ESTIMATE = {
    "status": "estimate", "metric": "accuracy", "value": 0.9714, "lower": 0.9403, "upper": 0.9866,
    "reason": "mean confidence of 200 images, calibrated on 287 reference images",
}  # fmt: skip
_VERSIONS = [
    {"version": "2", "first_at": "2026-11-20T09:00:04.120000+00:00", "last_at": "2026-11-21T13:45:08.572879+00:00",
     "answers": 9214},
    {"version": "1", "first_at": "2026-11-14T08:12:41.003000+00:00", "last_at": "2026-11-21T13:45:08.110512+00:00",
     "answers": 33187},
]  # fmt: skip

MONITORING_ANSWERS: Mapping[str, Any] = {
    "monitoring_summary": {
        "task": "classification",
        "range": "week",
        "since": "2026-11-14T15:00:00+00:00",
        "until": "2026-11-21T15:00:00+00:00",
        "at": "2026-11-21T13:45:09.001203+00:00",
        "bucket_s": 10800.0,
        "answers": 42401,
        "versions": ["1", "2"],
        "classes": ["3", "7"],
        "latency_ms": _LATENCY,
        "confidence": {"edges": [0.0, 0.5, 1.0], "counts": [921, 41480]},
        "found_nothing": 0,
        "accuracy": _ACCURACY,
        "held_back": 0,
        "buckets": [
            {
                "start": "2026-11-21T12:00:00+00:00",
                "answers": 811,
                "by_version": {"1": 648, "2": 163},
                "by_class": {"3": 88, "7": 79},
                "other_classes": 644,
                "found_nothing": 0,
                "latency_ms": _LATENCY,
                "accuracy": None,
            }
        ],
    },
    "monitoring_comparison": {
        "task": "classification",
        "versions": _VERSIONS,
        "report": {
            "since": "2026-11-20T09:00:04.120000+00:00",
            "confidence": 0.95,
            "first": {
                "version": "1", "answers": 8204, "judged": 412, "right": 369, "disputed": 2,
                "accuracy": {"value": 0.895631, "lower": 0.862319, "upper": 0.921614},
                "p50_ms": 11.8, "p95_ms": 19.2,
            },
            "second": {
                "version": "2", "answers": 9214, "judged": 455, "right": 438, "disputed": 0,
                "accuracy": {"value": 0.962637, "lower": 0.940987, "upper": 0.976543},
                "p50_ms": 12.1, "p95_ms": 19.9,
            },
            "gain": {"value": 0.067006, "lower": 0.010324, "upper": 0.125981},
            "verdict": "better",
            "slower_ms": {"value": 0.7, "lower": -0.4, "upper": 1.9},
            "agreement": None,
            "basis": "shared",
        },
    },
    "monitoring_drift": {
        "task": "classification",
        "report": {
            "created_at": "2026-11-21T13:17:02.410233+00:00",
            "model": "digits-classification",
            "version": "1",
            "is_champion": True,
            "alarm": True,
            "severity": "critical",
            "status": "critical",
            "sentence": "2 of 3 windows drifted: sharpness, embedding_classifier",
            "num_looked_at": 3,
            "num_drifted": 2,
            "num_stored": 842,
            "num_measured": 842,
            "num_reference": 287,
            "alpha": 0.01,
            "windows": [
                {
                    "first_at": "2026-11-21T11:02:51.210000+00:00",
                    "last_at": "2026-11-21T12:48:17.904000+00:00",
                    "status": "ok",
                    "num_images": 200,
                    "num_required": 200,
                    "auc": 0.52,
                    "drifted": [],
                    "accuracy": _ESTIMATE,
                }
            ],
            "latest": 2,
            "tests": [
                {
                    "name": "sharpness", "subject": "image", "method": "ks", "outcome": "tested",
                    "p_adjusted": 3.1e-19, "effect": 0.412, "effect_name": "D", "drifted": True,
                    "reference_median": -0.82, "window_median": -1.41, "unit": "log10",
                    "meaning": "how fine the detail is",
                    "histogram": {"edges": [-2.0, -1.0, 0.0], "reference": [64, 223], "window": [151, 49]},
                }
            ],
            "classes": [{"class": "0", "reference": 0.101, "window": 0.094}],
            "newest": [
                {
                    "prediction_id": PREDICTION_ID, "score": 0.99, "has_image": True,
                    "nearest": [{"id": "scan-0412", "jpeg_base64": None}],
                }
            ],
            "accuracy": {
                "status": "not_valid", "metric": "accuracy", "value": None, "lower": None, "upper": None,
                "reason": "embeddings drift: confidence on such images was never calibrated; label some of them",
            },
            "remarks": ["the reference has 287 images; 1000 make it sure of small differences"],
        },
        "problem": None,
    },
    "monitoring_alerts": {
        "watched_at": "2026-11-21T13:44:58.210000+00:00",
        "watch_interval_s": 30.0,
        "alerts": [
            {
                "rule": "drift",
                "label": "classification",
                "phase": "firing",
                "since": "2026-11-21T13:18:01.120000+00:00",
                "severity": "critical",
                "text": "digits-classification 1: 2 of 3 windows drifted: sharpness, embedding_classifier",
                "evidence": "mlruns/monitoring/drift/classification.html",
                "seen_at": "2026-11-21T13:44:58.210000+00:00",
                "silenced_until": None,
                "silenced_why": None,
                "runbook": "docs/alerts.md#drift",
            }
        ],
    },
    "monitoring_service": {
        "since": "2026-11-21T08:00:12+00:00",
        "requests": 1812,
        "by_status": {"2xx": 1790, "4xx": 21, "5xx": 1},
        "refusals": [{"code": "image_unsupported_format", "count": 12, "ours": False}],
        "stages": [
            {"task": "classification", "stage": "decode", "count": 1604, "p50": 0.612, "p95": 2.104, "p99": 4.31}
        ],
        "rows": {"written": 1604, "pending": 0, "dropped": 0},
    },
    "monitoring_requests": {
        "range": "hour",
        "since": "2026-11-21T12:46:00+00:00",
        "until": "2026-11-21T13:46:00+00:00",
        "bucket_s": 60.0,
        "requests": 1812,
        "refused": 21,
        "failed": 1,
        "codes": [
            {"code": "image_unsupported_format", "count": 21, "ours": False},
            {"code": "overloaded", "count": 1, "ours": True},
        ],
        "buckets": [
            {"start": "2026-11-21T13:45:00+00:00", "requests": 35, "refused": 1, "failed": 0,
             "by_code": {"image_unsupported_format": 1}}
        ],
    },
}  # fmt: skip
"""Answers, by operation."""
