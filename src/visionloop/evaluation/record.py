"""The evaluation's report as data, with small pictures of the worst examples, for programs that show it their own way.

`report.json` and `examples/` say what `report.html` says, and are bounded in size whatever the dataset's.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from visionloop.core import files
from visionloop.evaluation.statistics import wilson_interval
from visionloop.evaluation.summary import EvaluationSummary, jsonable
from visionloop.task import Example

RECORD = "report.json"
PICTURES = "examples"

_MAX_CLASSES = 1_000
_MAX_ROWS = 5_000
_MAX_FINDINGS = 50
"""Objects and findings of an example."""
_SIDE = 360
"""Longest side of an example's picture, in pixels."""
_SMALL = 96
"""Pictures no longer than this stay without loss."""
_QUALITY = 85


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTable:
    """A table of a report.

    Attributes:
        name: Stable name, such as `confusion`.
        columns: Names.
        rows: A value a column.
        left_out: Rows beyond the most that are kept.
    """

    name: str
    columns: list[str]
    rows: list[list[Any]]
    left_out: int


def write_record(
    folder: Path,
    summary: EvaluationSummary,
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    examples: Sequence[Example],
) -> None:
    """Write `report.json` and `examples/` into an existing folder.

    Args:
        folder: Where.
        summary: The numbers.
        tables: As `Evaluation.tables` has them.
        examples: The images with the worst answers, worst first.
    """
    pictures = folder / PICTURES
    pictures.mkdir()
    shown = [_example(index, example, summary.classes, pictures) for index, example in enumerate(examples)]
    record = {
        "task": summary.task,
        "dataset": summary.dataset,
        "dataset_hash": summary.dataset_hash,
        "split": summary.split,
        "num_images": summary.num_images,
        "primary_metric": summary.primary_metric,
        "metrics": summary.metrics,
        "intervals": summary.intervals(),
        "classes": [_class(row) for row in summary.per_class[:_MAX_CLASSES]],
        "classes_left_out": max(0, len(summary.per_class) - _MAX_CLASSES),
        "tables": [asdict(_table(name, rows)) for name, rows in tables.items() if rows],
        "examples": shown,
        "latency_ms": summary.latency_ms,
        "model_mb": summary.model_mb,
        "runtime": summary.runtime,
    }
    files.write_json(folder / RECORD, jsonable(record))


def _class(row: Mapping[str, Any]) -> dict[str, Any]:
    """A class's numbers; its recall has an interval, since it is a share of a known number of objects."""
    metrics = {name: value for name, value in row.items() if name not in ("class", "support")}
    intervals = {}
    recall, support = metrics.get("recall"), row["support"]
    if recall is not None and support:
        interval = wilson_interval(round(recall * support), support)
        intervals["recall"] = (interval.lower, interval.upper)
    return {"class": row["class"], "support": support, "metrics": metrics, "intervals": intervals}


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> ReportTable:
    columns = list(rows[0])
    values = [[row[column] for column in columns] for row in rows]
    if all(isinstance(value, str) for row in values for value in row):
        # One row an image, such as truth and answer: how often each occurs says the same in less.
        counts = Counter(tuple(row) for row in values)
        columns, values = [*columns, "count"], [[*row, count] for row, count in counts.most_common()]
    are_curves = columns[0] == "class"
    kept = _whole_classes(values) if are_curves and len(values) > _MAX_ROWS else values[:_MAX_ROWS]
    return ReportTable(name=name, columns=columns, rows=kept, left_out=len(values) - len(kept))


def _whole_classes(rows: list[list[Any]]) -> list[list[Any]]:
    """The rows of the first classes: part of a curve would be another curve."""
    end = next((index for index in range(_MAX_ROWS, 0, -1) if rows[index][0] != rows[index - 1][0]), _MAX_ROWS)
    return rows[:end]


def _example(index: int, example: Example, classes: Sequence[str], folder: Path) -> dict[str, Any]:
    sample = example.sample
    name = _save(example, folder, f"{index:03d}")
    truth = [
        {"class": classes[item.class_id], "class_id": item.class_id, "box_xyxy": item.box_xyxy}
        for item in sample.objects[:_MAX_FINDINGS]
    ]
    prediction = example.prediction.to_record(classes, top_k=_MAX_FINDINGS)
    size = {"width": sample.width, "height": sample.height}
    return {"picture": name, "id": sample.id, **size, "truth": truth, "prediction": prediction}


def _save(example: Example, folder: Path, stem: str) -> str:
    picture = Image.fromarray(example.image)
    picture.thumbnail((_SIDE, _SIDE))
    form, suffix = ("PNG", "png") if max(picture.size) <= _SMALL else ("JPEG", "jpg")
    buffer = io.BytesIO()
    picture.save(buffer, form, quality=_QUALITY)
    files.write_bytes(folder / f"{stem}.{suffix}", buffer.getvalue())
    return f"{stem}.{suffix}"
