"""Examples of the API's document: commands, programs, and answers as the digits' models gave them.

A test runs every command and program against a service, and holds the answers against its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visionloop.serving.examples_common import BATCH_ID, PREDICTION_ID, URL, Sample
from visionloop.serving.examples_label_studio import LABEL_STUDIO_ANSWERS, LABEL_STUDIO_SAMPLES
from visionloop.serving.examples_monitoring import MONITORING_ANSWERS, MONITORING_SAMPLES
from visionloop.serving.examples_report import REPORT_ANSWERS, REPORT_SAMPLES
from visionloop.serving.examples_review import REVIEW_ANSWERS, REVIEW_SAMPLES

__all__ = ["ANSWERS", "BATCH_ID", "FEEDBACK_BODIES", "PREDICTION_ID", "PROBLEM", "SAMPLES", "URL"]

SAMPLES: Mapping[str, Sample] = {
    "classify": Sample(
        f"curl -F image=@digit.png '{URL}/v1/classify?top_k=3'",
        """\
answer = client.classify("digit.png", top_k=3)
best = answer.predictions[0]
print(best.class_name, best.score)""",
    ),
    "detect": Sample(
        f"curl -F image=@scene.png -F top_k=1 {URL}/v1/detect",
        """\
answer = client.detect("scene.png", threshold=0.5)
for box in answer.predictions[0].detections:
    print(box.class_name, box.score, box.box_xyxy)""",
    ),
    "predict": Sample(
        f"curl -H 'Content-Type: image/png' --data-binary @digit.png '{URL}/v1/predict?store=false&top_k=1'",
        """\
for task, answer in client.predict("digit.png", store=False, top_k=1).results.items():
    print(task, answer.model.name, answer.model.version)""",
    ),
    "explain": Sample(
        f"curl -F image=@digit.png -F task=classification -o heat.png {URL}/v1/explain",
        """\
Path("heat.png").write_bytes(client.explain("digit.png", task="classification"))
rows = client.explain_grid("digit.png", task="classification").grid""",
    ),
    "stream": Sample(
        "",
        """\
frames = (Path(name).read_bytes() for name in ["scene.png", "digit.png"])  # or a camera's
for answer in client.stream(frames, task="detection"):
    print(answer.frame, answer.dropped, answer.prediction or answer.problem)""",
    ),
    "submit_batch": Sample(
        f"curl -H 'Content-Type: application/zip' --data-binary @digits.zip '{URL}/v1/batches?task=classification'",
        """\
batch = client.submit_batch("digits.zip", task="classification")  # or a folder, or a list of images
print(batch.id, batch.total)""",
    ),
    "batch": Sample(
        f"curl {URL}/v1/batches/{BATCH_ID}",
        """\
print(client.batch(batch.id).done)
batch = client.wait_batch(batch.id, timeout_s=600)  # until it is finished
print(batch.status, batch.failures)""",
    ),
    "cancel_batch": Sample(
        f"curl -X DELETE {URL}/v1/batches/{BATCH_ID}",
        """\
another = client.submit_batch("digits.zip", task="classification")
client.cancel_batch(another.id)""",
    ),
    "batch_result": Sample(
        f"curl '{URL}/v1/batches/{BATCH_ID}/result?form=csv'",
        'Path("result.csv").write_text(client.batch_result(batch.id, form="csv"))',
    ),
    "feedback": Sample(
        f"""curl --json '{{"prediction_id": "{PREDICTION_ID}", "verdict": "right"}}' {URL}/v1/feedback""",
        """\
found = client.classify("digit.png").predictions[0]
client.feedback(found.id, "corrected", label="7", note="a seven with a bar")""",
    ),
    "prediction": Sample(
        f"curl {URL}/v1/predictions/{PREDICTION_ID}",
        """\
kept = client.prediction(found.id)
print(kept.model, kept.version, kept.feedback[0].label)""",
    ),
    "models": Sample(
        f"curl {URL}/v1/models",
        """\
