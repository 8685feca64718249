"""What is SQLite's own: a file that is away, replaced, foreign or met by many; and which URLs there are."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from tests.monitoring.rows import NOW, feedback, prediction
from visionloop.monitoring.migrations import HEAD
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import PredictionStore, StoreError

QUICK = StoreSettings(flush_s=0.02, timeout_s=0.2)
FILE = Path("mlruns") / "predictions.db"

Open = Callable[..., PredictionStore]


def recent_ids(store: PredictionStore) -> list[str]:
    return [row["id"] for row in store.recent(task="classification", since=NOW)]


def test_readers_and_a_writer_work_at_once(store: PredictionStore) -> None:
    with store.database[0].connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_the_newest_schema_is_the_one_written_down() -> None:
    # A database that has it is not migrated: alembic is not even asked.
    config = Config()
    config.set_main_option("script_location", "visionloop.monitoring:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_database_of_a_newer_version_is_left_alone(store: PredictionStore, tmp_path: Path) -> None:
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    with pytest.raises(StoreError) as caught:
        PredictionStore.open(QUICK, tmp_path)
    assert str(caught.value) == (
        "the prediction store has schema 9999, which this version does not know\n"
        "  where:    SQLite database predictions.db\n"
        "  expected: schema 0006 or older: a newer version of visionloop made this one\n"
        "  to do:    upgrade visionloop, or set the store's `url` to another database"
    )


def test_a_database_that_was_taken_away_is_used_again_when_it_is_back(store: PredictionStore, tmp_path: Path) -> None:
    store.log(prediction("before"))
    assert store.flush()
    mlruns = tmp_path / "mlruns"
    away = mlruns.rename(tmp_path / "away")
    store.log(prediction("lost"))
    assert not store.flush()
    with pytest.raises(StoreError, match="cannot be read: unable to open database file"):
        store.prediction("before")
    with pytest.raises(StoreError, match="cannot be written: unable to open database file"):
        store.add_feedback(feedback("before"))
    assert not mlruns.exists()
    away.rename(mlruns)
    store.log(prediction("after"))
    assert store.flush()
    assert sorted(recent_ids(store)) == ["after", "before"]


def test_a_replaced_database_is_written_not_the_removed_one(
    store: PredictionStore, open_store: Open, tmp_path: Path
) -> None:
    store.log(prediction("old"))
    assert store.flush()
    (tmp_path / "mlruns").rename(tmp_path / "backup")
    fresh = open_store()
    store.log(prediction("new"))
    assert store.flush()
    assert recent_ids(fresh) == ["new"]


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, open_store: Open) -> None:
    (tmp_path / FILE).parent.mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("CREATE TABLE comparisons (id)")
    with pytest.raises(StoreError, match="cannot be opened: table comparisons already exists"):
        PredictionStore.open(QUICK, tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("DROP TABLE comparisons")
    assert recent_ids(open_store()) == []


def test_a_file_that_is_no_database_is_said_without_its_path(tmp_path: Path) -> None:
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text("this is no database " * 20)
    with pytest.raises(StoreError) as caught:
        PredictionStore.open(QUICK, tmp_path)
    assert caught.value.what == "the prediction store cannot be opened: file is not a database"
    assert str(tmp_path) not in str(caught.value)


def test_a_path_may_hold_any_characters(tmp_path: Path) -> None:
    root = tmp_path / "50%41 ?"
    store = PredictionStore.open(QUICK.model_copy(update={"url": "sqlite:///a b/ü#.db"}), root)
    store.log(prediction())
    store.close()
    assert (store.written, (root / "a b" / "ü#.db").is_file()) == (1, True)


def _open_and_log(root: Path, name: str, barrier: Any, results: Any) -> None:
    barrier.wait(60)
    try:
        store = PredictionStore.open(StoreSettings(), root)
        for index in range(20):
            store.log(prediction(f"{name}-{index}"))
        flushed = store.flush(20)
        store.close()
        results.put(json.dumps([flushed, store.written, store.dropped]))
    except BaseException as error:
        results.put(repr(error))
        raise


def test_six_processes_may_meet_a_fresh_database(tmp_path: Path, open_store: Open) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(6), spawn.Queue()
    processes = [spawn.Process(target=_open_and_log, args=(tmp_path, f"w{n}", barrier, results)) for n in range(6)]
    for process in processes:
        process.start()
    answers = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)
    assert answers == ["[true, 20, 0]"] * 6
    assert len(recent_ids(open_store())) == 120


@pytest.mark.parametrize(
    "url", ["postgres://ann:secret@host/db", "mysql://ann:secret@host/db", "secret", "sqlite://", "sqlite:///:memory:"]
)
def test_a_wrong_url_is_not_repeated(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        PredictionStore.open(StoreSettings(url=url), tmp_path)
    assert caught.value.what == "the URL names no database that can hold predictions"
    assert "secret" not in str(caught.value)


def test_a_driver_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        PredictionStore.open(StoreSettings(url="postgresql+nosuch://ann:secret@host/db"), tmp_path)
    assert caught.value.what == "the driver of postgresql+nosuch is not installed"
    assert "secret" not in str(caught.value)
