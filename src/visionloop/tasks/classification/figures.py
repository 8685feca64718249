"""Pictures of a classification's evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas

from visionloop.core.plots import PALETTE, figure_png, figure_style
from visionloop.core.tiles import Tile, make_tile, tile_sheet
from visionloop.task import Evaluation, Example, Figure
from visionloop.tasks.classification.metrics import confusion_counts
from visionloop.tasks.classification.task import Classification

_MAX_NAMED = 40
_WIDTH = 5.6
"""Inches: half a report's page."""


def all_figures(evaluation: Evaluation, examples: Sequence[Example], classes: Sequence[str]) -> list[Figure]:
    """Confusion matrix, F1 by class, reliability, and the worst mistakes if there are any."""
    figures = [
        _figure("confusion", "What was taken for what", _CONFUSION, lambda: _confusion(evaluation, classes)),
        _figure("f1_by_class", "F1 by class", "The weakest classes first.", lambda: _f1(evaluation)),
        _figure("reliability", "Does the stated confidence hold?", _RELIABILITY, lambda: _reliability(evaluation)),
    ]
    mistakes = [item for item in examples if _is_mistake(item)]
    if mistakes:
        tiles = [_tile(item, classes) for item in mistakes]
        figures.append(
            Figure(name="mistakes", title="Worst mistakes", caption=_MISTAKES, png=tile_sheet(tiles), tiles=tiles)
        )
    return figures


_CONFUSION = (
    "Each row is a true class, each column a predicted one; a row's shares add up to 100%. Off the diagonal lie "
    "mistakes."
)
_RELIABILITY = (
    "Images grouped by the confidence of their best class. On the diagonal the model is right as often as it says; "
    "below it, it is too sure of itself. Bars show how many images each group holds."
)
_MISTAKES = "Those with the least probability for the true class. Below each: the truth, then what the model said."


def _figure(name: str, title: str, caption: str, make: Callable[[], Canvas]) -> Figure:
    with figure_style():
        return Figure(name=name, title=title, caption=caption, png=figure_png(make()))


def _confusion(evaluation: Evaluation, classes: Sequence[str]) -> Canvas:
    counts = confusion_counts(evaluation.tables["confusion"], classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(12.0, max(4.2, 1.5 + 0.36 * len(classes)))
    canvas = Canvas(figsize=(side + 0.9, side), layout="constrained")
    axes: Any = canvas.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.grid(visible=False)
    if len(classes) <= _MAX_NAMED:
        axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(classes)), classes)
    if len(classes) <= 20:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "#1f2937"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    axes.set(xlabel="predicted", ylabel="actual")
    canvas.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    return canvas


def _f1(evaluation: Evaluation) -> Canvas:
    # Without objects or predictions of a class there is nothing to draw.
    known = [row for row in evaluation.per_class if row["f1"] is not None]
    rows = sorted(known, key=lambda row: row["f1"])[:_MAX_NAMED]
    canvas = Canvas(figsize=(_WIDTH, max(4.2, 1.2 + 0.28 * len(rows))), layout="constrained")
    axes: Any = canvas.subplots()
    values = [row["f1"] for row in rows]
    bars = axes.barh([row["class"] for row in rows], values, color=PALETTE[0])
    axes.bar_label(bars, [f"{value:.3f}" for value in values], padding=3, fontsize=8)
    axes.set(xlabel="F1", xlim=(0, 1.1))
    axes.invert_yaxis()
    return canvas


def _reliability(evaluation: Evaluation) -> Canvas:
    rows = evaluation.tables["reliability"]
    confidence = [row["confidence"] for row in rows]
    canvas = Canvas(figsize=(_WIDTH, 4.4), layout="constrained")
    axes: Any = canvas.subplots()
    axes.bar(confidence, [row["share"] for row in rows], width=0.05, color="0.85", label="share of images")
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":", label="as sure as right")
    axes.plot(confidence, [row["accuracy"] for row in rows], marker="o", color=PALETTE[0], label="accuracy")
    axes.set(xlabel="confidence", ylabel="accuracy, share", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend(loc="upper left")
    return canvas


def _is_mistake(item: Example) -> bool:
    assert isinstance(item.prediction, Classification)
    return item.prediction.class_id != item.sample.objects[0].class_id


def _tile(item: Example, classes: Sequence[str]) -> Tile:
    truth = classes[item.sample.objects[0].class_id]
    return make_tile(item.image, truth, f"said: {item.prediction.summary(classes)}")
