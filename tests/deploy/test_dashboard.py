"""Grafana's dashboard shows every metric and asks for none that is not there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase

from tests.deploy.place import DEPLOY, load
from tests.deploy.series import METRICS, assert_true_of_the_metrics

DASHBOARD = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_metrics_that_exist(panel: Any) -> None:
    for target in panel["targets"]:
        assert_true_of_the_metrics(target["expr"])
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        grouped = {label.strip() for text in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in text.split(",")}
        assert shown <= grouped
        assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_every_metric_of_the_service_and_of_the_watch_is_shown() -> None:
    shown = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    missing = [
        metric._name for metric in METRICS if isinstance(metric, MetricWrapperBase) and metric._name not in shown
    ]
    assert missing == []


def test_the_dashboard_has_its_rows_and_a_choice_of_data_source() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == [
        "Traffic", "Latency by stage", "Errors and rejections", "Batches and queue", "Predictions and confidence",
        "Drift", "Deployment",
    ]  # fmt: skip
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    text = json.dumps(DASHBOARD["panels"])
    assert set(re.findall(r"\$\{?([a-z]\w*)", text)) == set(variables)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for grid in [panel["gridPos"]]
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_grafana_finds_dashboard_and_data_source() -> None:
    mounts = dict(mount.split(":")[:2] for mount in load("docker-compose.yml")["services"]["grafana"]["volumes"])
    (provider,) = load("grafana/provisioning/dashboards/visionloop.yml")["providers"]
    (source,) = load("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert Path(mounts["./grafana/dashboard.json"]).parent == Path(provider["options"]["path"])
    assert source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"
