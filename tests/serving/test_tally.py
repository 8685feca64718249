"""How requests ended waits in the worker until the store takes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from visionloop.monitoring.history.requests import Endings, endings
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import PredictionStore
from visionloop.serving.tally import Tally

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
EDGES = [NOW - timedelta(minutes=1), NOW + timedelta(minutes=1)]


def total(store: PredictionStore) -> Endings:
    return endings(*store.database, EDGES)[0]


def test_what_the_store_does_not_take_is_added_later_and_once(tmp_path: Path) -> None:
    tally = Tally(clock=NOW.timestamp)
    tally.count("/v1/classify", 200)
    tally.count("/v1/classify", 503, "overloaded")
    tally.count("/readyz", 200)
    tally.count("/v1/monitoring/summary", 200)
    tally.write(None)
    store = PredictionStore.open(StoreSettings(timeout_s=0.2), tmp_path)
    folder = tmp_path / "mlruns"
    away = folder.rename(tmp_path / "away")
    store.database[0].dispose()
    tally.write(store)
    away.rename(folder)
    tally.write(store)
    tally.write(store)
    assert (total(store).total, total(store).failed) == (2, 1)
    store.close()
