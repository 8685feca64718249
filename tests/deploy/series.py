"""What Prometheus gets from the service and its rules, and what may be asked of it."""

from __future__ import annotations

import re

from prometheus_client.metrics import MetricWrapperBase

from tests.deploy.place import load
from visionloop.monitoring.alerts import metrics as alert_metrics
from visionloop.serving import metrics

GROUPS = load("prometheus/alerts.yml")["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
SCRAPED = {"job", "instance"}
METRICS = [*vars(metrics).values(), *vars(alert_metrics).values()]
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def series_labels() -> dict[str, set[str]]:
    """Labels by the name of each series that Prometheus gets from the service."""
    found: dict[str, set[str]] = {"up": set(SCRAPED)}
    for metric in METRICS:
        if isinstance(metric, MetricWrapperBase):
            for suffix in _SUFFIXES[metric._type]:
                labels = {"le"} if suffix == "_bucket" else set()
                found[metric._name + suffix] = SCRAPED | labels | set(metric._labelnames)
    return found


SERIES = series_labels()


def assert_true_of_the_metrics(expression: str) -> None:
    """Every series exists and has the labels that select it; grouping labels belong to some series of it."""
    selectors = re.findall(r"(?<![\w:])(visionloop_\w+|up)\b(?:\{([^}]*)\})?", expression)
    known: set[str] = set()
    for name, matchers in selectors:
        assert name in SERIES, name
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= SERIES[name], matchers
        known |= SERIES[name]
    for recorded in re.findall(r"visionloop:[\w:]+", expression):
        assert recorded in RECORDED
        known |= {"task", "top_class"}
    assert known, expression
    for grouping in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
        assert {label.strip() for label in grouping.split(",")} - {""} <= known, grouping
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)
