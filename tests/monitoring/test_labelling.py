"""What is chosen to be labelled, on real scans, and what the labels say of all traffic."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from tests.postgresql import on_both
from visionloop.monitoring.labelling.choice import NOVEL_FROM, Pool, Purpose, choose
from visionloop.monitoring.labelling.estimate import Judged, true_accuracy
from visionloop.monitoring.labelling.rounds import Model, _drawn, left_today, to_label
from visionloop.monitoring.labelling.scores import boxes, entropy, margin, uncertainty
from visionloop.monitoring.labelling.space import Space
from visionloop.monitoring.settings import LabellingSettings, StoreSettings
from visionloop.monitoring.store import ComparisonRow, FeedbackRow, PredictionRow, PredictionStore

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVEN: dict[Purpose, float] = {"uncertain": 0.5, "novel": 0.25, "disagreement": 0.15, "balance": 0.1}


class Scans(NamedTuple):
    """Scans as a model sees them; the pixels stand for an embedding."""

    embeddings: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float64]
    truth: npt.NDArray[np.int64]


@pytest.fixture(scope="module")
def digits() -> tuple[Scans, Scans]:
    """400 reference scans, and 700 others, with a model's answers: it learned from 100 further ones."""
    bunch: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    pixels, truth = (bunch.data[order] / 16).astype(np.float32), bunch.target[order]
    model = LogisticRegression(max_iter=300).fit(pixels[:100], truth[:100])
    parts = (slice(100, 500), slice(500, 1200))
    seen, other = (Scans(pixels[part], model.predict_proba(pixels[part]), truth[part]) for part in parts)
    return seen, other


def pool_of(scans: Scans, **columns: Any) -> Pool:
    num = len(scans.truth)
    plain: dict[str, Any] = {
        "ids": [f"{index:04}" for index in range(num)],
        "uncertainty": margin(scans.probabilities),
        "disagreement": np.full(num, np.nan),
        "classes": [frozenset({str(row.argmax())}) for row in scans.probabilities],
        "embeddings": scans.embeddings,
    }
    return Pool(**(plain | columns))


def test_measures_of_doubt() -> None:
    sure, torn, flat = [1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.25] * 4
    rows = np.array([sure, torn, flat])
    assert margin(rows) == pytest.approx([0, 1, 1])
    assert entropy(rows) == pytest.approx([0, 0.5, 1], abs=1e-9)
    assert boxes([0.99, 0.5]) == 1.0
    assert boxes([0.9, 0.6], "mean") == pytest.approx((0.2 + 0.8) / 2)
    assert boxes([]) == 0.0


@pytest.mark.parametrize(
    ("scores", "options", "expected"),
    [
        ((0.5, 0.5), {}, 1.0),
        ((0.9, 0.1), {}, 0.2),
        ((0.9,), {}, 0.2),  # one class was asked for: the rest has 0.1
        ((0.3,), {}, 1.0),
        ((0.25, 0.25), {"measure": "entropy", "num_classes": 4}, 1.0),  # the two that were not listed share the rest
        ((1.0,), {"measure": "entropy", "num_classes": 1}, 0.0),
    ],
)
def test_a_stored_answers_doubt(scores: tuple[float, ...], options: dict[str, Any], expected: float) -> None:
    ranked = [{"class": str(place), "score": score} for place, score in enumerate(scores)]
    assert uncertainty({"ranked": ranked}, **options) == pytest.approx(expected)


