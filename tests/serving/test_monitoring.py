"""How the service fares, as it tells it: traffic, accuracy, drift, alerts, two versions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.serving.conftest import SETTINGS, Service, canary, encoded, serving, variant
from tests.web.watched import CLASSES, DIGESTS, HOURS, PER_HOUR, WATCH_S, watch
from visionloop.artifact.deployment import Lineup
from visionloop.monitoring.drift.summary import FOLDER
from visionloop.monitoring.history.suspects import SuspectKey, write_suspects
from visionloop.serving import schema_monitoring as schema
from visionloop.serving.schema import Shape
from visionloop.serving.schema_drift import DriftAnswer


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Path]) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("monitoring")
    digests = DIGESTS | {"1": variant(bundles["classification"]).digest}
    watch(folder, datetime.now(UTC), digests)
    with serving(folder, bundles, SETTINGS) as served:
        yield served


def ask(service: Service, path: str, shape: type[Shape], **options: Any) -> Any:
    answer = service.client.get(f"/v1/monitoring/{path}", params=options)
    assert answer.status_code == 200, answer.text
    found = shape.model_validate(answer.json())
    assert found.model_extra == {}
    return found


def test_words_of_suspicious_keys_are_left_out_and_counted(service: Service) -> None:
    # First in this file: answers are given again for some seconds.
    everybody = SuspectKey(key="", since=datetime(2020, 1, 1, tzinfo=UTC), kind="burst")
    write_suspects([everybody], service.root, "classification")
    found = ask(service, "summary", schema.SummaryAnswer, task="classification", range="day")
    assert found.accuracy is None
    assert found.held_back > 5
    write_suspects([], service.root, "classification")


@pytest.mark.parametrize(("range_", "buckets"), [("hour", 60), ("day", 24), ("week", 56), ("month", 60)])
def test_traffic_comes_in_buckets_without_gaps(service: Service, range_: str, buckets: int) -> None:
    found = ask(service, "summary", schema.SummaryAnswer, task="classification", range=range_)
    starts = [bucket.start for bucket in found.buckets]
    assert len(starts) == buckets
    steps = {(after - before).total_seconds() for before, after in itertools.pairwise(starts)}
    assert steps == {found.bucket_s}
    assert starts[-1] <= found.at < found.until
    assert found.answers == sum(bucket.answers for bucket in found.buckets)


def test_a_week_has_all_that_was_answered_and_said(service: Service) -> None:
    found = ask(service, "summary", schema.SummaryAnswer, task="classification", range="week")
    assert found.answers == HOURS * PER_HOUR
    assert found.versions == ["1", "2"]
    assert sorted(found.classes) == sorted(CLASSES)
    assert sum(found.confidence.counts) == found.answers
    assert 8 < found.latency_ms.p50 < 17 < found.latency_ms.p95 < found.latency_ms.p99
    assert 0.7 < found.accuracy.lower < found.accuracy.value < found.accuracy.upper < 0.95
    assert (found.accuracy.basis, found.accuracy.drawn, found.held_back) == ("weighted", 0, 0)
    both = [bucket for bucket in found.buckets if "2" in bucket.by_version]
    assert 4 <= len(both) <= 5
    assert sum(bucket.by_version["2"] for bucket in both) == 24


def test_another_task_has_no_traffic(service: Service) -> None:
    found = ask(service, "summary", schema.SummaryAnswer, task="detection", range="hour")
    assert (found.answers, found.latency_ms, found.accuracy) == (0, None, None)
    assert ask(service, "comparison", schema.ComparisonAnswer, task="detection").report is None


def test_two_versions_are_compared_over_the_time_they_shared(service: Service) -> None:
    found = ask(service, "comparison", schema.ComparisonAnswer, task="classification")
    assert [one.version for one in found.versions] == ["1", "2"]
    report = found.report
    assert (report.first.version, report.second.version, report.basis) == ("2", "1", "shared")
    turned = ask(service, "comparison", schema.ComparisonAnswer, task="classification", first="1", second="2").report
    assert (turned.second.answers, turned.second.judged) == (24, 24)
    assert turned.second.accuracy.value > 0.9
    assert turned.gain.lower <= turned.gain.value <= turned.gain.upper


def test_a_canary_is_compared_with_the_champion_though_it_has_not_answered(
    service: Service, bundles: dict[str, Path]
) -> None:
    champion = variant(bundles["classification"])
    service.lineup("classification", Lineup(champion=champion, canary=canary(bundles["classification-2"], 0.5, "7")))
    try:
        anew = TestClient(service.api.app())  # the other gives its answer again for a while
        report = anew.get("/v1/monitoring/comparison", params={"task": "classification"}).json()["report"]
    finally:
        service.lineup("classification", Lineup(champion=champion))
    assert (report["first"]["version"], report["second"]["version"], report["second"]["answers"]) == ("1", "7", 0)
    assert (report["gain"]["value"], report["verdict"]) == (None, "undecided")


def test_drift_is_what_the_check_left(service: Service) -> None:
    found = ask(service, "drift", DriftAnswer, task="classification").report
    assert (found.alarm, found.severity, found.status, found.is_champion) == (True, "critical", "critical", True)
    assert [window.status for window in found.windows] == ["ok", "drift", "critical", "insufficient_data"]
    assert (found.latest, found.windows[0].accuracy.value, found.accuracy.status) == (2, 0.93, "not_valid")
    assert [test.name for test in found.tests] == ["brightness", "embedding_domain", "sharpness", "width"]
    assert found.tests[0].histogram.window == [110, 60, 20, 10]
    assert sum(share.reference for share in found.classes) == pytest.approx(1)
    assert [image.has_image for image in found.newest] == [True, True, False]
    pictures = [one.jpeg_base64 for one in found.newest[0].nearest]
    assert [picture is not None for picture in pictures] == [True, True, False]
    assert service.client.get(f"/v1/predictions/{found.newest[0].prediction_id}/image").status_code == 200
    assert len(found.remarks) == 2


def test_drift_that_was_not_checked_or_cannot_be_read_is_said(service: Service) -> None:
    path = service.root / FOLDER / "detection.json"
    assert ask(service, "drift", DriftAnswer, task="detection").report is None
    path.write_text("{")
    found = ask(service, "drift", DriftAnswer, task="detection")
    assert found.report is None
    assert found.problem.startswith("the drift check's result cannot be read")
    path.unlink()
    assert ask(service, "drift", DriftAnswer, task="../classification").report is None


def test_alerts_come_with_their_state(service: Service) -> None:
    found = ask(service, "alerts", schema.AlertsAnswer)
    assert [(alert.rule, alert.phase) for alert in found.alerts] == [
        ("drift", "firing"), ("latency", "pending"), ("disk", "resolved"),
    ]  # fmt: skip
    drift = found.alerts[0]
    assert drift.silenced_until > datetime.now(UTC)
    assert (drift.silenced_why, drift.runbook) == ("the camera is being replaced", "docs/alerts.md#drift")
    assert (found.watched_at, found.watch_interval_s) == (drift.seen_at, WATCH_S)
    assert found.alerts[1].silenced_until is None


def test_the_runbook_has_a_heading_for_every_rule() -> None:
    from visionloop.monitoring.alerts.settings import DEFAULT_RULES

    text = (Path(__file__).resolve().parents[2] / "docs/alerts.md").read_text()
    assert [rule for rule in DEFAULT_RULES if f"\n### {rule}\n" not in text] == []


def test_requests_and_refusals_are_counted_since_the_start(service: Service) -> None:
    before = ask(service, "service", schema.ServiceAnswer)
    service.client.post("/v1/classify", files={"image": b"no image"})
    service.client.post("/v1/classify", files={"image": encoded()})
    after = ask(service, "service", schema.ServiceAnswer)

    def refused(counts: schema.ServiceAnswer) -> int:
        return sum(one.count for one in counts.refusals if one.code == "image_unsupported_format")

    assert refused(after) - refused(before) == 1
    assert after.requests - before.requests == 3
    assert after.by_status["4xx"] - before.by_status.get("4xx", 0) == 1
    assert after.since is not None
    assert after.since <= datetime.now(UTC)
    stages = {stage.stage: stage for stage in after.stages if stage.task == "classification"}
    assert {"decode", "queue", "inference"} <= stages.keys()
    assert all(0 < stage.p50 <= stage.p95 <= stage.p99 for stage in stages.values())


def test_how_requests_ended_is_told_over_time(service: Service) -> None:
    def told(app: TestClient) -> schema.RequestsAnswer:
        service.api.tally.write(service.api.store)  # as it does every few seconds
        answer = app.get("/v1/monitoring/requests", params={"range": "hour"})
        return schema.RequestsAnswer.model_validate(answer.json())

    before = told(TestClient(service.api.app()))
    service.client.post("/v1/classify", files={"image": b"no image"})
    service.client.post("/v1/classify", files={"image": encoded()})
    service.client.get("/readyz")  # of no interest to people
    after = told(TestClient(service.api.app()))  # another, for the first gives its answer again for a while
    assert (after.requests - before.requests, after.refused - before.refused, after.failed) == (2, 1, before.failed)
    assert {one.code: one.ours for one in after.codes}["image_unsupported_format"] is False
    assert len(after.buckets) == 60
    assert after.requests == sum(bucket.requests for bucket in after.buckets)
    assert after.codes[0].count == sum(bucket.by_code.get(after.codes[0].code, 0) for bucket in after.buckets)


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("summary", "option task"),
        ("summary?task=classification&range=year", "option range"),
        ("summary?task=a%00b", "option task"),
        ("comparison?task=classification&first=9", "option first"),
        ("comparison?task=classification&first=1&second=1", "option second"),
        ("drift?task=classification&range=day", "option range"),
        ("alerts?task=classification", "option task"),
        ("service?x=1", "option x"),
        ("requests?range=year", "option range"),
    ],
)
def test_a_wrong_option_is_named(service: Service, path: str, where: str) -> None:
    answer = service.client.get(f"/v1/monitoring/{path}")
    assert (answer.status_code, answer.json()["code"], answer.json()["where"]) == (400, "bad_option", where)


def test_without_a_store_the_rest_is_still_told(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.api._memory, "store", None)
    for path in ("summary?task=classification", "comparison?task=classification", "alerts", "requests"):
        assert service.client.get(f"/v1/monitoring/{path}").json()["code"] == "store_off"
    drift = ask(service, "drift", DriftAnswer, task="classification").report
    assert [image.has_image for image in drift.newest] == [False] * 3
    ask(service, "service", schema.ServiceAnswer)
