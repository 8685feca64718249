"""Label Studio's JSON: tasks with pre-annotations, the labelling configuration, and exports with annotations.

Result types: `choices` for a class, `rectanglelabels` for boxes, in percent of the image's sides.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import quoteattr

from visionloop.core.xml import parse_xml
from visionloop.data.findings import Finding
from visionloop.monitoring.exchange.records import Fractions, Labelled, Read, ToLabel, answered_boxes, error, inside

MAX_EXPORT_BYTES = 512 << 20
"""Of an export; with images embedded it is large."""
_MAX_CONFIG_BYTES = 1 << 20
_CONTROLS = {"Choices": False, "RectangleLabels": True}
"""Tags by which people label, and whether they give boxes."""
_LABEL_TAGS = ("Choice", "Label")


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What a labelling configuration asks of an image.

    Attributes:
        from_name, to_name: Names of the control and of its image.
        value: Key of a task's data that holds the image.
        boxes: Whether people draw boxes.
        classes: In the configuration's order.
    """

    from_name: str
    to_name: str
    value: str
    boxes: bool
    classes: tuple[str, ...]


def labelling_config(classes: Sequence[str], *, boxes: bool) -> str:
    """The labelling configuration (XML) of a project for such tasks."""
    tag, label = ("RectangleLabels", "Label") if boxes else ("Choices", "Choice")
    more = "" if boxes else ' choice="single" showInline="true"'
    lines = [f"    <{label} value={quoteattr(name)}/>" for name in classes]
    return "\n".join(
        [
            "<View>",
            '  <Image name="image" value="$image"/>',
            f'  <{tag} name="label" toName="image"{more}>',
            *lines,
            f"  </{tag}>",
            "</View>",
            "",
        ]
    )


def read_config(text: str) -> list[Control]:
    """The controls of a labelling configuration that label an image as we can.

    Raises:
        ValueError: no XML we accept.
    """
    root = parse_xml(text.encode(), max_bytes=_MAX_CONFIG_BYTES)
    images = {item.get("name", ""): item.get("value", "").removeprefix("$") for item in root.iter("Image")}
    found: list[Control] = []
    for tag, boxes in _CONTROLS.items():
        for item in root.iter(tag):
            name, target = item.get("name", ""), item.get("toName", "")
            if name and target in images:
                labels = [child.get("value", "") for child in item.iter() if child.tag in _LABEL_TAGS]
                control = Control(
                    from_name=name, to_name=target, value=images[target], boxes=boxes, classes=tuple(labels)
                )
                found.append(control)
    return found


def results(
    result: Mapping[str, Any],
    width: int,
    height: int,
    *,
    from_name: str = "label",
    to_name: str = "image",
    classes: Collection[str] | None = None,
) -> tuple[list[dict[str, Any]], float | None]:
    """An answer as Label Studio's results, and its score: the class's probability, or the mean of the boxes'.

    Args:
        result: As the API gave it.
        width, height: Pixels of the upright image.
        from_name, to_name: Of the configuration.
        classes: Those it has; others are left out. None takes all.
    """
    about = {"from_name": from_name, "to_name": to_name}
    boxes = answered_boxes(result)
    if boxes is None:
        name, score = str(result["class"]), float(result["score"])
        if classes is not None and name not in classes:
            return [], None
        return [{**about, "id": "class", "type": "choices", "value": {"choices": [name]}}], score
    taken = [box for box in boxes if classes is None or box["class"] in classes]
    items = [_rectangle(box, index, width, height) | about for index, box in enumerate(taken)]
    return items, sum(float(box["score"]) for box in taken) / len(taken) if taken else None


def _rectangle(box: Mapping[str, Any], index: int, width: int, height: int) -> dict[str, Any]:
    left, top, right, bottom = (float(value) for value in box["box_xyxy"])
    value = {
        "x": 100 * left / width,
        "y": 100 * top / height,
        "width": 100 * (right - left) / width,
        "height": 100 * (bottom - top) / height,
        "rotation": 0,
        "rectanglelabels": [str(box["class"])],
    }
    return {
        "id": f"box-{index}",
        "type": "rectanglelabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": value,
        "score": float(box["score"]),
    }


def task(item: ToLabel, image: str | None = None) -> dict[str, Any]:
    """One task to import into Label Studio; identity travels in `data`.

    Args:
        item: The image and its answer.
        image: Where Label Studio finds it; None embeds it.
    """
    found, score = results(item.result, item.width, item.height)
    kind = "png" if item.suffix == ".png" else "jpeg"
    embedded = f"data:image/{kind};base64,{base64.b64encode(item.image).decode()}" if image is None else image
    version = f"{item.model} {item.version}"
    return {
        "data": {
            "image": embedded,
            "prediction_id": item.prediction_id,
            "image_sha256": item.image_sha256,
            "task": item.task,
            "model_version": version,
            "reason": item.reason,
        },
        "predictions": [{"model_version": version, "score": score, "result": found}],
    }


