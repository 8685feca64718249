"""The life of an alert, through the watcher, by a clock that the test sets."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.monitoring.alerts_factory import NOW, World
from visionloop.core.errors import ConfigError
from visionloop.core.settings import parse_settings
from visionloop.monitoring.alerts.settings import AlertSettings
from visionloop.monitoring.alerts.sources.reports import DriftFile, RetrainingFile
from visionloop.monitoring.alerts.store import ANY, Silence

Make = Callable[..., World]


def silence(world: World, seconds: float, *, rule: str = "load", label: str = ANY) -> None:
    now = world.clock()
    until = now + timedelta(seconds=seconds)
    world.store.silence(Silence(rule=rule, label=label, created_at=now, until=until, who="ann", why="maintenance"))


def test_it_fires_once_after_holding_long_enough_and_resolves_after_being_over_long_enough(world: Make) -> None:
    one = world()
    assert one.look(10) == []  # the threshold itself is none
    assert one.look(11) == []
    assert one.look(11, after_s=59) == []
    assert one.look(11, after_s=1) == ["firing"]
    assert [one.look(12, after_s=60) for _ in range(20)] == [[]] * 20
    assert one.look(9, after_s=60) == []
    assert one.look(9, after_s=60) == ["resolved"]
    assert one.look(9, after_s=60) == []


def test_a_value_on_the_edge_is_one_incident(world: Make) -> None:
    one = world()
    one.fire()
    assert [one.look(9 + 2 * (turn % 2), after_s=30) for turn in range(50)] == [[]] * 50


def test_what_does_not_hold_is_not_told(world: Make) -> None:
    one = world()
    assert [one.look(9 + 2 * (turn % 2), after_s=40) for turn in range(50)] == [[]] * 50


def test_an_alert_that_lasts_is_sent_again_after_the_pause(world: Make) -> None:
    one = world()
    one.fire()
    kinds = [one.look(11, after_s=600) for _ in range(12)]
    assert [index for index, kind in enumerate(kinds) if kind] == [5, 11]
    assert kinds[5] == ["reminder"]
    quiet = world(rule={"remind_s": None})
    assert [quiet.look(11, after_s=86_400) for _ in range(3)] == [[]] * 3


def test_it_is_told_when_it_gets_worse_but_not_when_it_gets_better(world: Make) -> None:
    one = world(rule={"critical": 20})
    one.fire()
    assert one.look(21) == ["worse"]
    assert one.look(21) == []
    assert one.look(11) == []
    assert one.look(21) == []
    assert one.store.states()["load", ""].severity == "critical"


def test_the_source_s_own_word_counts_for_the_severity(world: Make) -> None:
    one = world(rule={"for_s": 0})
    assert one.look(11, severity="info") == ["firing"]
    assert one.store.states()["load", ""].severity == "info"
    assert one.look(11, severity="critical") == ["worse"]


def test_below_is_the_other_side(world: Make) -> None:
    one = world(rule={"when": "below", "for_s": 0, "critical": 5})
    assert one.look(10) == []
    assert one.look(4) == ["firing"]
    assert one.store.states()["load", ""].severity == "critical"


def test_labels_are_apart(world: Make) -> None:
    one = world(rule={"for_s": 0})
    assert one.look(11, label="a") == ["firing"]
    assert one.look(11, label="b") == ["firing"]
    incidents = {state.incident for state in one.store.states().values()}
    assert len(incidents) == 2


def test_a_silence_holds_back_and_what_still_fires_is_told_afterwards(world: Make) -> None:
    one = world(rule={"for_s": 0})
    silence(one, 600)
    assert one.look(11) == []
    assert one.store.states()["load", ""].phase == "firing"
    assert one.look(11, after_s=599) == []
    assert one.look(11, after_s=1) == ["firing"]


def test_what_begins_and_ends_in_a_silence_is_never_told(world: Make) -> None:
    one = world(rule={"for_s": 0, "clear_s": 0})
    silence(one, 600)
    assert [one.look(value, after_s=10) for value in (11, 9)] == [[], []]
    assert one.look(9, after_s=700) == []


def test_the_end_of_what_was_told_is_told_also_in_a_silence(world: Make) -> None:
    one = world(rule={"clear_s": 0})
    one.fire()
    silence(one, 600)
    assert one.look(9) == ["resolved"]


def test_a_silence_is_for_its_rule_and_label_and_can_be_ended(world: Make) -> None:
    one = world(rule={"for_s": 0})
    silence(one, 600, label="a")
    silence(one, 600, rule="other")
    one.told.say(11, "a")
    assert one.look(11, label="b") == ["firing"]
    assert one.store.end_silences("load", "a") == 1
    assert one.look() == ["firing"]


def test_no_value_is_no_proof_of_either(world: Make) -> None:
    one = world()
    one.look(11)
    one.told.values.clear()
    assert one.look(after_s=60) == []  # pending ends: it was not seen to hold
    assert one.look(11) == []
    assert one.look(11, after_s=60) == ["firing"]
    one.told.values.clear()
    assert one.look(after_s=23 * 3600) == []  # firing goes on
    assert one.look(after_s=3600) == ["no_data"]


def test_an_alert_of_a_rule_that_is_off_is_closed(world: Make) -> None:
    world().fire()
    assert world(rule={"enabled": False}).look(11) == ["no_data"]


@pytest.mark.parametrize("back_s", [30, 3600, 40 * 86_400])
def test_a_clock_that_goes_back_delays_and_never_hastens_or_hangs(world: Make, back_s: float) -> None:
    one = world()
    one.look(11)
    assert one.look(11, after_s=-back_s) == []
    assert one.look(11, after_s=59) == []
    assert one.look(11, after_s=1) == ["firing"]
    assert one.look(11, after_s=-back_s) == []
    assert one.look(11, after_s=3600) == ["reminder"]
    assert one.look(9, after_s=-back_s) == []
    assert one.look(9, after_s=-back_s) == []
    assert one.look(9, after_s=60) == ["resolved"]


def test_a_clock_that_goes_back_ends_a_silence(world: Make) -> None:
    one = world(rule={"for_s": 0})
    silence(one, 600)
    assert one.look(11, after_s=-86_400) == ["firing"]


def test_a_value_that_is_no_number_is_reported_and_changes_nothing(world: Make) -> None:
    one = world()
    one.told.say(float("nan"))
    report = one.watcher.check()
    assert (report.states, report.problems) == ((), ("load: load is nan",))


def test_the_message_says_what_where_since_when_and_what_to_do(world: Make) -> None:
    one = world(rule={"for_s": 0})
    one.told.say(11, "detection", text="11 of 10 slots are taken", evidence="https://example.org/slots")
    (message,) = one.watcher.check().messages
    assert message.title == "[visionloop warning] load (detection)"
    assert message.body.splitlines() == [
        "11 of 10 slots are taken",
        "rule: load (detection): load above 10",
        f"at: {NOW:%Y-%m-%d %H:%M:%S} UTC",
        "evidence: https://example.org/slots",
        "to do: docs/alerts.md#load",
        f"message: {message.message_id}",
    ]


def test_an_unknown_signal_and_a_rule_without_one_are_refused(world: Make) -> None:
    with pytest.raises(ConfigError, match=r"no signal is called 'laod'[\s\S]*rules\.load\.signal"):
        world(rule={"signal": "laod"})
    with pytest.raises(ConfigError, match=r"rules\.mine\.signal: missing"):
        parse_settings(AlertSettings, {"rules": {"mine": {"threshold": 1}}}, where="test")


def test_a_built_in_rule_keeps_what_is_not_mentioned() -> None:
    settings = parse_settings(AlertSettings, {"rules": {"latency": {"threshold": 5}}}, where="test")
    usual = AlertSettings().rules
    assert settings.rules["latency"] == usual["latency"].model_copy(update={"threshold": 5.0})
    assert settings.rules.keys() == usual.keys()


def test_every_rule_has_its_row_and_its_entry_in_the_runbook() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/alerts.md").read_text()
    rows = re.findall(r"^\| (\w+) \| `(\w+)`", page, re.MULTILINE)
    assert dict(rows) == {name: rule.signal for name, rule in AlertSettings().rules.items()}
    entries = re.findall(r"^### (\w+)$", page, re.MULTILINE)
    assert entries == [*AlertSettings().rules, "store"]


def test_the_example_reports_of_the_documents_can_be_read() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/alerts.md").read_text()
    drift, retraining = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(DriftFile.model_validate_json(drift).observations) == 2
    assert RetrainingFile.model_validate_json(retraining).status == "failed"
