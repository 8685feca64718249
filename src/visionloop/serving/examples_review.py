"""Examples of the routes of `openapi_review`; see `examples`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visionloop.serving.examples_common import PREDICTION_ID, REPORT_ID, URL, Sample

REVIEW_SAMPLES: Mapping[str, Sample] = {
    "predictions": Sample(
        f"curl '{URL}/v1/predictions?task=classification&max_confidence=0.9&feedback=none&limit=1'",
        """\
page = client.predictions(task="classification", feedback="corrected", limit=20)
for kept in page.predictions:
    print(kept.top_class, kept.confidence, kept.feedback[0].label)
older = client.predictions(task="classification", cursor=page.next) if page.next else None""",
    ),
    "prediction_image": Sample(
        f"curl -o picture.jpg '{URL}/v1/predictions/{PREDICTION_ID}/image?size=256'",
        'Path("picture.jpg").write_bytes(client.prediction_image(found.id, size=256))',
    ),
    "remove_feedback": Sample(
        f"curl -X DELETE {URL}/v1/predictions/{PREDICTION_ID}/feedback",
        "client.remove_feedback(found.id)",
    ),
    "queue": Sample(
        f"curl '{URL}/v1/queue?task=classification&limit=1'",
        """\
for item in client.queue("classification", limit=10).items:
    print(item.reason, item.usefulness, item.prediction.top_class)""",
    ),
    "fill_queue": Sample(
        f"curl -X POST '{URL}/v1/queue?task=classification&limit=1'",
        'print(len(client.fill_queue("classification", limit=10).items), "wait")',
    ),
    "history": Sample(
        f"curl {URL}/v1/models/history",
        """\
for model in client.model_history().models:
    for kept in model.versions:
        print(model.model, kept.version, kept.aliases, kept.metrics.get(kept.primary_metric))""",
    ),
    "change_models": Sample(
        f"""curl --json '{{"action": "canary", "model": "digits-detection", "share": 0.1}}' {URL}/v1/models/change""",
        """\
try:
    print(client.change_models("rollback", "digits-detection", why="misses sevens at night").summary)
except ApiError as error:
    print(error.code, error.action)""",
    ),
}
"""By operation."""

CHANGE_BODIES: Mapping[str, Any] = {
    "promote": {"value": {"action": "promote", "model": "digits-detection", "version": "3", "why": "fewer misses"}},
    "canary": {"value": {"action": "canary", "model": "digits-detection", "version": "3", "share": 0.1}},
    "rollback": {"value": {"action": "rollback", "model": "digits-detection", "why": "misses sevens at night"}},
}
"""Bodies of a change, by what they show."""

_LISTED: Mapping[str, Any] = {
    "id": PREDICTION_ID,
    "created_at": "2026-11-21T13:45:08.572879+00:00",
    "task": "classification",
    "model": "digits-classification",
    "version": "1",
    "digest": "a3385d7a4d26007266771099e8413ef2a3e81123f5f9c04b1e12c5e34bfe4d6b",
    "variant": "champion",
    "request_id": "d11ee49fc08343de91e9a8e27b4755df",
    "key_id": None,
    "image_sha256": "276a92458763ee80c4ccb353bc8c684a18298839b20de44a513061bb438fa37e",
    "width": 32,
    "height": 32,
    "image_bytes": 656,
    "result": {
        "id": PREDICTION_ID,
        "image": {"width": 32, "height": 32},
        "class": "7",
        "class_id": 7,
        "score": 0.632306,
        "ranked": [
            {"class": "7", "class_id": 7, "score": 0.632306},
            {"class": "3", "class_id": 3, "score": 0.182948},
        ],
    },
    "top_class": "7",
    "confidence": 0.6323061585426331,
    "features": None,
    "latency_ms": 9.54371399984666,
    "feedback": [],
    "has_image": True,
}

_QUEUE: Mapping[str, Any] = {
    "items": [{"reason": "uncertain", "usefulness": 0.5506, "prediction": _LISTED}],
    "waiting": 17,
    "left_today": 180,
}

REVIEW_ANSWERS: Mapping[str, Any] = {
    "predictions": {
        "predictions": [_LISTED],
        "next": "WyIyMDI2LTExLTIxVDEzOjQ1OjA4LjU3Mjg3OSswMDowMCIsICIzZGNkZmIzZTM2Y2Q0ZmZjODAwNGVhNWVlNGQyMmY5NyJd",
    },
    "queue": _QUEUE,
    "fill_queue": _QUEUE,
    "history": {
        "models": [
            {
                "model": "digits-classification",
                "task": "classification",
                "versions": [
                    {
                        "version": "1",
                        "aliases": ["champion"],
                        "created": "2026-11-21T12:02:31+00:00",
                        "digest": "a3385d7a4d26007266771099e8413ef2a3e81123f5f9c04b1e12c5e34bfe4d6b",
                        "dataset": "digits",
                        "dataset_hash": "5f1d2c3b7a9e",
                        "primary_metric": "accuracy",
                        "metrics": {"accuracy": 0.9916201117318436, "num_images": 358.0},
                        "intervals": {"accuracy": [0.9757, 0.9972]},
                        "verdict": {
                            "decision": "promote",
                            "summary": "promote: the first model, accuracy 0.9916 on 358 images, above every floor",
                            "checks": [
                                {
                                    "name": "floor: accuracy",
                                    "passed": True,
                                    "found": 0.9916201117318436,
                                    "required": 0.9,
                                    "explanation": "accuracy 0.9916 is at or above its floor 0.9",
                                }
                            ],
                        },
                        "rolled_back": None,
                        "report": REPORT_ID,
                    }
                ],
            }
        ],
        "changes": [
            {
                "when": "2026-11-21T12:02:33+00:00",
                "who": "ann",
                "action": "promote",
                "model": "digits-classification",
                "from_version": None,
                "to_version": "1",
                "why": "promote: the first model, accuracy 0.9916 on 358 images, above every floor",
                "forced": False,
            }
        ],
    },
    "change_models": {"summary": "digits-detection 2, canary 3 at 10%"},
}
"""Answers, by operation."""
