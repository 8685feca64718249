"""Labels from a labelling tool as feedback: checked against the answers they are about, and against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any

from visionloop.data.findings import Finding
from visionloop.monitoring.exchange.records import Labelled, Read, error
from visionloop.monitoring.store import FeedbackRow
from visionloop.retraining.judgements import Judgement, contradict, read_judgements

_LEAVE = "correct the file, or leave it out with --partial"
_SAME_PX = 1.0
"""A box that lies within a pixel of the answered one is the answered one: percent and pixels round."""

Lookup = Callable[[str], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two people whose words on one answer cannot both be true; retraining holds the image back until they agree.

    Attributes:
        prediction_id: Of the answer.
        keys: Theirs.
        text: For people.
    """

    prediction_id: str
    keys: tuple[str, str]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What a file means for the store, before anything is written.

    Attributes:
        rows: Feedback to be written.
        num_unchanged: Labels that are stored already, word for word.
        conflicts: Among the file's labels and what was said before.
        findings: What cannot be taken.
        num_skipped: Annotations that people cancelled.
        num_untouched: Images that nobody annotated, or that are as the model answered and nobody surely looked at.
    """

    rows: tuple[FeedbackRow, ...]
    num_unchanged: int
    conflicts: tuple[Conflict, ...]
    findings: tuple[Finding, ...]
    num_skipped: int
    num_untouched: int


def take_in(
    read: Read,
    file: str,
    *,
    find: Lookup,
    has_boxes: Callable[[str], bool],
    classes: Callable[[str], Sequence[str] | None],
    box_iou: float,
    now: datetime,
) -> Intake:
    """Judge a file's labels; writes nothing. The same file gives the same rows, whenever it is read.

    Args:
        read: What the file holds.
        file: Its name, for findings.
        find: The stored prediction of an id, with its feedback; or None.
        has_boxes: Whether a task's objects have boxes.
        classes: The names that may be said of a task; None where that is not known.
        box_iou: Overlap from which two people's boxes are the same box.
        now: With a time zone; labels dated later count from now.
    """
    findings = list(read.findings)
    taken: dict[tuple[str, str], tuple[FeedbackRow, Labelled]] = {}
    answers: dict[str, Mapping[str, Any]] = {}
    num_untouched = read.num_untouched
    for label in read.labels:
        answer = answers.get(label.prediction_id) or find(label.prediction_id)
        if answer is None:
            findings.append(_unknown(label, file))
            continue
        answers[label.prediction_id] = answer
        try:
            row = _feedback(label, answer, has_boxes(answer["task"]), classes(answer["task"]), now)
        except ValueError as problem:
            expected = "a label that fits the prediction it names"
            findings.append(error("unfit_label", file, label.record, str(problem), expected, _LEAVE))
            continue
        if row.verdict == "right" and not label.looked_at:
            num_untouched += 1
            continue
        place = (label.prediction_id, label.annotator)
        before = taken.get(place)
        if before is not None and _word(before[0]) != _word(row):
            found = f"{label.annotator} says something else in {before[1].record}"
            finding = error("two_words", file, label.record, found, "one word of a person on an image", _LEAVE)
            findings.append(finding)
            del taken[place]
            continue
        taken[place] = (row, label)
    rows = [row for row, _ in taken.values()]
    new = [row for row in rows if not _is_stored(row, answers[row.prediction_id])]
    conflicts = _conflicts(rows, answers, has_boxes, box_iou)
    return Intake(
        rows=tuple(new),
        num_unchanged=len(rows) - len(new),
        conflicts=tuple(conflicts),
        findings=tuple(findings),
        num_skipped=read.num_skipped,
        num_untouched=num_untouched,
    )


def _unknown(label: Labelled, file: str) -> Finding:
    return error(
        "unknown_prediction",
        file,
        label.record,
        f"there is no prediction {label.prediction_id!r:.80}",
        "the id of a prediction that the store still has (serving.store.retention_days)",
        "export the images again, or leave it out with --partial",
    )


def _feedback(
    label: Labelled, answer: Mapping[str, Any], boxes: bool, classes: Sequence[str] | None, now: datetime
) -> FeedbackRow:
    if label.image_sha256 not in (None, answer["image_sha256"]):
        raise ValueError("the image's hash is another than the prediction's")
    names = [name for name, _ in label.boxes] if boxes else [label.class_name]
    if not boxes and (label.class_name is None or label.boxes):
        raise ValueError("no class is chosen" if not label.boxes else f"boxes, where {answer['task']} has one class")
    if boxes and label.class_name is not None:
        raise ValueError(f"a class of the whole image, where {answer['task']} has boxes")
    unknown = sorted({str(name) for name in names} - set(classes)) if classes is not None else []
    if unknown:
        raise ValueError(f"the model has no class {unknown[0]!r:.80}")
    said: Any = _boxes(label, answer) if boxes else label.class_name
    is_right = _same_boxes(said, answer["result"].get("detections")) if boxes else said == answer["result"].get("class")
    at = min(label.at or now, now)
    return FeedbackRow(
        prediction_id=label.prediction_id,
        created_at=at,
        verdict="right" if is_right else "corrected",
        label=None if is_right else said,
        key_id=label.annotator,
    )


def _boxes(label: Labelled, answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    width, height = answer["width"], answer["height"]
    found = []
    for name, (left, top, right, bottom) in label.boxes:
        box = [round(left * width, 2), round(top * height, 2), round(right * width, 2), round(bottom * height, 2)]
        if box[0] >= box[2] or box[1] >= box[3]:
            raise ValueError(f"a box of {name!r:.80} has no area in pixels")
        found.append({"class": name, "box_xyxy": box})
    return found


def _same_boxes(said: Sequence[Mapping[str, Any]], answered: Sequence[Mapping[str, Any]] | None) -> bool:
    left = list(answered or ())
    for box in said:
        twin = next((other for other in left if _same(box, other)), None)
        if twin is None:
            return False
        left.remove(twin)
    return not left


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    pairs = zip(one["box_xyxy"], other["box_xyxy"], strict=True)
    return bool(one["class"] == other["class"] and all(abs(a - b) <= _SAME_PX for a, b in pairs))


def _word(row: FeedbackRow) -> tuple[str, Any]:
    return row.verdict, row.label


def _is_stored(row: FeedbackRow, answer: Mapping[str, Any]) -> bool:
    return any(
        said["key_id"] == row.key_id and (said["verdict"], said["label"]) == _word(row) for said in answer["feedback"]
    )


def _conflicts(
    rows: Sequence[FeedbackRow],
    answers: Mapping[str, Mapping[str, Any]],
    has_boxes: Callable[[str], bool],
    box_iou: float,
) -> list[Conflict]:
    """Who contradicts whom, of the file's labels and of what was said before; the same key's old word is replaced."""
    found: list[Conflict] = []
    for id_, answer in sorted(answers.items()):
        new = {row.key_id or "": row for row in rows if row.prediction_id == id_}
        if not new:
            continue
        old = [said for said in answer["feedback"] if (said["key_id"] or "") not in new]
        said = [*old, *({"key_id": key, "verdict": row.verdict, "label": row.label, "created_at": row.created_at}
                        for key, row in new.items())]  # fmt: skip
        words = read_judgements(
            ({**answer, **one, "prediction_id": id_} for one in said), boxes=has_boxes(answer["task"])
        )
        found += [
            Conflict(prediction_id=id_, keys=(one.key, other.key), text=f"{_speaker(one)}, and {_speaker(other)}")
            for one, other in combinations(sorted(words, key=lambda word: (word.at, word.key)), 2)
            if contradict(one, other, box_iou) and {one.key, other.key} & new.keys()
        ]
    return found


def _speaker(word: Judgement) -> str:
    names = ", ".join(sorted(item.name for item in word.said or ())) or "nothing"
    return f"{word.key or 'somebody without a key'} " + (f"says {names}" if word.said is not None else "says wrong")
