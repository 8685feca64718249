"""Traffic and accuracy over time, as counted by the database."""

from __future__ import annotations

import bisect
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from tests.postgresql import on_both
from visionloop.core.errors import DataError
from visionloop.monitoring.history.accuracy import (
    NUM_STRATA,
    Judgements,
    drawn_accuracy,
    feedback_accuracy,
    judgements,
    merged_judgements,
)
from visionloop.monitoring.history.counts import CONFIDENCE_EDGES, MAX_CLASSES, Counts
from visionloop.monitoring.history.requests import Ending, Endings, add_endings, endings
from visionloop.monitoring.history.suspects import FOLDER, SuspectKey, read_suspects, write_suspects
from visionloop.monitoring.history.traffic import TrafficHistory
from visionloop.monitoring.history.versions import answering_versions
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import FeedbackRow, PredictionRow, PredictionStore
from visionloop.monitoring.store.tables import PREDICTIONS, SELECTIONS, TRAFFIC_HOURS

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = [NOW.replace(minute=0) + HOUR * (index - 23) for index in range(25)]
MINUTES = [NOW + timedelta(minutes=index - 60) for index in range(61)]


def row(index: int, **changes: Any) -> PredictionRow:
    rng = random.Random(index)
    nothing = index % 50 == 0
    values: dict[str, Any] = {
        "id": f"{index:032x}", "created_at": NOW - timedelta(seconds=97 * index), "task": "classification",
        "model": "m", "version": "2" if index < 100 else "1", "digest": "new" if index < 100 else "old",
        "variant": "champion", "request_id": "r", "image_sha256": "f", "width": 8, "height": 8, "image_bytes": 9,
        "result": {}, "top_class": None if nothing else rng.choice("abc"),
        "confidence": None if nothing else rng.random(), "latency_ms": rng.lognormvariate(2.5, 0.8),
    }  # fmt: skip
    return PredictionRow(**(values | changes))


ROWS = [row(index) for index in range(700)]
OTHERS = [row(1000, variant="shadow"), row(1001, task="detection"), row(1002, created_at=NOW + timedelta(hours=2))]


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> Iterator[PredictionStore]:
    found = PredictionStore.open(StoreSettings(url=store_url, flush_s=0.01), tmp_path)
    for one in ROWS + OTHERS:
        found.log(one)
    assert found.flush(30)
    yield found
    found.close()


def counted(store: PredictionStore, edges: list[datetime] = DAY) -> list[Counts]:
    return TrafficHistory(*store.database).buckets("classification", edges, NOW)


def change(store: PredictionStore, statement: sa.Executable) -> None:
    with store.database[0].begin() as connection:
        connection.execute(statement)


@on_both
@pytest.mark.parametrize("edges", [DAY, DAY[::3], MINUTES], ids=["hours", "three hours", "minutes"])
def test_every_answer_is_counted_where_it_belongs(store: PredictionStore, edges: list[datetime]) -> None:
    for _ in range(2):  # counted, and remembered
        found = counted(store, edges)
        assert len(found) == len(edges) - 1
        for index, part in enumerate(found):
            rows = [one for one in ROWS if edges[index] <= one.created_at < edges[index + 1]]
            sure = [one.confidence for one in rows if one.confidence is not None]
            assert part.total == len(rows)
            assert part.versions == Counter(one.version for one in rows)
            assert part.classes == Counter(one.top_class for one in rows if one.top_class)
            assert part.nothing == len(rows) - len(sure)
            bins = Counter(bisect.bisect_right(CONFIDENCE_EDGES, value) for value in sure)
            assert part.confidence == tuple(bins[index] for index in range(20))


@on_both
def test_a_percentile_is_right_to_a_tenth(store: PredictionStore) -> None:
    whole = Counts.merged(counted(store))
    values = [one.latency_ms for one in ROWS if one.created_at >= DAY[0]]
    for percent in (50, 95, 99):
        assert whole.percentile_ms(percent) == pytest.approx(np.percentile(values, percent), rel=0.11)
    assert Counts().percentile_ms(50) is None


