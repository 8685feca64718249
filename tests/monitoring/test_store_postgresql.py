"""What is PostgreSQL's own: a server that goes away in mid-write, workers that meet, URLs, passwords."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from tests.monitoring.rows import NOW, feedback, prediction
from tests.postgresql import Server
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import PredictionStore, SelectionRow, StoreError

QUICK = StoreSettings(flush_s=0.02, timeout_s=1.0)


@pytest.fixture
def settings(postgresql: Server) -> StoreSettings:
    return QUICK.model_copy(update={"url": postgresql.url(postgresql.empty_store())})


@pytest.fixture
def store(settings: StoreSettings, tmp_path: Path) -> Iterator[PredictionStore]:
    found = PredictionStore.open(settings, tmp_path)
    yield found
    found.close()


def ids(store: PredictionStore) -> set[str]:
    return {row["id"] for row in store.recent(task="classification", since=NOW - timedelta(days=1))}


def test_workers_that_meet_a_fresh_database_create_it_once(postgresql: Server, tmp_path: Path) -> None:
    settings = QUICK.model_copy(update={"url": postgresql.url(postgresql.create())})
    barrier = threading.Barrier(6)

    def work(name: int) -> tuple[int, int]:
        barrier.wait(30)
        store = PredictionStore.open(settings, tmp_path)
        for index in range(20):
            store.log(prediction(f"{name}-{index}"))
        store.flush(30)
        store.close()
        return store.written, store.dropped

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [(20, 0)] * 6


def test_a_migration_that_fails_leaves_nothing_behind(postgresql: Server, tmp_path: Path) -> None:
    name = postgresql.create()
    postgresql.sql("CREATE TABLE comparisons (id int)", name)
    settings = QUICK.model_copy(update={"url": postgresql.url(name)})
    with pytest.raises(StoreError, match=r'opened: PostgreSQL\'s error 42P07: relation "comparisons" already exists'):
        PredictionStore.open(settings, tmp_path)
    postgresql.sql("DROP TABLE comparisons", name)
    PredictionStore.open(settings, tmp_path).close()


def test_a_server_that_crashes_in_mid_write_costs_nothing_once_it_is_back(
    postgresql: Server, settings: StoreSettings, tmp_path: Path
) -> None:
    # A batch is tried for 15 times as long as it may wait: for the seconds that a server needs to come back.
    store = PredictionStore.open(settings.model_copy(update={"flush_s": 0.5}), tmp_path)
    store.log(prediction("before"))
    assert store.flush()
    assert store.add_feedback(feedback("before"))
    writing = threading.Event()

    def write() -> None:
        for index in range(400):
            store.log(prediction(f"p{index}"))
            if index == 100:
                writing.set()

    thread = threading.Thread(target=write)
    thread.start()
    writing.wait(30)
    postgresql.stop(signal.SIGQUIT)
    thread.join()
    with pytest.raises(StoreError, match="cannot be read: ") as caught:
        store.image_of("before")
    assert str(postgresql.socket) not in str(caught.value)
    with pytest.raises(StoreError, match="cannot be written: "):
        store.deletions.feedback("before")
    postgresql.start()
    assert store.flush(30)
    assert (len(ids(store)), store.written, store.dropped) == (401, 401, 0)
    assert store.deletions.feedback("before") == 1
    store.close()


def test_a_session_that_is_ended_is_opened_anew(postgresql: Server, store: PredictionStore) -> None:
    assert store.image_of("nobody") is None
    postgresql.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'store'")
    store.log(prediction())
    assert store.flush()
    assert store.image_of("a" * 32) is not None


def test_workers_that_choose_the_same_do_not_wait_for_each_other_for_ever(
    settings: StoreSettings, store: PredictionStore, tmp_path: Path
) -> None:
    names = [f"p{index:02}" for index in range(40)]
    for name in names:
        store.log(prediction(name))
    assert store.flush()

    def choice(name: str, slot: int) -> SelectionRow:
        return SelectionRow(
            prediction_id=name,
            task="classification",
            chosen_at=NOW,
            day="d",
            slot=slot,
            reason="random",
            usefulness=0.5,
        )

    def work(order: int) -> None:
        other = PredictionStore.open(settings, tmp_path)
        other.selections.add([choice(name, slot) for slot, name in enumerate(names[::order])])
        other.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, [1, -1, 1, -1]))
    assert store.selections.spent(task="classification", day="d") == 40
    waiting = store.selections.waiting(task="classification", since=NOW)
    assert sorted(row["id"] for row in waiting) == names


def test_a_row_that_an_index_cannot_hold_costs_only_itself(store: PredictionStore) -> None:
    rng = random.Random(0)
    store.log(prediction("bad", top_class="".join(rng.choices("0123456789abcdef", k=20_000))))
    store.log(prediction("nul", top_class="a\x00b"))
    store.log(prediction("good"))
    assert not store.flush()
    assert (ids(store), store.dropped) == ({"good"}, 2)


def test_the_password_may_come_from_the_environment(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = postgresql.create()
    postgresql.sql("CREATE ROLE visionloop LOGIN PASSWORD 'hunter2'")
    postgresql.sql(f"ALTER DATABASE {name} OWNER TO visionloop")
    postgresql.ask_for_passwords("visionloop")
    settings = QUICK.model_copy(update={"url": postgresql.url(name).replace("postgres@", "visionloop@")})
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(StoreError) as caught:
        PredictionStore.open(settings, tmp_path)
    assert caught.value.what.endswith('error 28P01: password authentication failed for user "visionloop"')
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    store = PredictionStore.open(settings, tmp_path)
    store.log(prediction())
    assert store.flush()
    store.close()


def test_over_tcp_too_with_and_without_tls(postgresql: Server, tmp_path: Path) -> None:
    database = postgresql.create()
    with postgresql.on_loopback() as host:
        for query, problem in (("", ""), ("?sslmode=disable", ""), ("?sslmode=require", "refuses SSL")):
            url = f"postgresql://postgres@{host}/{database}{query}"
            settings = QUICK.model_copy(update={"url": url})
            if problem:
                with pytest.raises(StoreError, match="cannot be opened"):
                    PredictionStore.open(settings, tmp_path)
            else:
                PredictionStore.open(settings, tmp_path).close()


@pytest.mark.parametrize("query", ["sslmode=maybe", "sslmode=verify-full&sslrootcert=/nowhere/ca.pem"])
def test_wrong_options_of_tls_are_said(query: str, tmp_path: Path) -> None:
    pytest.importorskip("pg8000")
    with pytest.raises(StoreError, match="the URL's options of TLS cannot be used"):
        PredictionStore.open(QUICK.model_copy(update={"url": f"postgresql://a@localhost/b?{query}"}), tmp_path)


def test_nobody_at_the_address_is_said_without_it(tmp_path: Path) -> None:
    pytest.importorskip("pg8000")
    settings = QUICK.model_copy(update={"url": "postgresql://ann:secret@127.0.0.1:1/db"})
    with pytest.raises(StoreError) as caught:
        PredictionStore.open(settings, tmp_path)
    assert caught.value.what == "the prediction store cannot be opened: Connection refused"
    assert "secret" not in str(caught.value)
