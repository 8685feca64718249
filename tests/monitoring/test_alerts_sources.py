"""What each source says of a database, a service, a disk and other jobs' reports."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.alerts_factory import NOW
from tests.monitoring.rows import feedback, prediction
from tests.postgresql import on_both
from visionloop.core.errors import VisionloopError
from visionloop.monitoring.alerts.engine import Watcher
from visionloop.monitoring.alerts.observations import Observation, Source, span
from visionloop.monitoring.alerts.settings import AlertSettings
from visionloop.monitoring.alerts.sources import DiskSource, DriftReport, RetrainingReport, ServiceSource, TrafficSource
from visionloop.monitoring.alerts.store import AlertStore
from visionloop.monitoring.history.suspects import SuspectKey
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import PredictionStore
from visionloop.serving import metrics

RULES = AlertSettings().rules
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> Iterator[AlertStore]:
    made = AlertStore.open(StoreSettings(url=store_url, timeout_s=0.2), tmp_path)
    yield made
    made.close()


@pytest.fixture
def fill(store_url: str, tmp_path: Path) -> Iterator[Callable[..., None]]:
    made = PredictionStore.open(StoreSettings(url=store_url, timeout_s=0.2), tmp_path)

    def add(count: int, verdicts: str = "", **changes: Any) -> None:
        """So many predictions; `verdicts` says r(ight) or w(rong) about the first of them."""
        ids = [f"{made.written + index:032x}" for index in range(count)]
        for id in ids:
            made.log(prediction(id, **({"created_at": NOW - MINUTE} | changes)))
        assert made.flush(30)
        for id, verdict in zip(ids, verdicts, strict=False):
            assert made.add_feedback(feedback(id, verdict="right" if verdict == "r" else "wrong"))

    yield add
    made.close()


def ask(source: Source, rule: str, now: Any = NOW, **changes: Any) -> list[Observation]:
    source.refresh(now)
    return source.observe(RULES[rule].model_copy(update=changes), now)


# -- the prediction store


@on_both
def test_traffic_is_counted_for_what_is_deployed_without_shadows(store: AlertStore, fill: Callable[..., None]) -> None:
    source = TrafficSource(store, lambda: ["classification", "detection"], "http://here")
    fill(3)
    fill(2, variant="shadow")
    fill(4, created_at=NOW - timedelta(hours=2))
    assert [(seen.label, seen.value) for seen in ask(source, "no_traffic")] == [
        ("classification", 3.0),
        ("detection", 0.0),
    ]
    assert ask(TrafficSource(store, lambda: [], ""), "no_traffic") == []


@on_both
def test_latency_is_the_99th_percentile_once_there_is_enough(store: AlertStore, fill: Callable[..., None]) -> None:
    source = TrafficSource(store, lambda: ["classification"], "")
    fill(49, latency_ms=10.0)
    assert ask(source, "latency") == []
    fill(50, latency_ms=10.0)
    fill(1, latency_ms=2000.0)
    (seen,) = ask(source, "latency")
    assert 10 < seen.value <= 2000
    fill(10, latency_ms=2000.0)
    (seen,) = ask(source, "latency")
    assert seen.value == 2000.0
    assert "2,000 ms" in seen.text


@on_both
def test_accuracy_is_the_upper_bound_so_that_few_mistakes_are_no_alert(
    store: AlertStore, fill: Callable[..., None]
) -> None:
    source = TrafficSource(store, lambda: ["classification"], "")
    fill(29, verdicts="r" * 20 + "w" * 9)
    assert ask(source, "accuracy") == []
    fill(11, verdicts="w" * 11)
    (seen,) = ask(source, "accuracy")
    # 20 of 40: Wilson's interval is 0.352 to 0.648.
    assert seen.value == pytest.approx(0.648, abs=0.001)
    assert "50.0% of 40" in seen.text
    assert "35.2% to 64.8%" in seen.text


@on_both
def test_the_last_word_on_a_prediction_counts(
    store: AlertStore, fill: Callable[..., None], store_url: str, tmp_path: Path
) -> None:
    fill(30, verdicts="w" * 30)
    other = PredictionStore.open(StoreSettings(url=store_url, timeout_s=0.2), tmp_path)
    for index in range(30):
        row = feedback(f"{index:032x}", verdict="right", key_id="ann", created_at=NOW + MINUTE)
        assert other.add_feedback(row)
    other.close()
    (seen,) = ask(TrafficSource(store, lambda: ["classification"], ""), "accuracy")
    assert seen.value == 1.0


@on_both
def test_words_of_suspicious_keys_raise_no_alert(store: AlertStore, fill: Callable[..., None]) -> None:
    fill(40, verdicts="w" * 40)
    keyless = SuspectKey(key="", since=NOW - timedelta(days=9), kind="burst")
    (seen,) = ask(TrafficSource(store, lambda: ["classification"], ""), "accuracy")
    assert seen.value < 0.2
    assert ask(TrafficSource(store, lambda: ["classification"], "", lambda _: [keyless]), "accuracy") == []


@on_both
def test_class_mix_is_the_largest_gain_of_share(store: AlertStore, fill: Callable[..., None]) -> None:
    source = TrafficSource(store, lambda: ["classification"], "")
    fill(100, top_class="a", created_at=NOW - timedelta(hours=5))
    fill(100, top_class="b", created_at=NOW - timedelta(hours=5))
    assert ask(source, "class_mix") == []
    fill(200, top_class="a")
    (seen,) = ask(source, "class_mix")
    assert seen.value == pytest.approx(0.5)
    assert seen.text == "class 'a' has 100.0% of the answers in 1 h, and had 50.0% before"


# -- the service


class Service:
    """Answers with the text that the real metrics of the service give."""

    def __init__(self) -> None:
        self.away = False

    def __call__(self) -> str:
        if self.away:
            raise VisionloopError("no answer", where="x", expected="x", action="x")
        return metrics.exposition().decode()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    for metric in (metrics.REQUESTS, metrics.REJECTIONS, metrics.LOG_ROWS, metrics.DEPLOYMENT_FAILED):
        metric.clear()
    return Service()


def test_errors_and_rejections_are_shares_of_what_came_in_the_window(store: AlertStore, service: Service) -> None:
    source = ServiceSource(service, store, 3600, "http://here")
    answered = metrics.REQUESTS.labels("/v1/predict", "POST", 200)
    failed = metrics.REQUESTS.labels("/v1/predict", "POST", 500)
    answered.inc(1000)
    failed.inc(500)
    assert ask(source, "errors") == []  # one sample says nothing of growth
    answered.inc(60)
    failed.inc(20)
    metrics.REQUESTS.labels("/v1/predict", "POST", 400).inc(20)
    metrics.REJECTIONS.labels("image_truncated").inc(20)
    metrics.REJECTIONS.labels("overloaded").inc(20)
    (seen,) = ask(source, "errors", NOW + MINUTE)
    assert seen.value == pytest.approx(0.2)
    assert seen.text == "20.0% of 100 requests in 10 min failed with a status of 500 or above"
    (seen,) = ask(source, "rejections", NOW + MINUTE)
    assert seen.label == "image_truncated"
    assert seen.value == pytest.approx(0.2)
    assert ask(source, "errors", NOW + 30 * MINUTE) == []  # nothing came since


def test_growth_survives_another_process_and_a_restart_of_the_service(store: AlertStore, service: Service) -> None:
    failed = metrics.REQUESTS.labels("/v1/predict", "POST", 500)
    failed.inc(900)
    ask(ServiceSource(service, store, 3600, ""), "errors")
    metrics.REQUESTS.clear()
    metrics.REQUESTS.labels("/v1/predict", "POST", 500).inc(30)
    metrics.REQUESTS.labels("/v1/predict", "POST", 200).inc(70)
    (seen,) = ask(ServiceSource(service, store, 3600, ""), "errors", NOW + MINUTE)
    assert seen.value == pytest.approx(0.3)


def test_dropped_rows_count_when_they_grow_not_when_a_worker_ends(store: AlertStore, service: Service) -> None:
    source = ServiceSource(service, store, 3600, "")
    dropped = metrics.LOG_ROWS.labels("dropped")
    values = []
    for minute, value in enumerate((50, 50, 20, 27)):
        dropped.set(value)
        values += [seen.value for seen in ask(source, "dropped_rows", NOW + minute * MINUTE)]
    assert values == [0.0, 0.0, 7.0]


def test_a_bundle_that_does_not_load_has_its_slot(store: AlertStore, service: Service) -> None:
    metrics.DEPLOYMENT_FAILED.labels("detection.champion").set(1)
    metrics.DEPLOYMENT_FAILED.labels("classification.canary").set(0)
    seen = ask(ServiceSource(service, store, 3600, "http://here"), "deployment")
    assert [(one.label, one.value) for one in seen] == [("classification.canary", 0.0), ("detection.champion", 1.0)]
    assert seen[1].evidence == "http://here/v1/models"


def test_a_service_that_is_away_is_down_and_says_nothing_else(store: AlertStore, service: Service) -> None:
    source = ServiceSource(service, store, 3600, "")
    assert ask(source, "service")[0].value == 1.0
    service.away = True
    (seen,) = ask(source, "service")
    assert (seen.value, seen.text) == (0.0, "the service gives no metrics: no answer")
    assert [ask(source, rule) for rule in ("errors", "rejections", "dropped_rows", "deployment")] == [[]] * 4


def test_samples_from_before_the_clock_went_back_are_forgotten(store: AlertStore, service: Service) -> None:
    source = ServiceSource(service, store, 3600, "")
    metrics.LOG_ROWS.labels("dropped").set(50)
    ask(source, "dropped_rows", NOW + DAY)
    metrics.LOG_ROWS.labels("dropped").set(60)
    assert ask(source, "dropped_rows") == []


# -- disk and reports


def test_disk_is_the_free_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(200_000_000_000, 190_000_000_000, 5_000_000_000))
    (seen,) = ask(DiskSource(tmp_path), "disk")
    assert seen.value == pytest.approx(0.025)
    assert seen.text == "2.5% of the disk is free (5.0 of 200 GB)"
    monkeypatch.undo()
    with pytest.raises(VisionloopError, match="state folder"):
        ask(DiskSource(tmp_path / "gone"), "disk")


def report(path: Path, **content: Any) -> Path:
    path.write_text(json.dumps({"created_at": NOW.isoformat(), **content}))
    return path


def test_the_drift_job_s_word_is_taken_and_its_age_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "drift.json"
    source = DriftReport(path)
    assert ask(source, "drift") == []
    found = [
        {"name": "drift", "label": "a", "value": 0.31, "severity": "critical", "text": "blur", "evidence": "d.html"},
        {"name": "drift", "label": "b", "value": 0.9},
        {"name": "estimated_accuracy", "label": "a", "value": 0.71},
    ]
    report(path, observations=found)
    critical = Observation(value=1.0, label="a", text="blur", evidence="d.html", severity="critical")
    assert ask(source, "drift") == [critical, Observation(value=0.0, label="b", text="drift is 0.9")]
    assert [seen.value for seen in ask(source, "estimated_accuracy")] == [0.71]
    assert ask(source, "drift", NOW + 3 * DAY) == []
    assert len(ask(source, "drift", NOW - 3 * DAY)) == 2  # the clock went back


def test_a_failed_retraining_names_its_step(tmp_path: Path) -> None:
    path = report(tmp_path / "r.json", status="failed", task="detection", step="export", error="parity lost")
    (seen,) = ask(RetrainingReport(path), "retraining")
    assert (seen.value, seen.label) == (1.0, "detection")
    assert seen.text == "the retraining failed at export: parity lost"
    report(path, status="promoted", task="detection")
    assert ask(RetrainingReport(path), "retraining")[0].value == 0.0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"created_at": "soon", "observations": []}', "\x00", '{"a": NaN}'])
def test_a_damaged_report_is_a_problem_and_hides_nothing_else(tmp_path: Path, store: AlertStore, text: str) -> None:
    (tmp_path / "drift.json").write_text(text)
    sources: list[Source] = [DriftReport(tmp_path / "drift.json"), DiskSource(tmp_path)]
    settings = AlertSettings()
    rules = {name: rule for name, rule in settings.rules.items() if name in ("drift", "estimated_accuracy", "disk")}
    watcher = Watcher(store, sources, settings.model_copy(update={"rules": rules}), {}, lambda: NOW)
    found = watcher.check()
    assert [state.rule for state in found.states] == ["disk"]
    (problem,) = found.problems
    assert problem.startswith("drift.json: the report cannot be used: ")


def test_spans_are_said_in_the_largest_unit_that_fits() -> None:
    assert [span(seconds) for seconds in (1, 90, 600, 3600, 172_800)] == ["1 s", "90 s", "10 min", "1 h", "2 d"]
