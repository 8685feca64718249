"""Examples of the API's document: commands, programs, and answers as the digits' models gave them.

A test runs every command and program against a service, and holds the answers against its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

URL = "http://127.0.0.1:3000"
PREDICTION_ID = "a90caad1746840e5845a2a5c64ebade8"
BATCH_ID = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"


class Sample(NamedTuple):
    """How to ask a route.

    Attributes:
        curl: A command; empty where curl cannot ask it.
        python: Lines that follow the making of `client`; empty where no program asks it.
    """

    curl: str
    python: str


SAMPLES: Mapping[str, Sample] = {
    "classify": Sample(
        f"curl -F image=@digit.png '{URL}/v1/classify?top_k=3'",
        """\
answer = client.classify("digit.png", top_k=3)
best = answer.predictions[0]
print(best.class_name, best.score)""",
    ),
    "detect": Sample(
        f"curl -F image=@scene.png -F threshold=0.5 {URL}/v1/detect",
        """\
answer = client.detect("scene.png", threshold=0.5)
for box in answer.predictions[0].detections:
    print(box.class_name, box.score, box.box_xyxy)""",
    ),
    "predict": Sample(
        f"curl -H 'Content-Type: image/png' --data-binary @scene.png '{URL}/v1/predict?store=false'",
        """\
for task, answer in client.predict("scene.png", store=False).results.items():
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
        f"curl -H 'Content-Type: application/zip' --data-binary @scenes.zip '{URL}/v1/batches?task=detection'",
        """\
batch = client.submit_batch("scenes.zip", task="detection")  # or a folder, or a list of images
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
        "client.cancel_batch(batch.id)",
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

PROBLEM: Mapping[str, Any] = {}
"""A refusal."""

ANSWERS: Mapping[str, Any] = {"batch_result": ""}
"""Answers, by operation."""
