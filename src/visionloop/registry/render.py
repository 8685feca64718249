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
    from rich.table import Table


def models_table(rows: Sequence[ModelRow]) -> Table:
    """A rich table, one row a version."""
    from rich.table import Table
    from rich.text import Text

    table = Table("model", "version", "alias", "metric", "dataset", "registered", "gate", box=None, pad_edge=False)
    for row in rows:
        value = "undefined" if row.value is None else f"{row.value:.4f}"
        table.add_row(
            Text(row.model),
            row.version,
            Text(" ".join(f"@{alias}" for alias in row.aliases), "bold green" if "champion" in row.aliases else ""),
            f"{row.metric} {value}",
            Text(f"{row.dataset} {row.dataset_hash[:8]}"),
            row.created[:16].replace("T", " "),
            (row.decision or "not judged").replace("_", " "),
        )
    return table


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
