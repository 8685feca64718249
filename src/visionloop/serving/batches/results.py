"""A result in the form asked for: the rows of a job as CSV, JSON lines or COCO."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, Literal

import orjson

from visionloop.serving.batches.state import JobState

ResultForm = Literal["csv", "json", "coco"]

MEDIA_TYPES: Mapping[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/x-ndjson",
    "coco": "application/json",
}
"""Content type of each form of a result."""


def read_rows(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    """The rows of a job's file, which is closed after the last."""
    with file:
        for line in file:
            yield orjson.loads(line)


def entries(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The predictions of one image: the answer itself where it names a class, else the list in it."""
    if "class" in row:
        return [row]
    return next((value for value in row.values() if isinstance(value, list)), [])


def _as_csv(rows: Iterator[dict[str, Any]], state: JobState) -> Iterator[bytes]:
    sides = ["x_min", "y_min", "x_max", "y_max"] if state.boxes else []
    yield _csv_lines([["image", "class", "score", *sides, "error"]])
    for row in rows:
        image, error = _safe(row["image"]), row.get("error", {}).get("code", "")
        lines = [
            [image, _safe(entry["class"]), entry["score"], *(entry.get("box_xyxy", [""] * 4) if sides else []), ""]
            for entry in entries(row)
        ]
        yield _csv_lines(lines or [[image, "", "", *[""] * len(sides), error]])


def _csv_lines(lines: Sequence[Sequence[object]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(lines)
    return buffer.getvalue().encode()


def _safe(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _as_json(rows: Iterator[dict[str, Any]], _: JobState) -> Iterator[bytes]:
    for row in rows:
        yield orjson.dumps(row) + b"\n"


def _as_coco(rows: Iterator[dict[str, Any]], _: JobState) -> Iterator[bytes]:
    before = b"["
    for row in rows:
        for entry in entries(row):
            x_min, y_min, x_max, y_max = entry["box_xyxy"]
            found = {
                "image_id": row["index"],
                "file_name": row["image"],
                "category_id": entry["class_id"],
                "category_name": entry["class"],
                "bbox": [x_min, y_min, round(x_max - x_min, 2), round(y_max - y_min, 2)],
                "score": entry["score"],
            }
            yield before + orjson.dumps(found)
            before = b",\n"
    yield b"[]" if before == b"[" else b"]"


WRITERS: Mapping[str, Callable[[Iterator[dict[str, Any]], JobState], Iterator[bytes]]] = {
    "csv": _as_csv,
    "json": _as_json,
    "coco": _as_coco,
}
