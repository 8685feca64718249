"""Alerts ask for metrics that exist, have a runbook entry and a test; promtool is not needed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.deploy.place import DOCS, ROOT, load
from tests.deploy.series import RULES, SERIES, assert_true_of_the_metrics

ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
ALERT_TESTS = load("prometheus/alerts_test.yml")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert", rule.get("record")))
def test_a_rule_asks_for_metrics_that_exist(rule: Any) -> None:
    assert_true_of_the_metrics(rule["expr"])


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_what_is_wrong_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    page, anchor = rule["annotations"]["runbook_url"].split("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in {heading.strip().lower().replace(" ", "-") for heading in headings}


def test_the_runbook_has_no_entry_without_an_alert() -> None:
    assert set(re.findall(r"^### (Visionloop\w+)$", DOCS, re.MULTILINE)) == set(ALERTS)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not(name: str) -> None:
    rule = ALERTS[name]
    cases = [case for test in ALERT_TESTS["tests"] for case in test["alert_rule_test"] if case["alertname"] == name]
    assert {bool(case["exp_alerts"]) for case in cases} == {True, False}
    for expected in (alert for case in cases for alert in case["exp_alerts"]):
        labels = expected["exp_labels"]
        assert rule["labels"].items() <= labels.items()
        assert expected["exp_annotations"] == {
            key: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match, labels=labels: labels[match[1]], text)
            for key, text in rule["annotations"].items()
        }


def test_alert_tests_feed_series_as_the_service_writes_them() -> None:
    assert ALERT_TESTS["rule_files"] == ["alerts.yml"]
    for test in ALERT_TESTS["tests"]:
        assert {case["alertname"] for case in test["alert_rule_test"]} <= ALERTS.keys()
        for series in test["input_series"]:
            match = re.fullmatch(r"(\w+)\{(.*)\}", series["series"])
            assert match is not None
            assert set(re.findall(r"(\w+)=", match[2])) == SERIES[match[1]]
            for item in series["values"].split():
                assert re.fullmatch(r"_(x\d+)?|\d+(\.\d+)?([+-]\d+(\.\d+)?)?(x\d+)?", item), item
