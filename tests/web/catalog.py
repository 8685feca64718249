"""A catalog as the registry writes it beside the deployment pointer; tests/registry/test_catalog.py has the writer."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from visionloop.core.files import write_json
from visionloop.serving.administration import CATALOG
from visionloop.serving.schema_review import HistoryAnswer

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
    }


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