for model in client.models().models:
    print(model.task, model.name, model.version, model.role, model.share)""",
    ),
    "readyz": Sample(
        f"curl {URL}/readyz",
        "client.wait_ready(timeout_s=60)  # or client.ready(), which does not wait",
    ),
    "livez": Sample(f"curl {URL}/livez", ""),
    "metrics": Sample(f"curl {URL}/metrics", 'client.metrics().count("visionloop_requests_total")'),
    "openapi": Sample(f"curl {URL}/openapi.json", ""),
    **REVIEW_SAMPLES,
    **MONITORING_SAMPLES,
    **LABEL_STUDIO_SAMPLES,
    **REPORT_SAMPLES,
}
"""By operation."""

FEEDBACK_BODIES: Mapping[str, Any] = {
    "right": {"value": {"prediction_id": PREDICTION_ID, "verdict": "right"}},
    "class": {"value": {"prediction_id": PREDICTION_ID, "verdict": "corrected", "label": "7"}},
    "boxes": {
        "value": {
            "prediction_id": PREDICTION_ID,
            "verdict": "corrected",
            "label": [{"class": "7", "box_xyxy": [10, 12, 40, 51]}],
        }
    },
}
"""Bodies of feedback, by what they show."""

PROBLEM: Mapping[str, Any] = {
    "type": "urn:visionloop:problem:image_unsupported_format",
    "title": "Unsupported Media Type",
    "status": 415,
    "detail": "the bytes are not an image in an accepted format",
    "code": "image_unsupported_format",
    "where": "image 1",
    "expected": "one of JPEG, PNG, WEBP, BMP",
    "action": "convert the file to JPEG or PNG, or remove it",
}
"""A refusal."""

ANSWERS: Mapping[str, Any] = {
    "classify": {
        "model": {"task": "classification", "name": "digits-classification", "version": "1", "role": "champion"},
        "predictions": [
            {
                "id": "3dcdfb3e36cd4ffc8004ea5ee4d22f97",
                "image": {"width": 32, "height": 32},
                "class": "7",
                "class_id": 7,
                "score": 0.632306,
                "ranked": [
                    {"class": "7", "class_id": 7, "score": 0.632306},
                    {"class": "3", "class_id": 3, "score": 0.182948},
                    {"class": "9", "class_id": 9, "score": 0.136886},
                ],
            }
        ],
        "timings_ms": {"decode": 0.279, "queue": 0.046, "inference": 9.209, "total": 9.821},
        "request_id": "d11ee49fc08343de91e9a8e27b4755df",
    },
    "predict": {
        "results": {
            "classification": {
                "model": {
                    "task": "classification",
                    "name": "digits-classification",
                    "version": "1",
                    "role": "champion",
                },
                "predictions": [
                    {
                        "id": "450ca905cd824b07be64195c725c393f",
                        "image": {"width": 32, "height": 32},
                        "class": "7",
                        "class_id": 7,
                        "score": 0.632306,
                        "ranked": [{"class": "7", "class_id": 7, "score": 0.632306}],
                    }
                ],
                "timings_ms": {"decode": 0.298, "queue": 0.041, "inference": 7.421, "total": 8.056},
                "request_id": "d3531c20cfa04da686bad663f2ed9846",
            }
        },
        "request_id": "d3531c20cfa04da686bad663f2ed9846",
    },
    "explain": {
        "task": "classification",
        "model": {"task": "classification", "name": "digits-classification", "version": "1", "role": "champion"},
        "prediction": {
            "class": "7",
            "class_id": 7,
            "score": 0.632306,
            "ranked": [
                {"class": "7", "class_id": 7, "score": 0.632306},
                {"class": "3", "class_id": 3, "score": 0.182948},
                {"class": "9", "class_id": 9, "score": 0.136886},
                {"class": "1", "class_id": 1, "score": 0.028329},
                {"class": "8", "class_id": 8, "score": 0.007267},
            ],
        },
        "grid": [
            [0.314, 0.281, 0.2069, 0.1737, 0.1648, 0.1774, 0.2695, 0.3086],
            [0.3101, 0.2739, 0.2241, 0.2122, 0.2303, 0.2505, 0.3087, 0.3268],
        ],
    },
    "stream": {
        "frame": 4,
        "dropped": 0,
        "model": {"task": "classification", "name": "digits-classification", "version": "1", "role": "champion"},
        "prediction": {
            "image": {"width": 32, "height": 32},
            "class": "7",
            "class_id": 7,
            "score": 0.632306,
            "ranked": [{"class": "7", "class_id": 7, "score": 0.632306}],
        },
        "ms": 11.789,
    },
    "submit_batch": {
        "id": "6c4a72ced4b64312864ace4adefdbd89",
        "task": "classification",
        "status": "waiting",
        "total": 3,
        "done": 0,
        "failures": 0,
        "skipped": 0,
        "created_at": 1795268710.1472783,
        "started_at": None,
        "finished_at": None,
        "images_per_s": None,
        "models": [],
        "error": None,
        "eta_s": None,
        "url": "/v1/batches/6c4a72ced4b64312864ace4adefdbd89",
    },
    "batch": {
        "id": "6c4a72ced4b64312864ace4adefdbd89",
        "task": "classification",
        "status": "done",
        "total": 3,
        "done": 3,
        "failures": 0,
        "skipped": 0,
        "created_at": 1795268710.1472783,
        "started_at": 1795268710.1698203,
        "finished_at": 1795268710.249086,
        "images_per_s": 37.68,
        "models": ["digits-classification 1"],
        "error": None,
        "eta_s": None,
        "url": "/v1/batches/6c4a72ced4b64312864ace4adefdbd89",
    },
    "batch_result": "image,class,score,error\n0020.png,0,0.987765,\n0979.png,2,0.998244,\n0074.png,5,0.9845,\n",
    "feedback": {"prediction_id": "3dcdfb3e36cd4ffc8004ea5ee4d22f97", "verdict": "right"},
    "prediction": {
        "id": "3dcdfb3e36cd4ffc8004ea5ee4d22f97",
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
            "id": "3dcdfb3e36cd4ffc8004ea5ee4d22f97",
            "image": {"width": 32, "height": 32},
            "class": "7",
            "class_id": 7,
            "score": 0.632306,
            "ranked": [
                {"class": "7", "class_id": 7, "score": 0.632306},
                {"class": "3", "class_id": 3, "score": 0.182948},
                {"class": "9", "class_id": 9, "score": 0.136886},
            ],
        },
        "top_class": "7",
        "confidence": 0.6323061585426331,
        "features": None,
        "latency_ms": 9.54371399984666,
        "feedback": [
            {
                "id": 1,
                "prediction_id": "3dcdfb3e36cd4ffc8004ea5ee4d22f97",
                "created_at": "2026-11-21T13:45:11.023892+00:00",
                "verdict": "right",
                "label": None,
                "note": None,
                "key_id": None,
            }
        ],
    },
    "models": {
        "models": [
            {
                "task": "classification",
                "role": "champion",
                "share": 1.0,
                "name": "digits-classification",
                "version": "1",
                "digest": "a3385d7a4d26007266771099e8413ef2a3e81123f5f9c04b1e12c5e34bfe4d6b",
                "classes": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
                "input": {"width": 32, "height": 32},
                "operating_point": {"temperature": 1.240812366111646},
                "metrics": {
                    "accuracy": 0.9916201117318436,
                    "precision_macro": 0.9921052631578947,
                    "recall_macro": 0.9915079365079364,
                    "f1_macro": 0.9916143367891503,
                    "log_loss": 0.04123979072300099,
                    "ece": 0.01824011016824392,
                    "num_images": 358,
                    "latency_ms": 2.751,
                    "model_mb": 1.177,
                },
                "stopped": None,
            }
        ],
        "failures": {},
        "max_image_bytes": 10_000_000,
    },
    "detect": {
        "model": {"task": "detection", "name": "digits-detection", "version": "1", "role": "champion"},
        "predictions": [
            {
                "id": "a90caad1746840e5845a2a5c64ebade8",
                "image": {"width": 128, "height": 128},
                "detections": [
                    {"class": "7", "class_id": 7, "score": 0.868236, "box_xyxy": [21.37, 54.77, 46.89, 92.07]}
                ],
            }
        ],
        "timings_ms": {"decode": 0.595, "queue": 0.06, "inference": 5.394, "total": 7.716},
        "request_id": "346e67f8b0af46abb1b28bd76e419d76",
    },
    **REVIEW_ANSWERS,
    **MONITORING_ANSWERS,
    **LABEL_STUDIO_ANSWERS,
    **REPORT_ANSWERS,
}
"""Answers, by operation."""