def test_planted_strangers_are_found_and_not_all_of_a_kind(digits: tuple[Scans, Scans]) -> None:
    seen, other = digits
    embeddings = other.embeddings.copy()
    inverted, turned = 1.0 - embeddings[:5], np.rot90(embeddings[5:10].reshape(-1, 8, 8), axes=(1, 2)).reshape(-1, 64)
    embeddings[:5], embeddings[5:10] = inverted, turned
    # A standing camera: thirty frames of one stranger.
    frames = embeddings[0] + np.random.default_rng(1).normal(0, 0.01, (30, 64)).astype(np.float32)
    embeddings[10:40] = frames
    pool = pool_of(other, embeddings=embeddings)
    picks = choose(pool, 20, {"novel": 1.0}, space=Space.of(seen.embeddings))
    chosen = {pick.index for pick in picks}
    assert set(range(1, 5)) <= chosen  # every inverted scan
    assert len(chosen & {0, *range(10, 40)}) == 1  # one of the camera's frames
    assert len(chosen & set(range(5, 10))) >= 4  # the turned ones
    assert {pick.reason for pick in picks} == {"novel"}
    assert min(pick.usefulness for pick in picks) >= NOVEL_FROM
    # The reference's own kind has few strangers: the share is not filled up with ordinary scans.
    ordinary = choose(pool_of(other), 700, {"novel": 1.0}, space=Space.of(seen.embeddings))
    assert len(ordinary) < 70
    assert choose(pool, 20, {"novel": 1.0}) == []


def test_of_near_duplicates_that_puzzle_the_model_one_is_chosen(digits: tuple[Scans, Scans]) -> None:
    seen, other = digits
    doubt = margin(other.probabilities)
    worst = int(doubt.argmax())
    noise = np.random.default_rng(2).normal(0, 0.01, (60, 64)).astype(np.float32)
    embeddings = other.embeddings.copy()
    embeddings[:60], doubt[:60] = embeddings[worst] + noise, 1.0
    pool = pool_of(other, embeddings=embeddings, uncertainty=doubt)
    space = Space.of(seen.embeddings)
    assert sum(pick.index < 60 for pick in choose(pool, 40, {"uncertain": 1.0}, space=space)) <= 2
    assert sum(pick.index < 60 for pick in choose(pool, 40, {"uncertain": 1.0})) == 40
    # What is labelled already is as good as chosen.
    again = choose(pool, 40, {"uncertain": 1.0}, space=space, labelled=embeddings[worst : worst + 1])
    assert not any(pick.index < 60 for pick in again)


def test_reasons_take_turns_by_their_shares(digits: tuple[Scans, Scans]) -> None:
    seen, other = digits
    disagreement = np.full(len(other.truth), np.nan)
    disagreement[[3, 30, 300]] = 1.0, 0.5, 0.0
    pool = pool_of(other, disagreement=disagreement)
    options: dict[str, Any] = {"space": Space.of(seen.embeddings), "labels": {str(name): 50 for name in range(9)}}
    picks = choose(pool, 60, EVEN, **options)
    reasons = Counter(pick.reason for pick in picks)
    assert len({pick.index for pick in picks}) == 60
    # Two disagree, and no more: the turns that are left go to the others.
    assert reasons["disagreement"] == 2
    assert reasons["uncertain"] > reasons["novel"] > 0
    # Class 9 has no label.
    balanced = [pool.classes[pick.index] for pick in picks if pick.reason == "balance"]
    assert balanced
    assert set(balanced) == {frozenset({"9"})}
    order = np.random.default_rng(3).permutation(len(other.truth))
    shuffled = pool_of(
        Scans(other.embeddings[order], other.probabilities[order], other.truth[order]),
        ids=[pool.ids[index] for index in order],
        disagreement=disagreement[order],
    )
    again = choose(shuffled, 60, EVEN, **options)
    assert [shuffled.ids[pick.index] for pick in again] == [pool.ids[pick.index] for pick in picks]


# -- rounds