@on_both
def test_an_hour_that_is_over_is_counted_once(store: PredictionStore) -> None:
    first = counted(store)
    with store.database[0].connect() as connection:
        hours = connection.execute(sa.select(TRAFFIC_HOURS)).all()
    assert [hour.start for hour in sorted(hours, key=lambda hour: hour.start)] == DAY[4:23]  # not the one under way
    latest = hours[-1].counts | {"classes": {"kept": 1}}
    change(store, sa.update(TRAFFIC_HOURS).where(TRAFFIC_HOURS.c.start == DAY[22]).values(counts=latest))
    assert counted(store)[22].classes == {"kept": 1}
    assert counted(store)[21] == first[21]


@on_both
def test_what_is_deleted_or_comes_late_is_counted_again(store: PredictionStore) -> None:
    before = counted(store)
    gone = [one for one in ROWS if DAY[10] <= one.created_at < DAY[11]][:5]
    change(store, sa.delete(PREDICTIONS).where(PREDICTIONS.c.id.in_([one.id for one in gone])))
    store.log(row(2000, created_at=DAY[4] + timedelta(minutes=1)))
    assert store.flush()
    after = counted(store)
    changed = {index: part.total - before[index].total for index, part in enumerate(after) if part != before[index]}
    assert changed == {4: 1, 10: -5}


@on_both
def test_what_another_version_kept_is_counted_again(store: PredictionStore) -> None:
    before = counted(store)
    change(store, sa.update(TRAFFIC_HOURS).values(counts={"of": "another version"}))
    assert counted(store) == before


def test_rare_classes_of_an_hour_are_kept_as_others() -> None:
    many = Counts(versions=Counter({"1": 5050}), classes=Counter({f"c{index}": index for index in range(101)}))
    kept = Counts.from_record(many.to_record())
    assert len(kept.classes) == MAX_CLASSES
    assert kept.others + kept.classes.total() == many.classes.total()


@on_both
def test_versions_that_answered_are_listed_with_their_time(store: PredictionStore) -> None:
    found = answering_versions(*store.database, "classification")
    late = OTHERS[2].created_at
    assert [(one.version, one.digest, one.answers, one.last_at) for one in found] == [
        ("1", "old", 601, late),
        ("2", "new", 100, NOW),
    ]
    assert found[1].first_at == ROWS[99].created_at


@on_both
def test_what_people_said_counts_when_the_answer_was_given(store: PredictionStore) -> None:
    later = NOW + timedelta(minutes=10)

    def say(index: int, verdict: Any, key: str | None = None) -> None:
        word = FeedbackRow(prediction_id=f"{index:032x}", created_at=later, verdict=verdict, key_id=key)
        assert store.add_feedback(word)

    say(1, "right")
    say(2, "wrong")
    say(200, "corrected")
    say(3, "right", "ann")
    say(3, "wrong", "bob")
    say(1000, "right")  # a shadow's answer
    say(1001, "right")  # of another task
    parts = judgements(*store.database, "classification", DAY)
    whole = merged_judgements(parts)
    assert (whole.total, sum(whole.right), whole.disputed) == (3, 1, 1)
    assert (parts[23].total, parts[23].disputed) == (2, 1)
    assert parts[bisect.bisect_right(DAY, ROWS[200].created_at) - 1].total == 1
    assert merged_judgements(judgements(*store.database, "classification", [later, later + HOUR])).total == 0

    # Without the words that retraining would hold back, which are counted apart.
    def held(key: str, since: datetime) -> Judgements:
        suspects = [SuspectKey(key=key, since=since, kind="burst")]
        return merged_judgements(judgements(*store.database, "classification", DAY, suspects))

    found = held("bob", later)
    assert (found.total, sum(found.right), found.disputed, found.held) == (4, 2, 0, 1)
    assert held("bob", later + HOUR) == whole
    nobody = held("", later)
    assert (nobody.total, nobody.disputed, nobody.held) == (0, 1, 3)


def test_suspicious_keys_are_left_and_found_again(tmp_path: Path) -> None:
    assert read_suspects(tmp_path, "detection") == ()
    keys = (SuspectKey(key="eve", since=NOW, kind="outlier"), SuspectKey(key="", since=NOW, kind="burst"))
    write_suspects(keys, tmp_path, "detection")
    assert read_suspects(tmp_path, "detection") == keys
    write_suspects((), tmp_path, "detection")
    assert read_suspects(tmp_path, "detection") == ()
    (tmp_path / FOLDER / "detection.json").write_text('[{"key": 1}]')
    with pytest.raises(DataError, match="suspicious keys cannot be read"):
        read_suspects(tmp_path, "detection")


