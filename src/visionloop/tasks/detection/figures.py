"""Pictures of a detection's evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.figure import Figure as Canvas

from visionloop.core.plots import PALETTE, class_color, figure_png, figure_style
from visionloop.core.tiles import Outline, Tile, make_tile, tile_sheet
from visionloop.task import Evaluation, Example, Figure
from visionloop.tasks.detection.task import Detections

_MAX_NAMED = 40


def all_figures(evaluation: Evaluation, examples: Sequence[Example], classes: Sequence[str]) -> list[Figure]:
    """Precision-recall curves, AP by class, counts at the operating point, worst images."""
    figures = [
        _figure("pr_curves", "Precision against recall", _CURVES, lambda: _curves(evaluation, classes)),
        _figure("ap_by_class", "Average precision by class", _AP, lambda: _bars(evaluation)),
    ]
    if examples:
        tiles = [_tile(item, classes) for item in examples]
        figures.append(
            Figure(name="worst", title="Images with most mistakes", caption=_WORST, png=tile_sheet(tiles), tiles=tiles)
        )
    return figures


_CURVES = "At IoU 0.5, over all score thresholds; the area under a curve is the class's AP at 0.5."
_ROOM = 0.12
"""Average precision from which a bar is long enough for its number."""
_AP = "Dark: mean over IoU 0.5 to 0.95, which also asks for exact boxes. Light: at IoU 0.5. The weakest classes first."
_WORST = (
    "Solid: what was found at the operating point, in the class's colour. White dashes: the truth. Below each: what "
    "was found, then what is there."
)


def _figure(name: str, title: str, caption: str, make: Callable[[], Canvas]) -> Figure:
    with figure_style():
        return Figure(name=name, title=title, caption=caption, png=figure_png(make()))


def _curves(evaluation: Evaluation, classes: Sequence[str]) -> Canvas:
    canvas = Canvas(figsize=(5.6, 4.2), layout="constrained")
    axes: Any = canvas.subplots()
    for index, name in enumerate(classes):
        rows = [row for row in evaluation.tables["pr_curve"] if row["class"] == name]
        colour = PALETTE[index % len(PALETTE)]
        axes.plot([row["recall"] for row in rows], [row["precision"] for row in rows], color=colour, label=name)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    if len(classes) <= 20:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(len(classes), 4), fontsize=8)
    return canvas


def _bars(evaluation: Evaluation) -> Canvas:
    rows = sorted(evaluation.per_class, key=lambda row: row["ap"] or 0.0)[:_MAX_NAMED]
    canvas = Canvas(figsize=(5.6, max(4.2, 1.2 + 0.34 * len(rows))), layout="constrained")
    axes: Any = canvas.subplots()
    names = [f"{row['class']} ({row['support']})" for row in rows]
    axes.barh(names, [row["ap_50"] or 0.0 for row in rows], color="#bfdbfe", label="AP at IoU 0.5")
    axes.barh(names, [row["ap"] or 0.0 for row in rows], color=PALETTE[0], height=0.5, label="AP")
    for place, row in enumerate(rows):
        if row["ap"] is None:
            continue
        # A short bar has no room for its number.
        inside = row["ap"] > _ROOM
        x = row["ap"] / 2 if inside else (row["ap_50"] or 0.0) + 0.02
        style = {"ha": "center", "color": "white"} if inside else {"ha": "left"}
        axes.text(x, place, f"{row['ap']:.3f}", va="center", fontsize=8, **style)
    axes.set(xlabel="average precision", xlim=(0, 1.02))
    axes.invert_yaxis()
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return canvas


def _tile(item: Example, classes: Sequence[str]) -> Tile:
    prediction = item.prediction
    assert isinstance(prediction, Detections)
    found = zip(prediction.boxes_xyxy, prediction.class_ids, prediction.confident, strict=True)
    outlines = [_outline(box.tolist(), class_color(int(class_id))) for box, class_id, confident in found if confident]
    outlines += [
        Outline(box_xyxy=truth.box_xyxy, color="#ffffff", dashed=True)
        for truth in item.sample.objects
        if truth.box_xyxy is not None
    ]
    said = _counted(prediction.class_ids[prediction.confident].tolist(), classes)
    true = _counted([truth.class_id for truth in item.sample.objects], classes)
    return make_tile(item.image, said, f"true: {true}", outlines)


def _counted(class_ids: Sequence[int], classes: Sequence[str]) -> str:
    """Names with their counts, such as `4, 7 (2)`: a number before a name would be read as one where that is one."""
    counts = sorted(Counter(class_ids).items())
    return ", ".join(classes[index] + (f" ({count})" if count > 1 else "") for index, count in counts) or "nothing"


def _outline(box: Sequence[float], color: str) -> Outline:
    x1, y1, x2, y2 = box
    return Outline(box_xyxy=(x1, y1, x2, y2), color=color)