class Traffic:
    """A store with the model's answers to scans."""

    def __init__(self, root: Path, url: str, seen: Scans, scans: Scans) -> None:
        self.store = PredictionStore.open(StoreSettings(url=url, flush_s=0.01), root)
        self.scans = scans
        self.model = Model(digest="d", num_classes=10, space=Space.of(seen.embeddings))
        self.lost: set[str] = set()

    def answer(self, first: int, last: int, at: datetime) -> None:
        for index in range(first, last):
            self.store.log(self.row(index, at + timedelta(milliseconds=index)))
        assert self.store.flush()

    def row(self, index: int, at: datetime) -> PredictionRow:
        scores = self.scans.probabilities[index]
        ranked: list[dict[str, Any]] = [
            {"class": str(place), "score": round(float(scores[place]), 6)} for place in np.argsort(-scores)[:5]
        ]
        return PredictionRow(
            id=f"{index:04}", created_at=at, task="classification", model="m", version="1", digest="d",
            variant="champion", request_id="r", image_sha256=f"image {index}", width=8, height=8, image_bytes=64,
            result={**ranked[0], "ranked": ranked}, top_class=ranked[0]["class"], confidence=ranked[0]["score"],
            embedding=self.scans.embeddings[index].astype(np.float16).tobytes(), latency_ms=1.0,
        )  # fmt: skip

    def ask(self, limit: int = 20, now: datetime = NOW, **settings: Any) -> list[tuple[str, str]]:
        asked = to_label(
            self.store, "classification", LabellingSettings(**settings), self.model,
            limit=limit, has_image=lambda image: image not in self.lost, now=now,
        )  # fmt: skip
        return [(one.id, one.reason) for one in asked]

    def judge(self, id_: str, now: datetime = NOW) -> None:
        index = int(id_)
        truth = str(self.scans.truth[index])
        is_right = truth == str(self.scans.probabilities[index].argmax())
        verdict: Any = ("right", None) if is_right else ("corrected", truth)
        row = FeedbackRow(prediction_id=id_, created_at=now, verdict=verdict[0], label=verdict[1])
        assert self.store.add_feedback(row)

    def judged(self) -> list[Judged]:
        return [
            Judged(
                right=row["verdict"] == "right", reason=row["reason"], draw=row["draw"], draw_images=row["draw_images"]
            )
            for row in self.store.judged(task="classification")
        ]


@pytest.fixture
def traffic(tmp_path: Path, store_url: str, digits: tuple[Scans, Scans]) -> Iterator[Traffic]:
    made = Traffic(tmp_path, store_url, *digits)
    yield made
    made.store.close()


@on_both
def test_a_choice_stays_until_it_is_judged_and_the_day_has_a_budget(traffic: Traffic) -> None:
    traffic.answer(0, 300, NOW)
    first = traffic.ask(per_day=30)
    assert len(first) == 20
    assert Counter(reason for _, reason in first)["random"] == 4
    assert traffic.ask(per_day=30) == first
    for id_, _ in first[:12]:
        traffic.judge(id_)
    second = traffic.ask(per_day=30)
    assert second[:8] == first[12:]
    assert len(second) == 18  # ten more, and today's budget is spent
    assert left_today(traffic.store, "classification", LabellingSettings(per_day=30), NOW) == 0
    assert traffic.ask(per_day=30, limit=100) == second
    tomorrow = traffic.ask(per_day=30, limit=25, now=NOW + timedelta(days=1))
    assert tomorrow[:18] == second
    assert len(tomorrow) == 25
    # What nobody judged in a week is not asked for any more.
    assert not {id_ for id_, _ in second} & {id_ for id_, _ in traffic.ask(now=NOW + timedelta(days=8))}


def test_an_image_that_is_gone_is_not_asked_for(traffic: Traffic) -> None:
    traffic.answer(0, 40, NOW)
    traffic.lost = {f"image {index}" for index in range(0, 40, 2)}
    assert all(int(id_) % 2 for id_, _ in traffic.ask(limit=40))


@on_both
def test_a_shadows_other_answer_is_a_reason(traffic: Traffic) -> None:
    traffic.answer(0, 60, NOW)
    row = ComparisonRow(prediction_id="0007", digest="s", created_at=NOW, agreement=0.0, details={})
    traffic.store.log_comparison(row)
    assert traffic.store.flush()
    assert dict(traffic.ask(random=0.0))["0007"] == "disagreement"


