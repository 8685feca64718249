"""Figures that set two sides against each other: what was expected, and what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from visionloop.core.plots import INK, PALETTE, figure_png, figure_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEFORE, AFTER, CHANGED = "#94a3b8", PALETTE[0], PALETTE[1]
"""Colours of what was expected, of what was seen, and of what was seen where it differs."""
_COLUMNS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One number on both sides.

    Attributes:
        title: Its name.
        note: Small line below it.
        unit: Of the edges.
        edges: Rising, one more than counts.
        before, after: Counts by bin; their sums may differ.
        changed: Whether both differ.
    """

    title: str
    note: str
    unit: str
    edges: Sequence[float]
    before: Sequence[int]
    after: Sequence[int]
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A value at a time; `colour` says how it is judged."""

    at: datetime
    value: float
    colour: str


def distributions(panels: Sequence[Distribution], *, before: str, after: str) -> bytes:
    """PNG of small histograms over each other, four a row; shares, so that both sides compare.

    Args:
        panels: At least one.
        before, after: What the sides are called.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    columns = min(_COLUMNS, max(2, len(panels)))
    rows = -(-len(panels) // columns)
    with figure_style():
        canvas = Figure(figsize=(3.05 * columns, 2.05 * rows + 0.35), layout="constrained")
        grid: Any = canvas.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, panel in zip(grid.flat, panels, strict=False):
            _distribution(axes, panel)
        handles = [Patch(color=BEFORE, alpha=0.55, label=before), Patch(color=AFTER, alpha=0.55, label=after)]
        if any(panel.changed for panel in panels):
            handles.append(Patch(color=CHANGED, alpha=0.6, label=f"{after}, where it differs"))
        canvas.legend(handles=handles, loc="outside upper right", ncols=len(handles), fontsize=8.5)
        return figure_png(canvas)


def paired_shares(names: Sequence[str], before: Sequence[float], after: Sequence[float], *, sides: tuple[str, str],
                  changed: bool) -> bytes:  # fmt: skip
    """PNG of two bars for each name, in percent.

    Args:
        names: At least one.
        before, after: Shares, 0 to 1.
        sides: What the sides are called.
        changed: Whether both differ.
    """
    from matplotlib.figure import Figure

    with figure_style():
        canvas: Figure = Figure(figsize=(max(7.0, min(12.2, 1.5 + 0.75 * len(names))), 2.9), layout="constrained")
        axes: Any = canvas.subplots()
        places = np.arange(len(names))
        axes.bar(places - 0.2, 100 * np.asarray(before), 0.38, color=BEFORE, label=sides[0])
        axes.bar(places + 0.2, 100 * np.asarray(after), 0.38, color=CHANGED if changed else AFTER, label=sides[1])
        axes.set_xticks(places, names, rotation=0 if max(map(len, names)) * len(names) < 110 else 35, ha="center")
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("share of answers, %")
        axes.legend(loc="upper right", ncols=2)
        axes.margins(y=0.18)
        return figure_png(canvas)


def timeline(moments: Sequence[Moment], *, label: str, limit: float | None, low: float, high: float) -> bytes:
    """PNG of values over time.

    Args:
        moments: Oldest first, at least one.
        label: Of the values.
        limit: Drawn as a dashed line.
        low, high: Range that is shown at least.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    with figure_style():
        canvas: Figure = Figure(figsize=(12.2, 2.6), layout="constrained")
        axes: Any = canvas.subplots()
        times, values = [moment.at for moment in moments], [moment.value for moment in moments]
        axes.plot(times, values, color=BEFORE, linewidth=1.2, zorder=1)
        axes.scatter(times, values, c=[moment.colour for moment in moments], s=46, zorder=2)
        if limit is not None:
            axes.axhline(limit, color=INK, linewidth=0.9, linestyle=(0, (4, 4)))
        axes.set(ylabel=label, ylim=(min(low, *values) - 0.02, max(high, *values) + 0.02))
        locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        axes.margins(x=0.03)
        return figure_png(canvas)


def _distribution(axes: Any, panel: Distribution) -> None:
    colour = CHANGED if panel.changed else AFTER
    for counts, tint, alpha in ((panel.before, BEFORE, 0.45), (panel.after, colour, 0.4)):
        shares = np.asarray(counts, float) / max(1, sum(counts))
        axes.stairs(shares, panel.edges, fill=True, color=tint, alpha=alpha)
        axes.stairs(shares, panel.edges, color=tint, linewidth=1.3)
    axes.set_title(panel.title, fontsize=10, color="#b45309" if panel.changed else INK, pad=15)
    axes.text(0, 1.03, panel.note, transform=axes.transAxes, fontsize=7.8, color="#64748b")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False)
    axes.tick_params(labelsize=7.5)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(panel.unit, fontsize=7.8, color="#64748b")
