"""What people say about images, in one form for every task, and when two of them contradict each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from visionloop.data.overlay import TrueObject

Truth = tuple[TrueObject, ...]
"""Everything that is in an image: one object without a box, or any number with boxes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One person's word on one answer.

    Attributes:
        image: SHA-256 of the image that was sent.
        width, height: Pixels of the upright image.
        prediction: Id of the answer.
        digest: Of the bundle that answered.
        key: Who says it; empty without a key.
        at: When.
        answered: What the model said.
        confidence: Of the answer, 0 to 1; None where it found nothing.
        said: What is true; None where only "wrong" was said.
        reason: Why people were asked; None where somebody said it unasked.
        draw, draw_images: The draw the answer is of, and among how many images it was made; None where chance did
            not draw it.
    """

    image: str
    width: int
    height: int
    prediction: str
    digest: str
    key: str
    at: datetime
    answered: Truth
    confidence: float | None
    said: Truth | None
    reason: str | None = None
    draw: str | None = None
    draw_images: int | None = None

    @property
    def corrects(self) -> bool:
        """Whether the answer is called wrong."""
        return self.said != self.answered


def read_judgements(rows: Iterable[Mapping[str, Any]], *, boxes: bool) -> list[Judgement]:
    """Judgements from the rows of `PredictionStore.judged`; what says nothing of the task's kind is left out.

    Args:
        rows: One a word.
        boxes: Whether the task's objects have boxes.
    """
    found: list[Judgement] = []
    for row in rows:
        answered = _answer(row["result"], boxes=boxes)
        if answered is None:
            continue
        said: Truth | None = None
        if row["verdict"] == "right":
            said = answered
        elif row["verdict"] == "corrected":
            said = _label(row["label"], boxes=boxes)
            if said is None:
                continue
        found.append(
            Judgement(
                image=row["image_sha256"],
                width=row["width"],
                height=row["height"],
                prediction=row["prediction_id"],
                digest=row["digest"],
                key=row["key_id"] or "",
                at=row["created_at"],
                answered=answered,
                confidence=row["confidence"],
                said=said,
                reason=row.get("reason"),
                draw=row.get("draw"),
                draw_images=row.get("draw_images"),
            )
        )
    return found


def agree(one: Truth, other: Truth, iou: float) -> bool:
    """Whether both say the same: the same names, and boxes that overlap by at least `iou` pair by pair."""
    if sorted(item.name for item in one) != sorted(item.name for item in other):
        return False
    left = list(other)
    for item in one:
        partners = [candidate for candidate in left if candidate.name == item.name]
        best = max(partners, key=lambda candidate: _overlap(item, candidate), default=None)
        if best is None or _overlap(item, best) < iou:
            return False
        left.remove(best)
    return True


def contradict(one: Judgement, other: Judgement, iou: float) -> bool:
    """Whether two words on the same image cannot both be right.

    "Wrong" without a label contradicts whoever says that just that answer is true.
    """
    if one.said is not None and other.said is not None:
        return not agree(one.said, other.said, iou)
    for silent, speaker in ((one, other), (other, one)):
        if silent.said is None and speaker.said is not None:
            return agree(silent.answered, speaker.said, iou)
    return False


def by_image(judgements: Iterable[Judgement]) -> dict[str, list[Judgement]]:
    """Judgements by image, oldest first, images in order of hash."""
    groups: dict[str, list[Judgement]] = {}
    for judgement in sorted(judgements, key=lambda item: (item.image, item.at, item.key, item.prediction)):
        groups.setdefault(judgement.image, []).append(judgement)
    return groups


def best_word(words: Sequence[Judgement]) -> Judgement | None:
    """Of words that do not contradict each other the latest correction, else the latest confirmation."""
    speaking = [word for word in words if word.said is not None]
    return max(speaking, key=lambda word: (word.corrects, word.at, word.key), default=None)


def _answer(result: Any, *, boxes: bool) -> Truth | None:
    if not isinstance(result, Mapping):
        return None
    if boxes:
        found = result.get("detections")
        return _label(found, boxes=True)
    return _label(result.get("class"), boxes=False)


def _label(value: Any, *, boxes: bool) -> Truth | None:
    if not boxes:
        return (TrueObject(name=value),) if isinstance(value, str) and value else None
    if not isinstance(value, list):
        return None
    return tuple(
        TrueObject(name=str(item["class"]), box_xyxy=tuple(float(number) for number in item["box_xyxy"]))  # type: ignore[arg-type]
        for item in value
    )


def _overlap(one: TrueObject, other: TrueObject) -> float:
    """Intersection over union; 1 where neither has a box."""
    if one.box_xyxy is None or other.box_xyxy is None:
        return float(one.box_xyxy is other.box_xyxy)
    (a1, b1, a2, b2), (c1, d1, c2, d2) = one.box_xyxy, other.box_xyxy
    width, height = min(a2, c2) - max(a1, c1), min(b2, d2) - max(b1, d1)
    shared = max(0.0, width) * max(0.0, height)
    union = (a2 - a1) * (b2 - b1) + (c2 - c1) * (d2 - d1) - shared
    return shared / union if union > 0 else 0.0
