"""A catalog as the registry writes it beside the deployment pointer; tests/registry/test_catalog.py has the writer."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from visionloop.core.files import write_json
from visionloop.serving.administration import CATALOG
from visionloop.serving.examples_common import REPORT_ID
from visionloop.serving.reports import REPORTS
from visionloop.serving.schema_report import ReportAnswer
from visionloop.serving.schema_review import HistoryAnswer

REPORT_IDS = {"1": "1" * 16, "3": "3" * 16}
"""Of the classification's versions; the second has none."""
DETECTION_REPORT_ID = "d" * 16
CLASSES = ("red", "green", "a class with a very long name that has to go somewhere")

_REASON = "red, the class that fares worst, loses 0.110 of recall; 0.02 is allowed"


def write_catalog(folder: Path, now: datetime) -> None:
    """Three versions of one model and one of another, with a promotion that was taken back in the last two days."""

    def ago(hours: float) -> str:
        return (now - timedelta(hours=hours)).isoformat(timespec="seconds")

    content = {
        "models": [
            {
                "model": "tiny-classification",
                "task": "classification",
                "versions": [
                    _version(3, 0.93, (0.90, 0.95), ["challenger"], passed=False),
                    _version(2, 0.92, (0.89, 0.94), [], rolled_back=ago(24)),
                    _version(1, 0.91, (0.88, 0.93), ["champion"]),
                ],
            },
            {
                "model": "tiny-detection",
                "task": "detection",
                "versions": [_version(1, 0.71, None, ["champion"], metric="map_50_95")],
            },
        ],
        "changes": [
            _change(ago(24), "rollback", "2", "1", "bob", "misses reds at night"),
            _change(ago(36), "promote", "1", "2", "ann", "promote: accuracy 0.9200 on 500 images, champion 0.9100"),
            _change(ago(140), "promote", None, "1", "ann", "promote: the first model, accuracy 0.9100 on 500 images"),
        ],
    }
    HistoryAnswer.model_validate(content)
    write_json(folder / "mlruns" / CATALOG, content)
    for version, id_ in REPORT_IDS.items():
        write_report(folder, id_, int(version))
    write_report(folder, DETECTION_REPORT_ID, 1, task="detection")


def _version(
    number: int,
    value: float,
    interval: tuple[float, float] | None,
    aliases: list[str],
    *,
    metric: str = "accuracy",
    passed: bool = True,
    rolled_back: str | None = None,
) -> dict[str, Any]:
    floor = {"name": f"floor: {metric}", "passed": True, "found": value, "required": 0.5}
    checks = [floor | {"explanation": f"{metric} {value:.4f} is at or above its floor 0.5"}]
    if not passed:
        drop = {"name": "class drop", "passed": False, "found": 0.11, "required": 0.02, "explanation": _REASON}
        checks.append(drop)
    decision = "promote" if passed else "refuse"
    return {
        "version": str(number),
        "aliases": aliases,
        "created": f"2026-11-{17 + number}T08:30:00+00:00",
        "digest": f"{number:064x}",
        "dataset": "tiny",
        "dataset_hash": "5f1d2c3b7a9e0c44",
        "primary_metric": metric,
        "metrics": {metric: value, "ece": 0.02 * number, "latency_ms": 2.5, "model_mb": 1.177, "num_images": 500.0},
        "intervals": {metric: list(interval)} if interval else {},
        "verdict": {
            "decision": decision,
            "summary": f"{decision}: {metric} {value:.4f} on 500 images" if passed else f"refuse: {_REASON}",
            "checks": checks,
        },
        "rolled_back": rolled_back,
        "report": DETECTION_REPORT_ID if metric == "map_50_95" else REPORT_IDS.get(str(number)),
    }