def read_export(data: bytes, file: str) -> Read:
    """The annotations of an export in the form JSON.

    Args:
        data: The file.
        file: Its name, for findings.
    """
    try:
        if len(data) > MAX_EXPORT_BYTES:
            raise ValueError(f"{len(data):,} bytes, more than {MAX_EXPORT_BYTES:,}")
        tasks = json.loads(data)
    except (ValueError, RecursionError) as problem:
        return _unreadable(file, f"no JSON that is accepted ({problem})")
    if not isinstance(tasks, list) or not all(isinstance(item, dict) for item in tasks):
        return _unreadable(file, "no list of tasks")
    if tasks and all("annotation_id" in item and "data" not in item for item in tasks):
        # It has identity and annotator, but not what was skipped, nor which of several boxes is whose.
        return _unreadable(file, "the form JSON-MIN")
    reader = _Reader(file)
    for place, item in enumerate(tasks):
        reader.take(item, f"task {item.get('id', f'number {place + 1}')}")
    return Read(
        labels=tuple(reader.labels),
        findings=tuple(reader.findings),
        num_skipped=reader.num_skipped,
        num_untouched=reader.num_untouched,
    )


def _unreadable(file: str, found: str) -> Read:
    expected = "Label Studio's export in the form JSON (not JSON-MIN, not CSV)"
    finding = error("unreadable", file, "", found, expected, "export again in that form")
    return Read(labels=(), findings=(finding,), num_skipped=0, num_untouched=0)


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file
        self.labels: list[Labelled] = []
        self.findings: list[Finding] = []
        self.num_skipped = self.num_untouched = 0

    def take(self, task: Mapping[str, Any], record: str) -> None:
        data, annotations = task.get("data"), task.get("annotations")
        id_ = data.get("prediction_id") if isinstance(data, Mapping) else None
        if not isinstance(data, Mapping) or not isinstance(id_, str):
            self._find("no_identity", record, "its data has no prediction_id", "a task of `visionloop label export`")
            return
        if not isinstance(annotations, list):
            self._find("no_annotations", record, "it has no list of annotations", "an export in the form JSON")
            return
        speaking = 0
        for place, annotation in enumerate(annotations):
            if not isinstance(annotation, Mapping):
                self._find("bad_annotation", record, "an annotation is no object", "an export in the form JSON")
                continue
            where = f"{record}, annotation {annotation.get('id', place + 1)}"
            speaking += 1
            if annotation.get("was_cancelled"):
                self.num_skipped += 1
                continue
            try:
                name, boxes = _said(annotation.get("result"))
            except ValueError as problem:
                self._find("bad_annotation", where, str(problem), "one choice, or upright boxes with one label each")
                continue
            sha256 = data.get("image_sha256")
            self.labels.append(
                Labelled(
                    prediction_id=id_,
                    image_sha256=sha256 if isinstance(sha256, str) else None,
                    annotator=f"label-studio/{_annotator(annotation)}",
                    at=_moment(annotation.get("updated_at") or annotation.get("created_at")),
                    class_name=name,
                    boxes=boxes,
                    record=where,
                )
            )
        self.num_untouched += not speaking

    def _find(self, rule: str, record: str, found: str, expected: str) -> None:
        action = "correct it in Label Studio and export again, or leave it out with --partial"
        self.findings.append(error(rule, self._file, record, found, expected, action))


def _annotator(annotation: Mapping[str, Any]) -> str:
    """The number of whoever completed it: an address would be kept with the label for ever."""
    by = annotation.get("completed_by")
    if isinstance(by, Mapping):
        by = by.get("id")
    return str(by) if isinstance(by, int) else "unknown"


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _said(result: Any) -> tuple[str | None, tuple[tuple[str, Fractions], ...]]:
    """The class of an annotation's results, or its boxes.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(result, list):
        raise ValueError("it has no list of results")
    names: list[str] = []
    boxes: list[tuple[str, Fractions]] = []
    for item in result:
        kind = item.get("type") if isinstance(item, Mapping) else None
        value = item.get("value") if isinstance(item, Mapping) else None
        if kind not in ("choices", "rectanglelabels") or not isinstance(value, Mapping):
            raise ValueError(f"a result of type {kind!r:.60}, where choices or rectanglelabels are understood")
        chosen = value.get(kind)
        if not isinstance(chosen, list) or len(chosen) != 1 or not isinstance(chosen[0], str) or not chosen[0]:
            raise ValueError(f"{kind} {chosen!r:.80}, where one name belongs")
        if kind == "choices":
            names += chosen
        else:
            boxes.append((chosen[0], _fractions(item, value)))
    if len(names) > 1 or (names and boxes):
        raise ValueError("more than one choice, or a choice beside boxes")
    return (names[0] if names else None), tuple(boxes)


def _fractions(item: Mapping[str, Any], value: Mapping[str, Any]) -> Fractions:
    try:
        left, top, width, height = (float(value[key]) / 100 for key in ("x", "y", "width", "height"))
        turned = float(value.get("rotation") or 0), float(item.get("image_rotation") or 0)
    except (KeyError, TypeError, ValueError):
        raise ValueError("a box without four numbers") from None
    if any(turned):
        raise ValueError(f"a box or image turned by {max(turned, key=abs):g} degrees; boxes here are upright")
    return inside((left, top, left + width, top + height))
