"""Two versions compared: bounds that hold at every look, and `visionloop ab` on a real store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from tests.postgresql import on_both
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Canary, Lineup, Variant
from visionloop.cli import main
from visionloop.monitoring.ab.sequential import Count, difference_bounds
from visionloop.monitoring.history.suspects import SuspectKey, write_suspects
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import ComparisonRow, FeedbackRow, PredictionRow, PredictionStore

NOW = datetime.now(UTC)
OLD, NEW = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("first", "second"), [((0, 0), (0, 0)), ((7, 10), (7, 10)), ((0, 40), (40, 40)), ((900, 1000), (30, 40))]
)
def test_bounds_hold_the_estimate_and_turn_with_the_arms(first: tuple[int, int], second: tuple[int, int]) -> None:
    one, other = (Count(successes=wins, trials=trials) for wins, trials in (first, second))
    lower, upper = difference_bounds(one, other)
    assert -1 <= lower <= upper <= 1
    if one.trials:
        assert lower <= other.share - one.share <= upper
    assert difference_bounds(other, one) == pytest.approx((-upper, -lower), abs=1e-5)


def test_without_trials_nothing_is_known() -> None:
    none = Count(successes=0, trials=0)
    assert difference_bounds(none, none) == (-1.0, 1.0)


def test_bounds_shrink_with_evidence_and_widen_with_confidence() -> None:
    widths = [
        np.diff(difference_bounds(Count(successes=8 * n, trials=10 * n), Count(successes=9 * n, trials=10 * n)))[0]
        for n in (1, 10, 100)
    ]
    assert widths == sorted(widths, reverse=True)
    one, other = Count(successes=80, trials=100), Count(successes=95, trials=100)
    assert difference_bounds(one, other, confidence=0.99)[0] < difference_bounds(one, other, confidence=0.9)[0]


def test_looking_after_every_few_answers_seldom_finds_a_difference_where_there_is_none() -> None:
    rng = np.random.default_rng(5)
    errors = 0
    for _ in range(25):
        wins = (rng.random((2, 300)) < 0.8).cumsum(axis=1)
        bounds = [
            difference_bounds(*(Count(successes=int(arm[n - 1]), trials=n) for arm in wins), confidence=0.8)
            for n in range(30, 301, 30)
        ]
        errors += any(lower > 0 or upper < 0 for lower, upper in bounds)
    # Bounds for one look, of the same confidence, are wrong in 18 of these runs.
    assert errors <= 0.2 * 25


@pytest.fixture
def store(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PredictionStore:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISIONLOOP_PARAMS", raising=False)
    monkeypatch.delenv("VISIONLOOP_STATE", raising=False)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"serving": {"store": {"url": store_url}}}))
    return PredictionStore.open(StoreSettings(url=store_url), tmp_path)


def share(folder: Path, task: str = "classification") -> None:
    lineup = Lineup(
        champion=Variant(model="digits", version="3", digest=OLD, bundle="old"),
        canary=Canary(model="digits", version="4", digest=NEW, bundle="new", share=0.5),
    )
    deployment.change(folder / "mlruns/deployment.json", task, lambda _: lineup)


def answer(
    store: PredictionStore, id: str, digest: str, said: list[str], *, latency_ms: float = 5.0, hours_ago: float = 1.0
) -> None:
    """An answer and what people say of it."""
    row: dict[str, Any] = {"request_id": "r", "image_sha256": id, "width": 8, "height": 8, "image_bytes": 9}
    store.log(
        PredictionRow(
            id=id,
            created_at=NOW - timedelta(hours=hours_ago),
            task="classification",
            model="digits",
            version="3" if digest == OLD else "4",
            digest=digest,
            variant="champion" if digest == OLD else "canary",
            result={},
            latency_ms=latency_ms,
            **row,
        )
    )
    store.flush()
    for number, verdict in enumerate(said):
        given = FeedbackRow(prediction_id=id, created_at=NOW, verdict=verdict, key_id=f"k{number}")  # type: ignore[arg-type]
        assert store.add_feedback(given)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["ab", *words])


@on_both
def test_a_better_canary_is_called_better(store: PredictionStore, tmp_path: Path) -> None:
    share(tmp_path)
    for number in range(40):
        answer(store, f"o{number}", OLD, ["right" if number % 2 else "wrong"], latency_ms=5 + number % 3)
        answer(store, f"n{number}", NEW, ["right"], latency_ms=7 + number % 3)
    answer(store, "disputed", NEW, ["right", "corrected"])
    answer(store, "unjudged", NEW, [])
    for number in range(3):
        store.log_comparison(
            ComparisonRow(prediction_id=f"o{number}", digest=NEW, created_at=NOW, agreement=0.5, details={})
        )
    store.close()
    done = run("--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["verdict"] == "better"
    assert found["first"]["judged"] == {"successes": 20, "trials": 40}
    assert found["second"]["judged"] == {"successes": 40, "trials": 40}
    assert (found["second"]["answers"], found["second"]["disputed"]) == (42, 1)
    assert found["gain"]["lower"] > 0
    assert found["slower_ms"]["mean"] == pytest.approx(2.0)
    assert found["agreement"] == pytest.approx(
        {"mean": 0.5, "lower": 0.5, "upper": 0.5, "confidence": 0.95, "images": 3}
    )
    shown = run().output
    assert "version 4 is better" in shown
    assert "50.0% (" in shown
    assert "left out: 1 answers that people judged differently" in shown


@on_both
def test_words_of_suspicious_keys_do_not_count(store: PredictionStore, tmp_path: Path) -> None:
    share(tmp_path)
    for number in range(3):
        answer(store, f"n{number}", NEW, ["right", "wrong"])
    store.close()
    assert json.loads(run("--json").stdout)["second"]["disputed"] == 3
    write_suspects([SuspectKey(key="k1", since=NOW - timedelta(hours=1), kind="burst")], tmp_path, "classification")
    assert json.loads(run("--json").stdout)["second"]["judged"] == {"successes": 3, "trials": 3}


@on_both
def test_what_the_champion_answered_before_the_canary_came_does_not_count(
    store: PredictionStore, tmp_path: Path
) -> None:
    share(tmp_path)
    answer(store, "before", OLD, ["wrong"], hours_ago=5)
    answer(store, "first", NEW, ["right"], hours_ago=3)
    answer(store, "after", OLD, ["right"], hours_ago=1)
    store.close()
    found = json.loads(run("--json").stdout)
    assert datetime.fromisoformat(found["since"]) == NOW - timedelta(hours=3)
    assert found["first"]["judged"] == {"successes": 1, "trials": 1}
    longer = run("--since", "6h")
    assert "95% for one look" in longer.output
    assert json.loads(run("--since", "6h", "--json").stdout)["first"]["judged"] == {"successes": 1, "trials": 2}


@on_both
def test_without_feedback_nothing_is_decided(store: PredictionStore, tmp_path: Path) -> None:
    share(tmp_path)
    store.close()
    done = run()
    assert done.exit_code == 0, done.output
    assert "gain in accuracy: unknown, as both versions need answers that people judged" in done.output
    assert "-100" not in done.output
    found = json.loads(run("--json").stdout)
    assert (found["gain"]["mean"], found["slower_ms"], found["agreement"]) == (None, None, None)


def test_what_cannot_be_compared_is_said(store: PredictionStore, tmp_path: Path) -> None:
    store.close()
    assert "no task has a canary or a shadow" in run().output
    share(tmp_path)
    share(tmp_path, "detection")
    done = run()
    assert done.exit_code == 1
    assert "2 tasks have a canary or a shadow: classification, detection" in done.output
    assert "task 'elsewhere' has neither canary nor shadow" in run("--task", "elsewhere").output
    assert "'ever' is no duration up to a year" in run("--since", "ever").output