def write_report(folder: Path, id_: str = REPORT_ID, version: int = 1, *, task: str = "classification") -> None:
    """A report as the registry writes it; tests/registry/test_reports.py has the writer."""
    home = folder / "mlruns" / REPORTS / id_
    (home / "examples").mkdir(parents=True, exist_ok=True)
    examples = [_example(home, index, task) for index in range(3)]
    recalls = [0.80 + 0.02 * version, 0.95, 0.5]
    classes = [
        {"class": name, "support": 50, "metrics": {"precision": 0.9, "recall": recall, "f1": round(recall - 0.01, 4)},
         "intervals": {"recall": [round(recall - 0.1, 4), round(recall + 0.04, 4)]}}
        for name, recall in zip(CLASSES, recalls, strict=True)
    ]  # fmt: skip
    metric = "accuracy" if task == "classification" else "map_50_95"
    report = {
        "model": f"tiny-{task}",
        "version": str(version),
        "task": task,
        "dataset": "tiny",
        "dataset_hash": "5f1d2c3b7a9e0c44",
        "split": "test",
        "num_images": 500,
        "primary_metric": metric,
        "metrics": {metric: 0.90 + 0.01 * version, "precision_macro": None},
        "intervals": {metric: [0.88, 0.95]} if task == "classification" else {},
        "classes": classes,
        "classes_left_out": 0,
        "tables": _tables(task),
        "examples": examples,
        "latency_ms": 2.5,
        "model_mb": 1.177,
        "runtime": {"engine": "onnxruntime", "device": "cpu", "threads": 1, "batch_size": 64},
        "card": _CARD,
    }
    ReportAnswer.model_validate(report)
    write_json(home / "report.json", report)


# What a person writes into names of classes and datasets goes into the card as it is.
_CARD = """# Classification model for tiny

**Classes** (3): `red`, `green`, `<script>alert(1)</script>`

<img src=x onerror="alert(1)"> [press me](javascript:alert(1)) ![shot](http://127.0.0.1:9/x.png)

## Operating point (chosen on the validation split)
- `temperature`: 1.2

## Limits
It knows only the classes above.
"""


def _example(home: Path, index: int, task: str) -> dict[str, Any]:
    name = f"{index:03d}.png"
    picture = Image.new("RGB", (64, 48), ["#802020", "#206020", "#202080"][index])
    ImageDraw.Draw(picture).rectangle((10, 8, 40, 40), fill="#d0d0d0")
    picture.save(home / "examples" / name)
    found = {"class": "green", "class_id": 1, "score": 0.81}
    if task == "detection":
        prediction: dict[str, Any] = {"detections": [found | {"box_xyxy": [24.0, 20.0, 70.0, 76.0]}]}
    else:
        prediction = found | {"ranked": [found, {"class": "red", "class_id": 0, "score": 0.1}]}
    box = [20.0, 16.0, 80.0, 80.0] if task == "detection" else None
    truth = [{"class": "red", "class_id": 0, "box_xyxy": box}]
    return {
        "picture": name,
        "id": f"tiny-{index}",
        "width": 128,
        "height": 96,
        "truth": truth,
        "prediction": prediction,
    }


def _tables(task: str) -> list[dict[str, Any]]:
    if task == "detection":
        rows = [[name, recall / 10, round(1 - recall * recall / 120, 3)] for name in CLASSES for recall in range(11)]
        return [{"name": "pr_curve", "columns": ["class", "recall", "precision"], "rows": rows, "left_out": 0}]
    a, b, c = CLASSES
    counts = [[a, a, 41], [a, b, 9], [b, b, 48], [b, a, 2], [c, c, 25], [c, a, 25]]
    bins = [[0.55, 0.4, 0.1], [0.75, 0.7, 0.3], [0.95, 0.99, 0.6]]
    return [
        {"name": "confusion", "columns": ["actual", "predicted", "count"], "rows": counts, "left_out": 0},
        {"name": "reliability", "columns": ["confidence", "accuracy", "share"], "rows": bins, "left_out": 0},
    ]


def _change(when: str, action: str, before: str | None, after: str, who: str, why: str) -> dict[str, Any]:
    return {
        "when": when,
        "who": who,
        "action": action,
        "model": "tiny-classification",
        "from_version": before,
        "to_version": after,
        "why": why,
        "forced": False,
    }
