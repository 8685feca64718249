from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.retraining.test_collect import word
from visionloop.core.errors import DataError
from visionloop.monitoring.alerts.sources.reports import DriftFile, Finding
from visionloop.monitoring.labelling.estimate import Judged
from visionloop.retraining.settings import TriggerSettings
from visionloop.retraining.state import Ended
from visionloop.retraining.triggers import Decision, judged_answers, look, read_drift

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def ended(hours_ago: float, *, busy_h: float = 0.1, outcome: Any = "refused") -> Ended:
    at = NOW - timedelta(hours=hours_ago)
    return Ended(
        run="r", outcome=outcome, started_at=at, ended_at=at, busy_s=3600 * busy_h, reasons=("schedule",), line=""
    )


def drift(severity: Any = "critical", *, task: str = "classification", hours_ago: float = 1) -> DriftFile:
    finding = Finding(name="drift", label=task, value=0.9, severity=severity, text="3 of 3 windows drifted")
    return DriftFile(created_at=NOW - timedelta(hours=hours_ago), observations=(finding,))


def decide(
    *,
    history: Sequence[Ended] = (ended(48),),
    report: DriftFile | None = None,
    right: Sequence[bool] = (),
    new_labels: int = 0,
    champion_since: datetime | None = None,
    trial: str = "",
    force: bool = False,
    **changes: Any,
) -> Decision:
    return look(
        TriggerSettings(**changes),
        task="classification",
        now=NOW,
        history=history,
        drift=report,
        judged=[Judged(right=is_right) for is_right in right],
        new_labels=new_labels,
        champion_since=champion_since,
        trial=trial,
        force=force,
    )


def fired(decision: Decision) -> list[str]:
    return [signal.name for signal in decision.signals if signal.fired]


def test_nothing_asks() -> None:
    decision = decide()
    assert (decision.runs, fired(decision), decision.held) == (False, [], ())
    assert decision.line.startswith("nothing asks for it: the last one ended 2.0 d ago, one is due every 7 d")


def test_before_the_first_retraining_the_schedule_counts_from_the_champion() -> None:
    fresh = decide(history=[], champion_since=NOW - timedelta(minutes=20))
    assert (fresh.runs, fresh.signals[0].text) == (False, "the champion was promoted 20 min ago, one is due every 7 d")
    assert fired(decide(history=[], champion_since=NOW - timedelta(days=8))) == ["schedule"]
    # Afterwards the last retraining counts, whatever it led to.
    assert fired(decide(history=[ended(7 * 24 + 1)], champion_since=NOW)) == ["schedule"]


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (decide(history=[]), "schedule"),
        (decide(history=[ended(7 * 24 + 1)]), "schedule"),
        (decide(report=drift()), "drift"),
        (decide(right=[True] * 20 + [False] * 20), "accuracy"),
        (decide(new_labels=200), "labels"),
    ],
    ids=["never", "due", "drift", "accuracy", "labels"],
)
def test_each_trigger(found: Decision, name: str) -> None:
    assert (found.runs, fired(found)) == (True, [name])
    assert found.reasons[0].startswith(f"{name}: ")


@pytest.mark.parametrize(
    "found",
    [
        decide(report=drift("warning")),
        decide(report=drift(None)),
        decide(report=drift(task="detection")),
        decide(report=drift(hours_ago=25)),
        decide(report=drift(hours_ago=2), history=[ended(1)], cooldown_hours=0.0),
        decide(report=drift(), drift=False),
        decide(right=[False] * 29),
        decide(right=[True] * 25 + [False] * 10),
        decide(right=[False] * 100, accuracy=None),
        decide(new_labels=199),
        decide(history=[ended(9999)], every_days=None),
    ],
)
def test_what_is_no_trigger(found: Decision) -> None:
    assert (found.runs, fired(found)) == (False, [])


def test_a_canary_on_trial_holds_back_and_force_does_not_care() -> None:
    told = "canary version 4 waiting: 3.0 of 24 hours"
    assert (decide(report=drift(), trial=told).runs, decide(report=drift(), trial=told).line) == (False, told)
    assert decide(report=drift(), trial=told, force=True).runs
    assert decide(trial=told).held == ()


def test_cooldown_and_budget_hold_back_and_force_does_not_care() -> None:
    cold = decide(history=[ended(23)], report=drift())
    assert (cold.runs, fired(cold)) == (False, ["drift"])
    assert cold.line.startswith("cooldown: the last one ended 23.0 h ago")
    spent = decide(history=[ended(60, busy_h=20), ended(50, busy_h=5)], report=drift())
    assert (spent.runs, spent.line) == (False, "budget: 25.0 h of 24 h in 7 days are spent")
    assert decide(history=[ended(24 * 8, busy_h=30)], report=drift()).runs
    forced = decide(history=[ended(0)], force=True)
    assert (forced.runs, forced.reasons) == (True, ("asked for by --force",))


def test_an_end_far_ahead_was_written_by_a_wrong_clock() -> None:
    assert decide(history=[ended(-24 * 365)], report=drift()).runs
    # A clock a little off still counts.
    assert not decide(history=[ended(-0.1)], report=drift()).runs


def test_accuracy_counts_the_last_word_on_the_champions_own_answers() -> None:
    words = [
        word("a", "7", key="ann", minutes=0),
        word("b", "3", key="ann", minutes=0),
        word("c", None, key="ann", minutes=0),
    ]
    since = words[0].at
    assert sorted(one.right for one in judged_answers(words, digest="d", since=since)) == [False, False, True]
    assert judged_answers(words, digest="other", since=since) == []
    assert judged_answers(words, digest="d", since=since + timedelta(seconds=1)) == []


def test_the_drift_report_as_the_alerts_read_it(tmp_path: Path) -> None:
    path = tmp_path / "drift.json"
    assert read_drift(path) is None
    path.write_text(drift().model_dump_json())
    assert read_drift(path) == drift()
    path.write_text("{")
    with pytest.raises(DataError, match="drift job's report cannot be read"):
        read_drift(path)
