"""How our figures look: one palette, one style, one way to PNG bytes. matplotlib is loaded on use only."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PALETTE = (
    "#2563eb",
    "#f59e0b",
    "#10b981",
    "#ef4444",
    "#8b5cf6",
    "#06b6d4",
    "#ec4899",
    "#84cc16",
    "#f97316",
    "#64748b",
)
"""Colours of classes and curves, as hex RGB, in order of use."""

SEQUENTIAL = ("#f8fafc", "#dbeafe", "#93c5fd", "#3b82f6", "#1d4ed8", "#1e3a8a")
"""Stops of the colour scale for counts, from none to most."""

INK = "#334155"
"""Colour of text and axes."""

DPI = 144
"""Pixels per inch of the PNG files; a figure 6 inches wide fills half a report's width."""

_STYLE: dict[str, object] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#cbd5e1",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e2e8f0",
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    # Labels of both axes must not touch where these meet.
    "xtick.major.pad": 6,
    "ytick.major.pad": 6,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def class_color(class_id: int) -> str:
    """Hex colour of a class; classes beyond the palette's end begin it anew."""
    return PALETTE[class_id % len(PALETTE)]


def class_rgb(class_id: int) -> tuple[int, int, int]:
    """`class_color` as 8-bit red, green, blue."""
    value = class_color(class_id).removeprefix("#")
    return int(value[0:2], 16), int(value[2:4], 16), int(value[4:6], 16)


@contextlib.contextmanager
def figure_style() -> Iterator[None]:
    """Within the block, new figures look like ours.

    Make them with `matplotlib.figure.Figure(figsize=..., layout="constrained")`, not with pyplot, which
    keeps every figure in memory and wants a display.
    """
    import matplotlib
    from cycler import cycler

    style: dict[Any, Any] = {**_STYLE, "axes.prop_cycle": cycler(color=PALETTE)}
    with matplotlib.rc_context(style):
        yield


def sequential_colormap() -> object:
    """matplotlib colormap from paper white to deep blue, for heat maps and confusion matrices."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("visionloop", SEQUENTIAL)


def figure_png(figure: Figure) -> bytes:
    """PNG bytes of a figure; the same figure gives the same bytes (no date, no version inside)."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
