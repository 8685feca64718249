"""Pictures of a detection's evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle

from visionloop.core.plots import PALETTE, figure_png, figure_style
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
        figures.append(_figure("worst", "Images with most mistakes", _WORST, lambda: _worst(examples, classes)))
    return figures


_CURVES = "At IoU 0.5, over all score thresholds; the area under a curve is the class's AP at 0.5."
_AP = "Dark: mean over IoU 0.5 to 0.95, which also asks for exact boxes. Light: at IoU 0.5. The weakest classes first."
_WORST = "Solid: what was found at the operating point, in the class's colour. White dashes: the truth."


def _figure(name: str, title: str, caption: str, make: Callable[[], Canvas]) -> Figure:
    with figure_style():
        return Figure(name=name, title=title, caption=caption, png=figure_png(make()))


def _curves(evaluation: Evaluation, classes: Sequence[str]) -> Canvas:
    canvas = Canvas(figsize=(6, 4.4), layout="constrained")
    axes: Any = canvas.subplots()
    for index, name in enumerate(classes):
        rows = [row for row in evaluation.tables["pr_curve"] if row["class"] == name]
        colour = PALETTE[index % len(PALETTE)]
        axes.plot([row["recall"] for row in rows], [row["precision"] for row in rows], color=colour, label=name)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    if len(classes) <= 20:
        axes.legend(loc="lower left", ncols=1 + len(classes) // 8)
    return canvas


def _bars(evaluation: Evaluation) -> Canvas:
    rows = sorted(evaluation.per_class, key=lambda row: row["ap"] or 0.0)[:_MAX_NAMED]
    canvas = Canvas(figsize=(6.5, 1.2 + 0.34 * len(rows)), layout="constrained")
    axes: Any = canvas.subplots()
    names = [f"{row['class']} ({row['support']})" for row in rows]
    axes.barh(names, [row["ap_50"] or 0.0 for row in rows], color="#bfdbfe", label="AP at IoU 0.5")
    bars = axes.barh(names, [row["ap"] or 0.0 for row in rows], color=PALETTE[0], height=0.5, label="AP")
    axes.bar_label(bars, [f"{row['ap'] or 0.0:.3f}" for row in rows], label_type="center", color="white", fontsize=8)
    axes.set(xlabel="average precision", xlim=(0, 1.02))
    axes.invert_yaxis()
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return canvas


def _worst(examples: Sequence[Example], classes: Sequence[str]) -> Canvas:
    columns = min(6, len(examples))
    rows = -(-len(examples) // columns)
    canvas = Canvas(figsize=(2.7 * columns, 2.5 * rows), layout="constrained")
    grid: Any = canvas.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, item in zip(grid.flat, examples, strict=False):
        axes.imshow(item.image)
        _draw(axes, item)
        axes.set_title(item.prediction.summary(classes), fontsize=8)
    return canvas


def _draw(axes: Any, item: Example) -> None:
    prediction = item.prediction
    assert isinstance(prediction, Detections)
    for box, class_id, confident in zip(prediction.boxes_xyxy, prediction.class_ids, prediction.confident, strict=True):
        if confident:
            axes.add_patch(_rectangle(box.tolist(), PALETTE[int(class_id) % len(PALETTE)], "-", 1.6))
    for truth in item.sample.objects:
        if truth.box_xyxy is not None:
            axes.add_patch(_rectangle(list(truth.box_xyxy), "white", "--", 1.0))


def _rectangle(box: list[float], colour: str, style: str, width: float) -> Rectangle:
    x1, y1, x2, y2 = box
    return Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linestyle=style, linewidth=width)
