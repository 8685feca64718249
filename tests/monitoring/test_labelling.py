from __future__ import annotations

from typing import Any

import pytest

from visionloop.monitoring.labelling import most_useful, uncertainty
from visionloop.monitoring.store import Unjudged


def ranked(*scores: float) -> dict[str, Any]:
    return {"ranked": [{"class": str(place), "score": score} for place, score in enumerate(scores)]}


def boxes(*scores: float) -> dict[str, Any]:
    return {"detections": [{"class": "a", "score": score} for score in scores]}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (ranked(0.5, 0.5), 1.0),
        (ranked(0.9, 0.1), 0.2),
        (ranked(1.0, 0.0), 0.0),
        (ranked(0.9), 0.2),  # one class was asked for: the rest has 0.1
        (ranked(0.3), 1.0),
        (boxes(0.99, 0.5), 1.0),
        (boxes(0.9), 0.2),
        (boxes(), 0.0),
        ({}, 0.0),
    ],
)
def test_uncertainty_is_the_margin_or_the_least_sure_box(result: dict[str, Any], expected: float) -> None:
    assert uncertainty(result) == pytest.approx(expected)


def candidate(id_: str, score: float, *, agreement: float | None = None, image: str = "") -> Unjudged:
    return Unjudged(id=id_, image_sha256=image or id_, result=ranked(score), agreement=agreement)


def test_the_least_sure_come_first_and_a_shadows_doubt_counts() -> None:
    found = [candidate("sure", 0.99), candidate("doubted", 0.98, agreement=0.1), candidate("unsure", 0.6)]
    picks = most_useful(found, 10)
    assert [(pick.id, pick.reason) for pick in picks] == [
        ("doubted", "disagreement"),
        ("unsure", "uncertain"),
        ("sure", "uncertain"),
    ]
    assert [pick.usefulness for pick in picks] == pytest.approx([0.9, 0.8, 0.02])


def test_every_fifth_is_drawn_by_chance_and_drawn_again_alike() -> None:
    found = [candidate(f"{place:03}", 0.5 + place / 400) for place in range(200)]
    picks = most_useful(found, 20)
    assert [pick.reason for pick in picks] == (["uncertain"] * 4 + ["random"]) * 4
    assert [pick.id for pick in picks if pick.reason == "uncertain"][:4] == ["000", "001", "002", "003"]
    # Chance reaches far behind what is most uncertain.
    assert max(int(pick.id) for pick in picks if pick.reason == "random") > 60
    assert most_useful(found[::-1], 20) == picks


def test_an_image_is_picked_once_and_all_are_when_there_are_few() -> None:
    found = [candidate("a", 0.6, image="x"), candidate("b", 0.6, image="x"), *(candidate(c, 0.7) for c in "cdefg")]
    picks = most_useful(found, 50)
    assert sorted(pick.id for pick in picks) == ["a", "c", "d", "e", "f", "g"]
