"""What the prediction store promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tests.monitoring.rows import NOW, comparison, feedback, prediction
from tests.postgresql import on_both
from visionloop.monitoring.store import METADATA, PredictionRow, PredictionStore, StoreError
from visionloop.monitoring.store.rows import ComparisonRow
from visionloop.monitoring.store.tables import COMPARISONS, FEEDBACK

pytestmark = on_both

HOUR = timedelta(hours=1)

Open = Callable[..., PredictionStore]


def recent_ids(store: PredictionStore, **query: Any) -> list[str]:
    wanted: dict[str, Any] = {"task": "classification", "since": NOW - timedelta(days=1000)}
    return [row["id"] for row in store.recent(**(wanted | query))]


@contextlib.contextmanager
def locked(store_url: str, root: Path) -> Iterator[None]:
    """Nothing can be written meanwhile."""
    engine = sa.create_engine(store_url.replace("///", f"///{root}/").replace("postgresql:", "postgresql+pg8000:"))
    with engine.connect() as other:
        if engine.dialect.name == "sqlite":
            other.exec_driver_sql("BEGIN EXCLUSIVE")
        else:
            other.exec_driver_sql("LOCK TABLE predictions, feedback IN EXCLUSIVE MODE")
        yield
        other.rollback()
    engine.dispose()


def test_a_prediction_comes_back_as_it_was_logged(store: PredictionStore) -> None:
    row = prediction(key_id="k1", features={"brightness": 0.25}, embedding=b"\x00\x3c\xff")
    store.log(row)
    assert store.flush()
    assert store.prediction(row.id) == asdict(row) | {"feedback": []}
    assert (store.written, store.pending, store.dropped) == (1, 0, 0)


def test_a_pending_prediction_looks_like_a_stored_one(open_store: Open) -> None:
    store = open_store(flush_s=10.0)
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5)))
    store.log(prediction(created_at=elsewhere, result=({"box": (1, 2)},)))
    pending = store.prediction("a" * 32)
    assert store.pending == 1
    assert store.flush()
    assert pending == store.prediction("a" * 32)
    assert pending is not None
    assert (pending["created_at"].isoformat(), pending["result"]) == (NOW.isoformat(), [{"box": [1, 2]}])


def test_text_is_stored_verbatim(store: PredictionStore) -> None:
    text = "<script>alert('1')</script> \"q\" '; DROP TABLE predictions; -- 🙂 \\ \n %s :name"
    store.log(prediction(result={text: text}, top_class=text))
    assert store.add_feedback(feedback(verdict="corrected", label=[{"class": text}], note=text, key_id=text))
    row = store.prediction("a" * 32)
    assert row is not None
    assert (row["result"], row["top_class"]) == ({text: text}, text)
    [said] = row["feedback"]
    assert (said["label"], said["note"], said["key_id"]) == ([{"class": text}], text, text)


def test_times_of_any_zone_compare_as_moments(store: PredictionStore) -> None:
    west = timezone(timedelta(hours=-8))
    store.log(prediction("early", created_at=(NOW - HOUR).astimezone(west)))
    store.log(prediction("late", created_at=NOW))
    assert store.flush()
    assert recent_ids(store) == ["late", "early"]
    assert recent_ids(store, since=NOW.astimezone(west)) == ["late"]
    assert recent_ids(store, until=NOW.astimezone(west)) == ["early"]


def test_recent_is_newest_first_and_limited(store: PredictionStore) -> None:
    for index in range(5):
        store.log(prediction(f"p{index}", created_at=NOW + index * HOUR, digest=f"d{index % 2}"))
    store.log(prediction("other", task="detection"))
    assert store.flush()
    assert recent_ids(store, limit=3) == ["p4", "p3", "p2"]
    assert recent_ids(store, digest="d1") == ["p3", "p1"]
    assert recent_ids(store, task="detection") == ["other"]


def test_feedback_sent_again_replaces_the_same_keys(store: PredictionStore) -> None:
    store.log(prediction())
    assert store.add_feedback(feedback(verdict="right"))
    assert store.add_feedback(feedback(verdict="right"))
    assert store.add_feedback(feedback(verdict="wrong", key_id="k1", created_at=NOW + HOUR))
    assert store.add_feedback(feedback(verdict="corrected", label="1", created_at=NOW + 2 * HOUR))
    row = store.prediction("a" * 32)
    assert row is not None
    assert [(item["key_id"], item["verdict"], item["label"]) for item in row["feedback"]] == [
        ("k1", "wrong", None),
        (None, "corrected", "1"),
    ]


def test_feedback_on_a_pending_prediction_is_committed_at_once(open_store: Open) -> None:
    here, other = open_store(flush_s=5.0), open_store()
    here.log(prediction())
    started = time.monotonic()
    assert here.add_feedback(feedback())
    assert time.monotonic() - started < 4.0
    row = other.prediction("a" * 32)
    assert row is not None
    assert [item["verdict"] for item in row["feedback"]] == ["right"]


def test_what_another_worker_still_holds_is_found(open_store: Open) -> None:
    other, here = open_store(flush_s=0.1), open_store(flush_s=0.3)
    other.log(prediction())
    assert here.add_feedback(feedback())
    other.log(prediction("b"))
    assert here.prediction("b") is not None


def test_an_unknown_prediction_is_said(store: PredictionStore) -> None:
    assert store.prediction("nobody") is None
    assert not store.add_feedback(feedback("nobody"))


def test_comparisons_are_kept_once(store: PredictionStore) -> None:
    store.log(prediction())
    store.log_comparison(comparison())
    store.log_comparison(comparison())
    store.log_comparison(comparison(digest="s2"))
    assert store.flush()
    assert store.comparisons(digest="s1", since=NOW) == [
        {"prediction_id": "a" * 32, "digest": "s1", "created_at": NOW, "agreement": 0.5, "details": {"n": 1}}
    ]
    assert store.comparisons(digest="s1", since=NOW + HOUR) == []


def test_counts_leave_shadows_out(store: PredictionStore) -> None:
    store.log(prediction("p1", top_class="1"))
    store.log(prediction("p2", top_class="1", version="4", variant="canary"))
    store.log(prediction("p3", top_class=None, confidence=None))
    store.log(prediction("shadow", variant="shadow", version="5"))
    store.log(prediction("old", created_at=NOW - HOUR))
    store.log(prediction("other", task="detection"))
    store.add_feedback(feedback("p1", verdict="right"))
    store.add_feedback(feedback("p1", verdict="wrong", key_id="k1"))
    store.add_feedback(feedback("p2", verdict="wrong"))
    store.add_feedback(feedback("old", verdict="wrong"))
    assert store.counts(task="classification", since=NOW) == {
        "total": 3,
        "by_class": {"1": 2},
        "by_version": {"3": 2, "4": 1},
        "feedback": {"right": 1, "wrong": 2, "corrected": 0},
    }


def test_prune_deletes_what_is_too_old_with_all_that_belongs_to_it(open_store: Open) -> None:
    store = open_store(retention_days=10, batch=2000)
    for index in range(1500):
        store.log(prediction(f"old{index}", created_at=NOW - timedelta(days=11)))
    store.log(prediction("older", task="detection", created_at=NOW - timedelta(days=99)))
    store.log(prediction("kept", created_at=NOW - timedelta(days=10)))
    store.log_comparison(comparison("old1"))
    store.log_comparison(comparison("kept"))
    store.add_feedback(feedback("old1"))
    store.add_feedback(feedback("kept"))
    assert store.prune(NOW) == 1501
    assert recent_ids(store) == ["kept"]
    with store.database[0].connect() as connection:
        for table in (FEEDBACK, COMPARISONS):
            assert connection.scalars(sa.select(table.c.prediction_id)).all() == ["kept"]
    assert store.prune(NOW) == 0


def test_a_locked_database_delays_nobody_and_loses_nothing(open_store: Open, store_url: str, tmp_path: Path) -> None:
    store = open_store(flush_s=0.2, timeout_s=0.2)
    store.log(prediction("before"))
    assert store.flush()
    with locked(store_url, tmp_path):
        started = time.perf_counter()
        for index in range(20):
            store.log(prediction(f"p{index}"))
        seconds_each = (time.perf_counter() - started) / 20
        with pytest.raises(StoreError) as caught:
            store.add_feedback(feedback("before"))
        assert store.prediction("before") is not None
        assert (store.pending, store.dropped) == (20, 0)
    assert seconds_each < 0.05
    assert re.fullmatch("the prediction store cannot be written: .*(is locked|lock timeout)", caught.value.what)
    assert str(tmp_path) not in str(caught.value)
    assert store.flush()
    assert (len(recent_ids(store)), store.written, store.dropped) == (21, 21, 0)


def test_feedback_on_a_prediction_that_cannot_be_written_fails(
    open_store: Open, store_url: str, tmp_path: Path
) -> None:
    store = open_store(flush_s=0.2, timeout_s=0.2)
    with locked(store_url, tmp_path):
        store.log(prediction())
        with pytest.raises(StoreError, match="its prediction is still waiting"):
            store.add_feedback(feedback())


def test_a_database_that_stays_locked_costs_rows_until_it_is_back(
    open_store: Open, store_url: str, tmp_path: Path
) -> None:
    store = open_store(timeout_s=0.2)
    with locked(store_url, tmp_path):
        store.log(prediction("lost"))
        assert not store.flush()
        assert (store.pending, store.dropped) == (0, 1)
    store.log(prediction("after"))
    assert store.flush()
    assert recent_ids(store) == ["after"]


def test_a_full_queue_drops_and_counts(open_store: Open) -> None:
    store = open_store(max_pending=10, flush_s=10.0)
    for index in range(25):
        store.log(prediction(f"p{index:02}"))
    assert (store.pending, store.dropped) == (10, 15)
    assert store.flush()
    assert sorted(recent_ids(store)) == [f"p{index:02}" for index in range(10)]


@pytest.mark.parametrize(
    "unfit",
    [
        prediction("bad", result={"score": float("nan")}),
        prediction("bad", result={"score": object()}),
        prediction("bad", top_class="\ud800"),
        prediction("bad", width=2**80),
        prediction("bad", latency_ms=None),
        comparison("nobody"),
    ],
    ids=["nan", "no-json", "half-character", "huge-number", "null", "comparison-of-nothing"],
)
def test_a_row_that_cannot_be_stored_costs_only_itself(
    store: PredictionStore, unfit: PredictionRow | ComparisonRow
) -> None:
    store.log(prediction("first"))
    if isinstance(unfit, PredictionRow):
        store.log(unfit)
    else:
        store.log_comparison(unfit)
    store.log(prediction("last"))
    assert not store.flush()
    assert (sorted(recent_ids(store)), store.written, store.dropped) == (["first", "last"], 2, 1)


def test_feedback_that_cannot_be_stored_is_an_error(store: PredictionStore) -> None:
    store.log(prediction())
    with pytest.raises(StoreError, match="cannot be written: UnicodeEncodeError"):
        store.add_feedback(feedback(note="\ud800"))


def test_many_threads_may_log_and_look_up(store: PredictionStore) -> None:
    def work(name: int) -> None:
        for index in range(50):
            store.log(prediction(f"{name}-{index}"))
        assert store.add_feedback(feedback(f"{name}-49"))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.flush()
    assert (store.written, store.dropped) == (400, 0)
    assert store.counts(task="classification", since=NOW)["feedback"]["right"] == 8


def test_closing_writes_what_is_pending_and_may_be_repeated(open_store: Open) -> None:
    store = open_store(flush_s=10.0)
    store.log(prediction())
    store.close()
    store.close()
    store.log(prediction("late"))
    assert (store.written, store.pending, store.dropped) == (1, 0, 1)
    assert recent_ids(open_store()) == ["a" * 32]


def test_reopening_keeps_rows(open_store: Open) -> None:
    first = open_store()
    first.log(prediction())
    first.close()
    assert recent_ids(open_store()) == ["a" * 32]


def test_the_migrated_schema_is_the_one_the_code_uses(store: PredictionStore) -> None:
    with store.database[0].connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
