"""Registered models and verdicts as text for people and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from visionloop.evaluation.gate import Verdict
from visionloop.registry.audit import ChampionChange
from visionloop.registry.models import ModelRow

if TYPE_CHECKING:
    from rich.console import RenderableType


_DISPENSABLE = ("registered", "dataset", "metric")
"""Columns that are left out, in this order, where a table is too wide: commands need the others."""


def models_table(rows: Sequence[ModelRow], *, width: int) -> RenderableType:
    """A rich table, one row a version; what the width has no room for is left out, and a line below says so."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    cells = [_cells(row) for row in rows]
    widths = {name: max(len(name), *(len(cell[name]) for cell in cells)) for name in cells[0]}
    left_out = []
    for name in _DISPENSABLE:
        if sum(widths.values()) + 2 * (len(widths) - 1) > width:
            left_out.append(name)
            del widths[name]
    table = Table(box=None, pad_edge=False)
    for name in widths:
        # Names and versions are what the next command is given.
        table.add_column(name, overflow="fold", no_wrap=name in ("model", "version"))
    for row, cell in zip(rows, cells, strict=True):
        bold = "bold green" if "champion" in row.aliases else ""
        table.add_row(*(Text(cell[name], bold if name == "alias" else "") for name in widths))
    if not left_out:
        return table
    return Group(table, Text(f"left out: {', '.join(left_out)}; a wider terminal or --json shows all", "dim"))


def _cells(row: ModelRow) -> dict[str, str]:
    value = "undefined" if row.value is None else f"{row.value:.4f}"
    return {
        "model": row.model,
        "version": row.version,
        "alias": " ".join(f"@{alias}" for alias in row.aliases),
        "metric": f"{row.metric} {value}",
        "dataset": f"{row.dataset} {row.dataset_hash[:8]}",
        "registered": row.created[:16].replace("T", " "),
        "gate": (row.decision or "not judged").replace("_", " "),
    }


def models_json(rows: Sequence[ModelRow]) -> str:
    """A JSON list, one object a version."""
    return json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False)


def verdict_lines(verdict: Verdict) -> list[str]:
    """The summary, then one line a check."""
    marks = {True: "ok  ", False: "FAIL"}
    return [verdict.summary, *(f"  {marks[check.passed]} {check.explanation}" for check in verdict.checks)]


def change_line(change: ChampionChange) -> str:
    """One line for a promotion or a rollback."""
    before = f"version {change.from_version}" if change.from_version else "no champion"
    forced = ", against the gate" if change.forced else ""
    return f"{change.model}: champion is version {change.to_version} (before: {before}{forced}); {change.why}"