@on_both
def test_two_workers_that_choose_at_once_keep_to_the_budget(traffic: Traffic) -> None:
    traffic.answer(0, 200, NOW)
    traffic.ask(per_day=20)
    rows = traffic.store.selections
    # The other worker had looked before: it takes the slots that are taken.
    spent = rows.spent
    rows.spent = lambda **_: 0  # type: ignore[method-assign]
    traffic.ask(per_day=20, limit=30)
    rows.spent = spent  # type: ignore[method-assign]
    assert len(traffic.ask(per_day=20, limit=100)) == 20


def test_the_random_share_tells_the_accuracy_that_chosen_images_hide(traffic: Traffic) -> None:
    right = traffic.scans.probabilities.argmax(axis=1) == traffic.scans.truth
    for day in range(7):
        now = NOW + timedelta(days=day)
        # Traffic varies from day to day; so does each draw's chance.
        traffic.answer(100 * day, 100 * day + (100 if day % 2 else 60), now)
        for id_, _ in traffic.ask(per_day=40, limit=40, now=now, random=0.5):
            traffic.judge(id_, now)
    answered = [index for day in range(7) for index in range(100 * day, 100 * day + (100 if day % 2 else 60))]
    truth = float(right[answered].mean())
    judged = traffic.judged()
    naive = statistics.mean(one.right for one in judged)
    found = true_accuracy(judged, at_least=30)
    assert found is not None
    assert (found.basis, found.num_labels) == ("random", sum(one.draw is not None for one in judged))
    assert naive < truth - 0.05
    assert found.interval.lower <= truth <= found.interval.upper
    assert abs(found.interval.mean - truth) < abs(naive - truth)


def test_what_is_drawn_by_chance_is_drawn_from_all_and_evenly(traffic: Traffic) -> None:
    for index in range(0, 100, 4):
        traffic.answer(index, index + 1, NOW)
        traffic.judge(f"{index:04}")
    traffic.answer(100, 200, NOW)
    drawn: Counter[str] = Counter()
    for seed in range(40):
        settings = LabellingSettings(random=1.0, seed=seed)
        rng = np.random.default_rng([seed])
        rows = _drawn(traffic.store, "classification", settings, {}, 50, 0, lambda _: True, NOW, rng)
        assert {row.draw_images for row in rows} == {125}
        assert {row.draw_size for row in rows} == {50}
        drawn.update(row.prediction_id for row in rows)
        # Judged already: of the sample, and no work for anybody.
        assert all((row.slot is None) == (int(row.prediction_id) < 100) for row in rows)
    # 40 draws of 50 among 125: each image 16 times, give or take three standard deviations of 3.1.
    assert len(drawn) == 125
    assert min(drawn.values()) > 5
    assert max(drawn.values()) < 28


def test_the_estimate_weighs_draws_by_what_they_stand_for() -> None:
    # 10 of 1,000 images at night, half of them wrong; 10 of 100 by day, all right.
    night = [Judged(right=index % 2 == 0, draw="night", draw_images=1000) for index in range(10)]
    day = [Judged(right=True, draw="day", draw_images=100) for index in range(10)]
    doubted = [Judged(right=False, reason="uncertain")] * 100
    found = true_accuracy([*night, *day, *doubted], at_least=20)
    assert found is not None
    assert found.interval.mean == pytest.approx((1000 * 0.5 + 100) / 1100)
    # Worth (100 + 10)^2 * 10 / (100^2 + 10^2) = 12 labels, not 20.
    assert found.interval.upper - found.interval.lower > 0.4
    assert "drawn by chance" in found.text()
    unasked = true_accuracy([*day, *doubted, *[Judged(right=False)] * 10], at_least=15)
    assert unasked is not None
    assert (unasked.basis, unasked.num_labels, unasked.interval.mean) == ("unasked", 20, 0.5)
    assert true_accuracy([*doubted, *night], at_least=11) is None
