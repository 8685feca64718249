from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from visionloop.data.overlay import Overlay, TrueObject
from visionloop.data.settings import SplitSettings
from visionloop.retraining.collect import Collected, collect
from visionloop.retraining.judgements import Judgement, Truth, agree, read_judgements
from visionloop.retraining.settings import LabelSettings

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
EMPTY = Overlay(Path("nowhere"), {})
DIGITS = tuple("0123456789")


def sha(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def one(name: str) -> Truth:
    return (TrueObject(name=name),)


def word(
    name: object, said: str | None, *, key: str = "ann", answered: str = "7", minutes: float = 0, sure: float = 0.6
) -> Judgement:
    """`key` says that the image called `name` is a `said`; None only calls the answer wrong."""
    return Judgement(
        image=sha(name),
        width=8,
        height=8,
        prediction=f"{name}-{key}",
        digest="d",
        key=key,
        at=T0 + timedelta(minutes=minutes),
        answered=one(answered),
        confidence=sure,
        said=None if said is None else one(said),
    )


def gather(words: Sequence[Judgement], before: Overlay = EMPTY, *, known: Any = None, **changes: Any) -> Collected:
    return collect(
        words,
        before,
        LabelSettings(**changes),
        SplitSettings(),
        known=known or {},
        classes=DIGITS,
        find=lambda image: None if image == sha("lost") else Path(f"{image}.png"),
    )


def then(collected: Collected) -> Overlay:
    return Overlay(Path("nowhere"), {item.sha256: item for item in collected.images})


def held(collected: Collected) -> dict[str, str]:
    return {item.image: item.reason for item in collected.held}


def test_confirmed_and_corrected_answers_become_labels_and_wrong_ones_do_not() -> None:
    found = gather([word("a", "7"), word("b", "3"), word("c", None), word("lost", "7"), word("d", "seven")])
    labels = {item.sha256: item.objects for item in found.images}
    assert labels == {sha("a"): one("7"), sha("b"): one("3")}
    assert (found.added, found.num_unlabelled) == (2, 1)
    assert held(found) == {sha("lost"): "no_image", sha("d"): "unknown_class"}
    assert found.summary().endswith("held back: 1 no_image, 1 unknown_class; only called wrong: 1")


def test_what_is_said_of_the_dataset_s_own_images_is_counted_and_changes_nothing() -> None:
    known = {sha("a"): one("7"), sha("b"): one("7")}
    found = gather([word("a", "7"), word("b", "3"), word("c", "1")], known=known)
    assert [item.sha256 for item in found.images] == [sha("c")]
    assert (found.num_known, found.num_denied) == (2, 1)
    assert found.summary().endswith("on the dataset's own images: 2 (1 described differently)")


def test_the_same_feedback_again_changes_nothing() -> None:
    words = [word(number, "7") for number in range(30)]
    first = gather(words)
    again = gather(words, then(first))
    assert again.images == first.images
    assert (again.added, again.changed, again.withdrawn) == (0, 0, ())
    # What the store has forgotten stays.
    assert gather([], then(first)).images == first.images


def test_parts_are_stable_and_recent_ones_get_their_share() -> None:
    words = [word(number, "7") for number in range(400)]
    few, all_ = gather(words[:100], recent_share=0.2), gather(words, recent_share=0.2)
    parts = {item.sha256: item.part for item in all_.images}
    assert all(parts[item.sha256] == item.part for item in few.images)
    assert 0.14 < sum(part == "recent" for part in parts.values()) / 400 < 0.26
    # Another share later moves nobody who is in.
    later = gather(words, then(few), recent_share=0.6)
    assert {item.sha256: item.part for item in later.images}.items() >= {i.sha256: i.part for i in few.images}.items()


@pytest.mark.parametrize(
    "words",
    [
        [word("a", "7", key="ann"), word("a", "3", key="bob", minutes=1)],
        [word("a", "7", key="ann"), word("a", None, key="bob", minutes=1)],
        [word("a", "7", key=""), word("a", "1", key="", minutes=5)],
    ],
    ids=["two labels", "right and wrong", "nobody twice"],
)
def test_a_contradiction_is_held_back_and_never_chosen(words: list[Judgement]) -> None:
    found = gather(words)
    assert found.images == ()
    assert [(item.reason, item.keys) for item in found.held] == [("conflict", tuple(sorted({w.key for w in words})))]
    assert "says 7" in found.held[0].text


def test_wrong_and_a_correction_agree() -> None:
    found = gather([word("a", None, key="bob"), word("a", "3", key="ann", minutes=1)])
    assert [item.objects for item in found.images] == [one("3")]


def test_a_label_that_is_contradicted_later_is_withdrawn_and_a_mended_one_changed() -> None:
    first = then(gather([word("a", "3"), word("b", "4")]))
    second = gather([word("a", "3"), word("a", "5", key="bob", minutes=9), word("b", "5", minutes=9)], first)
    assert second.withdrawn == (sha("a"),)
    assert (second.changed, [item.objects for item in second.images]) == (1, [one("5")])


def test_boxes_are_compared_by_name_and_overlap() -> None:
    def box(name: str, *corners: float) -> TrueObject:
        return TrueObject(name=name, box_xyxy=corners)  # type: ignore[arg-type]

    scene = (box("a", 0, 0, 10, 10), box("b", 20, 20, 30, 30))
    assert agree(scene, (box("b", 20, 20, 30, 29), box("a", 0, 0, 10, 9)), 0.5)
    assert not agree(scene, (box("a", 5, 5, 15, 15), box("b", 20, 20, 30, 30)), 0.5)
    assert not agree(scene, scene[:1], 0.5)
    assert not agree(scene, (box("b", 0, 0, 10, 10), box("a", 20, 20, 30, 30)), 0.5)
    assert agree((), (), 0.5)


def test_rows_of_both_kinds_are_read() -> None:
    row = {
        "image_sha256": sha("a"), "width": 8, "height": 8, "prediction_id": "p", "digest": "d", "key_id": "",
        "created_at": T0, "confidence": 0.9, "label": None,
    }  # fmt: skip
    boxes = [{"class": "7", "box_xyxy": [1, 2, 3, 4], "score": 0.9, "class_id": 7}]
    rows = [
        row | {"verdict": "right", "result": {"class": "7"}},
        row | {"verdict": "corrected", "label": "3", "result": {"class": "7"}},
        row | {"verdict": "corrected", "label": [], "result": {"class": "7"}},
    ]
    assert [w.said for w in read_judgements(rows, boxes=False)] == [one("7"), one("3")]
    rows = [
        row | {"verdict": "right", "result": {"detections": boxes}},
        row | {"verdict": "corrected", "label": [], "result": {"detections": boxes}},
        row | {"verdict": "wrong", "result": {"detections": boxes}},
        row | {"verdict": "right", "result": {"class": "7"}},
    ]
    found = read_judgements(rows, boxes=True)
    assert [w.said for w in found] == [(TrueObject(name="7", box_xyxy=(1.0, 2.0, 3.0, 4.0)),), (), None]


def honest(count: int, *, key: str = "ann", start: int = 0) -> list[Judgement]:
    return [word(number, "7", key=key, minutes=number) for number in range(start, start + count)]


def test_a_burst_against_what_was_known_holds_one_key_back_and_spares_the_others() -> None:
    poison = [word(number, "1", key="eve", minutes=1000 + number / 60) for number in range(40)]
    fresh = [word(f"new{number}", "1", key="eve", minutes=1001) for number in range(5)]
    found = gather([*honest(40), *poison, *fresh])
    assert set(found.suspicious) == {"eve"}
    assert [(item.key, item.kind) for item in found.suspects] == [("eve", "burst")]
    assert {item.sha256: item.objects for item in found.images} == {sha(n): one("7") for n in range(40)}
    assert held(found) == {sha(f"new{number}"): "burst" for number in range(5)}
    # A person may say otherwise; then the contradictions wait, and what nobody contradicts is taken.
    trusted = gather([*honest(40), *poison, *fresh], trusted_keys=("eve",))
    assert held(trusted) == {sha(number): "conflict" for number in range(40)}
    assert len(trusted.images) == 5


def test_a_burst_against_the_dataset() -> None:
    known = {sha(number): one("7") for number in range(12)}
    poison = [word(number, "1", key="eve", minutes=number) for number in range(12)]
    found = gather([*poison, word("new", "1", key="eve", minutes=30)], known=known)
    assert (held(found), found.num_known) == ({sha("new"): "burst"}, 0)
    # Slowly, or seldom, is no burst: people err.
    slow = [word(number, "1", key="eve", minutes=600 * number) for number in range(12)]
    assert gather([*slow, word("new", "1", key="eve")], known=known).suspicious == {}


def test_a_key_that_calls_sure_answers_wrong_as_nobody_else_does() -> None:
    others = [word(f"{key}{n}", "7", key=key, sure=0.99) for key in ("ann", "bob") for n in range(20)]
    odd = [word(f"eve{n}", "1", key="eve", sure=0.99) for n in range(20)]
    found = gather([*others, *odd])
    assert set(found.suspicious) == {"eve"}
    assert set(held(found).values()) == {"outlier"}
    # When the world has changed, everybody corrects.
    changed = [word(f"{key}{n}", "1", key=key, sure=0.99) for key in ("ann", "bob") for n in range(20)]
    assert gather([*changed, *odd]).suspicious == {}
    assert gather([*others, *odd], outlier_confidence=None).suspicious == {}


def test_one_key_gives_no_more_than_its_share_and_its_day() -> None:
    flood = [word(f"eve{n}", "7", key="eve", minutes=n / 100) for n in range(300)]
    rest = [word(f"{key}{n}", "7", key=key) for key in ("ann", "bob") for n in range(30)]
    found = gather([*flood, *rest])
    assert set(held(found).values()) == {"key_share"}
    assert sum(item.judged_by[0] == "eve" for item in found.images) == 60
    # The oldest are taken, and nobody's share is asked of the only ones there are.
    assert sha("eve0") in {item.sha256 for item in found.images}
    assert len(gather(flood).images) == 300
    rated = gather(flood, max_key_per_day=100)
    assert (len(rated.images), set(held(rated).values())) == (100, {"key_rate"})
    assert gather(flood, then(rated), max_key_per_day=100).added == 0
    assert len(gather([word(n, "7", key="") for n in range(300)], max_key_per_day=100).images) == 300


def test_a_distrusted_key_is_taken_out_of_what_was_gathered_before() -> None:
    first = then(gather([word("a", "7", key="eve"), word("b", "7")]))
    found = gather([word("c", "7", key="eve")], first, distrusted_keys=("eve",))
    assert found.withdrawn == (sha("a"),)
    assert [item.sha256 for item in found.images] == [sha("b")]
    assert held(found) == {sha("c"): "distrusted"}