@on_both
def test_what_was_drawn_by_chance_is_counted_alone(store: PredictionStore) -> None:
    engine, where = store.database
    chosen = {"task": "classification", "chosen_at": NOW, "day": "d", "usefulness": 0.5}
    for index in range(60):
        drawn = index < 40
        more = (
            {"reason": "random", "draw": "r1", "draw_images": 400, "draw_size": 40} if drawn else {"reason": "margin"}
        )
        change(store, sa.insert(SELECTIONS).values(prediction_id=f"{index:032x}", slot=index, **chosen, **more))
        right = index % 4 > 0 if drawn else False
        word = FeedbackRow(prediction_id=f"{index:032x}", created_at=NOW, verdict="right" if right else "wrong")
        assert store.add_feedback(word)
    found = drawn_accuracy(engine, where, "classification", DAY[0], DAY[-1])
    assert found is not None
    assert (found.num_labels, found.interval.mean, found.basis) == (40, 0.75, "random")
    assert drawn_accuracy(engine, where, "classification", DAY[0], DAY[-1], at_least=41) is None
    assert drawn_accuracy(engine, where, "classification", DAY[-1], DAY[-1] + HOUR) is None


def test_accuracy_is_corrected_for_asking_about_what_is_unsure() -> None:
    rng = np.random.default_rng(3)
    share_right = np.linspace(0.4, 0.99, 20)
    traffic = np.array([20] * 19 + [3000])
    truth = float((traffic * share_right).sum() / traffic.sum())
    counts = Counts(confidence=tuple(map(int, traffic)))
    held = held_alone = 0
    for _ in range(200):
        judged = np.array([8] * 19 + [40])  # the queue asks about unsure ones, and some at random
        right = rng.binomial(judged, share_right)
        said = Judgements(judged=(*map(int, judged), 0), right=(*map(int, right), 0))
        found = feedback_accuracy(counts, said)
        assert found is not None
        assert found.num_strata == 20
        held += found.corrected.lower <= truth <= found.corrected.upper
        held_alone += found.judged_alone.lower <= truth <= found.judged_alone.upper
    assert held >= 0.9 * 200
    assert held_alone == 0


def test_few_judged_answers_are_taken_as_they_are() -> None:
    judged = [0] * NUM_STRATA
    judged[3] = 4
    said = Judgements(judged=tuple(judged), right=tuple(judged))
    found = feedback_accuracy(Counts(confidence=(10,) * 20), said)
    assert found is not None
    assert (found.num_strata, found.corrected) == (1, found.judged_alone)
    assert feedback_accuracy(Counts(), Judgements()) is None
    assert feedback_accuracy(Counts(), said) == found  # the answers themselves are gone


@on_both
def test_endings_of_all_workers_are_one_sum_by_the_minute(store: PredictionStore) -> None:
    minute = int(MINUTES[-2].timestamp()) // 60
    one = {Ending(minute, 200, ""): 5, Ending(minute, 503, "overloaded"): 1, Ending(minute - 3, 415, "bad"): 2}
    add_endings(*store.database, one, NOW)
    add_endings(*store.database, {Ending(minute, 200, ""): 2, Ending(minute, 499, ""): 1}, NOW)
    found = endings(*store.database, MINUTES)
    assert found[-1] == Endings(total=9, refused=1, failed=1, codes=Counter(overloaded=1))
    assert found[-4] == Endings(total=2, refused=2, codes=Counter(bad=2))
    assert sum(part.total for part in found) == 11
    assert [part.total for part in endings(*store.database, DAY)][-1] == 11


@on_both
def test_endings_older_than_any_range_are_forgotten(store: PredictionStore) -> None:
    minute, later = int(NOW.timestamp()) // 60, timedelta(days=41)
    around = [NOW - HOUR, NOW + HOUR]
    add_endings(*store.database, {Ending(minute, 200, ""): 1}, NOW)
    assert endings(*store.database, around)[0].total == 1
    add_endings(*store.database, {Ending(minute + 41 * 24 * 60, 200, ""): 1}, NOW + later)
    assert endings(*store.database, around)[0].total == 0
    assert endings(*store.database, [edge + later for edge in around])[0].total == 1
