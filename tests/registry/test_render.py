from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from tests.evaluation.test_gate import summary
from visionloop.evaluation.gate import decide
from visionloop.evaluation.settings import GateSettings
from visionloop.registry.audit import ChampionChange
from visionloop.registry.models import ModelRow
from visionloop.registry.render import change_line, models_json, models_table, verdict_lines

ROW = ModelRow(
    model="digits-[x]",
    version="2",
    aliases=("champion",),
    metric="accuracy",
    value=0.98765,
    dataset="digits",
    dataset_hash="abcdef0123",
    created="2026-01-02T03:04:05+00:00",
    decision="insufficient_evidence",
    reason="insufficient evidence: few images",
    bundle_sha256="0" * 64,
)


def test_the_table_shows_a_version_a_line() -> None:
    console = Console(file=io.StringIO(), width=140)
    console.print(models_table([ROW, replace(ROW, value=None, aliases=(), decision=None)], width=140))
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert lines[1] == "digits-[x] 2 @champion accuracy 0.9877 digits abcdef01 2026-01-02 03:04 insufficient evidence"
    assert lines[2] == "digits-[x] 2 accuracy undefined digits abcdef01 2026-01-02 03:04 not judged"


@pytest.mark.parametrize(("width", "left_out"), [(140, ""), (96, "registered"), (80, "registered, dataset")])
def test_names_and_versions_are_whole_in_a_narrow_terminal(width: int, left_out: str) -> None:
    console = Console(file=io.StringIO(), width=width)
    row = replace(ROW, model="images-classification", decision="refuse")
    console.print(models_table([row], width=width))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [" ".join(line.split()[:5]) for line in lines[1:2]] == ["images-classification 2 @champion accuracy 0.9877"]
    assert all(len(line) <= width for line in lines)
    told = [f"left out: {left_out}; a wider terminal or --json shows all"] if left_out else []
    assert lines[2:] == told


def test_json_holds_every_field() -> None:
    assert json.loads(models_json([ROW]))[0]["aliases"] == ["champion"]
    assert json.loads(models_json([])) == []


def test_a_verdict_is_told_check_by_check() -> None:
    lines = verdict_lines(decide(GateSettings(floors={"accuracy": 0.99}), summary(), None))
    assert lines == [
        "refuse: accuracy 0.9500 is below its floor 0.99",
        "  ok   every metric is a number",
        "  ok   the exported graph answers as the trained network does",
        "  FAIL accuracy 0.9500 is below its floor 0.99",
    ]


def test_a_change_in_one_line() -> None:
    change = ChampionChange(
        when="", who="ann", action="promote", model="m", from_version=None, to_version="1", why="first", forced=True
    )
    assert change_line(change) == "m: champion is version 1 (before: no champion, against the gate); first"
