"""Examples of the routes of a version's report; see `examples`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visionloop.serving.examples_common import REPORT_ID, URL, Sample

REPORT_SAMPLES: Mapping[str, Sample] = {
    "model_report": Sample(
        f"curl {URL}/v1/models/reports/{REPORT_ID}",
        """\
for model in client.model_history().models:
    for kept in model.versions:
        if kept.report is not None:
            report = client.model_report(kept.report)
            print(kept.version, [(item.class_name, item.metrics["f1"]) for item in report.classes])""",
    ),
    "model_report_picture": Sample(
        f"curl -o worst.png {URL}/v1/models/reports/{REPORT_ID}/examples/000.png",
        """\
worst = client.model_report("5f1d2c3b7a9e0c44").examples[0]
Path("worst.png").write_bytes(client.model_report_picture("5f1d2c3b7a9e0c44", worst.picture))""",
    ),
}
"""By operation."""

REPORT_ANSWERS: Mapping[str, Any] = {
    "model_report": {
        "model": "digits-classification",
        "version": "1",
        "task": "classification",
        "dataset": "digits",
        "dataset_hash": "5f1d2c3b7a9e",
        "split": "test",
        "num_images": 358,
        "primary_metric": "accuracy",
        "metrics": {"accuracy": 0.9916201117318436, "f1_macro": 0.9914873, "ece": 0.0071},
        "intervals": {"accuracy": [0.9757, 0.9972]},
        "classes": [
            {
                "class": "7",
                "support": 36,
                "metrics": {"precision": 0.9722222, "recall": 0.9722222, "f1": 0.9722222},
                "intervals": {"recall": [0.858, 0.9951]},
            }
        ],
        "classes_left_out": 0,
        "tables": [
            {
                "name": "confusion",
                "columns": ["actual", "predicted", "count"],
                "rows": [["7", "7", 35], ["7", "3", 1]],
                "left_out": 0,
            }
        ],
        "examples": [
            {
                "picture": "000.png",
                "id": "0417",
                "width": 32,
                "height": 32,
                "truth": [{"class": "7", "class_id": 7, "box_xyxy": None}],
                "prediction": {
                    "class": "3",
                    "class_id": 3,
                    "score": 0.812044,
                    "ranked": [
                        {"class": "3", "class_id": 3, "score": 0.812044},
                        {"class": "7", "class_id": 7, "score": 0.101375},
                    ],
                },
            }
        ],
        "latency_ms": 0.41,
        "model_mb": 1.18,
        "runtime": {"engine": "onnxruntime", "device": "cpu", "threads": 1, "batch_size": 64},
        "card": "# Classification model for digits\n\n**Classes** (10): `0`, `1`, `2`",
    }
}
"""Answers, by operation."""
