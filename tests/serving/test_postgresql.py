"""The service, and the commands beside it, with PostgreSQL as their prediction store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.postgresql import Server
from tests.serving.conftest import SETTINGS, Service, canary, encoded, serving, variant
from tests.web.watched import DIGESTS, HOURS, PER_HOUR, watch
from visionloop.artifact.deployment import Lineup
from visionloop.cli import main
from visionloop.monitoring.drift.observations import Observation
from visionloop.monitoring.settings import StoreSettings


@pytest.fixture(scope="module")
def service(
    postgresql: Server, tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Path]
) -> Iterator[Service]:
    """One that has been asked for six days, with a canary that answered too."""
    folder = tmp_path_factory.mktemp("postgresql")
    store = StoreSettings(url=postgresql.url(postgresql.create()))
    # The canary of the same bundle: its answers are told from the champion's by version and digest all the same.
    digests = {"1": variant(bundles["classification"]).digest, "2": DIGESTS["2"]}
    watch(folder, datetime.now(UTC), digests, store=store)
    with serving(folder, bundles, SETTINGS.model_copy(update={"store": store})) as served:
        blocks = {"serving": json.loads(served.settings.model_dump_json(include={"store"}))}
        (folder / "params.yaml").write_text(yaml.safe_dump(blocks))
        yield served


@pytest.fixture
def run(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A command in the service's project."""
    monkeypatch.chdir(service.root)
    for name in ("VISIONLOOP_PARAMS", "VISIONLOOP_STATE"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(main, list(words))

    return invoke


def ask(service: Service, method: str, path: str, **options: Any) -> Any:
    answer = service.client.request(method, path, **options)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def test_a_prediction_is_stored_judged_found_and_taken_back(service: Service) -> None:
    [made] = ask(service, "POST", "/v1/classify", files={"image": encoded(320, 300, seed=1)})["predictions"]
    assert service.api.store is not None
    assert service.api.store.flush(30)
    id_ = made["id"]
    word = {"prediction_id": id_, "verdict": "corrected", "label": "green", "note": "'and' \\ %s \U0001f642"}
    ask(service, "POST", "/v1/feedback", json=word)
    ask(service, "POST", "/v1/feedback", json=word)
    stored = ask(service, "GET", f"/v1/predictions/{id_}")
    assert [said["label"] for said in stored["feedback"]] == ["green"]
    page = ask(service, "GET", "/v1/predictions", params={"feedback": "corrected", "task": "classification"})
    assert page["predictions"][0]["id"] == id_
    ask(service, "DELETE", f"/v1/predictions/{id_}/feedback")
    assert ask(service, "GET", f"/v1/predictions/{id_}")["feedback"] == []
    unknown = service.client.post("/v1/feedback", json={"prediction_id": "f" * 32, "verdict": "right"})
    assert unknown.status_code == 404


def test_pages_follow_each_other_without_gap_or_repetition(service: Service) -> None:
    seen: list[str] = []
    after: dict[str, str] = {}
    for _ in range(4):
        page = ask(service, "GET", "/v1/predictions", params={"limit": 40, "task": "classification", **after})
        seen += [row["id"] for row in page["predictions"]]
        after = {"cursor": page["next"]}
    assert len(seen) == len(set(seen)) == 160


def test_what_the_page_watches_is_counted(service: Service) -> None:
    of_task = {"task": "classification"}
    for range_ in ("hour", "day", "week", "month"):
        found = ask(service, "GET", "/v1/monitoring/summary", params=of_task | {"range": range_})
    assert found["answers"] >= HOURS * PER_HOUR
    assert 0.7 < found["accuracy"]["value"] < 0.95
    report = ask(service, "GET", "/v1/monitoring/comparison", params=of_task | {"first": "1", "second": "2"})["report"]
    assert (report["second"]["answers"], report["second"]["judged"]) == (24, 24)
    assert [alert["rule"] for alert in ask(service, "GET", "/v1/monitoring/alerts")["alerts"]] == [
        "drift", "latency", "disk",
    ]  # fmt: skip
    assert ask(service, "GET", "/v1/monitoring/drift", params=of_task)["report"]["alarm"]
    assert ask(service, "GET", "/v1/monitoring/requests", params={"range": "week"})["requests"] > HOURS


def test_the_commands_work_on_it(service: Service, bundles: dict[str, Path], run: Any) -> None:
    alerts = run("alerts", "list")
    assert "drift" in alerts.output, alerts.output
    champion = variant(bundles["classification"])
    other = canary(bundles["classification-2"], 0.5).model_copy(update={"digest": DIGESTS["2"]})
    service.lineup("classification", Lineup(champion=champion, canary=other))
    try:
        ab = run("ab", "--task", "classification", "--json")
    finally:
        service.lineup("classification", Lineup(champion=champion))
    assert json.loads(ab.stdout)["second"]["answers"] == 24, ab.output
    exported = run("label", "export", "tasks.json", "--task", "classification")
    assert exported.exit_code == 0, exported.output


def test_feedback_is_read_in_order(service: Service) -> None:
    stored = service.api.store
    assert stored is not None
    judged = stored.judged(task="classification")
    assert len(judged) > 100
    assert judged == sorted(judged, key=lambda row: row["created_at"])


def test_a_label_and_an_image_are_deleted(service: Service) -> None:
    id_ = f"{3:032x}"
    stored = service.api.store
    assert stored is not None
    assert (stored.prediction(id_) or {})["feedback"]
    assert stored.deletions.feedback(id_) == 1
    assert (stored.prediction(id_) or {})["feedback"] == []
    assert stored.deletions.predictions(f"{3:064x}") == 1
    assert stored.prediction(id_) is None


def test_people_are_asked_what_to_label(service: Service) -> None:
    of_task = {"task": "classification", "limit": 5}
    [made] = ask(service, "POST", "/v1/classify", files={"image": encoded(320, 300, seed=3)})["predictions"]
    stored = service.api.store
    assert stored is not None
    assert stored.flush(30)
    service.client.get(f"/v1/predictions/{made['id']}/image")  # waits until it is written
    chosen = ask(service, "POST", "/v1/queue", params=of_task)
    asked = [item["prediction"]["id"] for item in chosen["items"]]
    assert made["id"] in asked
    assert ask(service, "GET", "/v1/queue", params=of_task)["items"] == chosen["items"]
    ask(service, "POST", "/v1/feedback", json={"prediction_id": made["id"], "verdict": "right"})
    left = ask(service, "GET", "/v1/queue", params=of_task)
    assert made["id"] not in [item["prediction"]["id"] for item in left["items"]]


def test_a_drift_check_reads_what_was_measured(service: Service) -> None:
    stored = service.api.store
    assert stored is not None
    rows = stored.recent(task="classification", since=datetime(2020, 1, 1, tzinfo=UTC), limit=1)
    digest = rows[0]["digest"]
    since, until = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    ask(service, "POST", "/v1/classify", files={"image": encoded(320, 300, seed=2)})
    assert stored.flush(30)
    measured, num_stored = stored.measured(digest=digest, since=since, until=until)
    assert len(measured) >= 1
    assert num_stored > 500
    Observation.from_record(measured[-1]["features"], id="a", embedding=measured[-1]["embedding"])
