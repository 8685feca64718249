"""The audit: who changed what serves, when and why; one JSON object a line."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionChange:
    """One line of the audit.

    Attributes:
        when: ISO 8601, UTC.
        who: User that did it.
        action: `promote`, `rollback`, or `canary`: a share of the traffic beside the champion.
        model: Registered model's name.
        from_version: The champion before, None for the first.
        to_version: The champion after, or the canary.
        why: The verdict's summary, or the person's words.
        forced: Whether it was done against the gate's verdict.
    """

    when: str
    who: str
    action: str
    model: str
    from_version: str | None
    to_version: str
    why: str
    forced: bool = False


def append_audit(path: Path, change: ChampionChange) -> None:
    """Add a line, on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(change), ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def champion_changes(path: Path, most: int) -> list[dict[str, Any]]:
    """The latest promotions and rollbacks, newest first; empty where there is no audit."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [line for line in reversed(lines) if line["action"] != "canary"][:most]


def champion_since(path: Path, model: str) -> datetime | None:
    """When the model's champion became it; None where the audit does not say."""
    found = next((line for line in champion_changes(path, 10**9) if line["model"] == model), None)
    return None if found is None else datetime.fromisoformat(found["when"])
