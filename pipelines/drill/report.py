"""The drill as a page: its verdict, its timeline as a picture, what held and when."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.drill.play import Drill
from pipelines.drill.scans import Photo
from visionloop.core import files
from visionloop.core.plots import PALETTE, figure_png, figure_style
from visionloop.core.report import Picture, Report, Section, Table, Tag, render_report

_ROLLING = 60
"""Answers over which accuracy is averaged in the picture."""
_ACTS = {
    "service": "service ready",
    "decay": "input decays",
    "drift noticed": "drift noticed",
    "alert": "alert delivered",
    "labels": "labels given",
    "retraining": "gate: promote",
    "hot swap": "new model serves",
    "bad model refused": "bad model refused",
    "rollback": "rolled back",
}
"""Events that the picture names."""


def write_report(drill: Drill, path: Path) -> None:
    """Write the page to `path`, whole or not at all."""
    timeline = drill.timeline
    total = timeline.seconds(timeline.events[-1].at)
    held = sum(event.held is True for event in timeline.events)
    expected = sum(event.held is not None for event in timeline.events)
    rows = [
        [f"{timeline.seconds(event.at):.1f} s", event.name, event.text, _tag(event.held)] for event in timeline.events
    ]
    accuracy = [[phase, f"{value:.3f}", count] for phase, (value, count) in drill.accuracy.items()]
    messages = [[f"{timeline.seconds(message.at):.1f} s", message.title] for message in drill.messages]
    report = Report(
        kind="Drill",
        title="The loop closes" if timeline.held else "The loop does not close",
        subtitle="A model of handwritten digits meets scans unlike those it learned from. What follows was done by the "
        "program's own commands against the real service; the labels are the known truth.",
        facts=[
            ("held", f"{held} of {expected}"),
            ("took", f"{total:.0f} s"),
            ("requests", f"{len(drill.answers) + len(drill.failures):,}"),
            ("failed", f"{len(drill.failures):,}"),
            *((phase, f"{value:.3f}") for phase, (value, _) in drill.accuracy.items()),
        ],
        sections=[
            Section(
                title="Timeline",
                text=f"Accuracy over the latest {_ROLLING} answers, in the colour of the version that gave the latest.",
                figures=[
                    Picture(
                        png_bytes=_timeline(drill),
                        caption="Accuracy of what the service answered, and what happened.",
                        alt="accuracy over time, falling when the input decays and rising after the hot swap",
                        chart=True,
                    )
                ],
            ),
            Section(
                title="What the service was asked",
                figures=[
                    Picture(png_bytes=_grid(photos), caption=caption, alt=f"{caption}: twenty digits")
                    for caption, photos in drill.pictures.items()
                ],
            ),
            Section(title="Accuracy", tables=[Table(columns=["phase", "accuracy", "images"], rows=accuracy)]),
            Section(title="Everything in order", tables=[Table(columns=["time", "step", "what", ""], rows=rows)]),
            Section(title="Messages", tables=[Table(columns=["time", "title"], rows=messages)]),
        ],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, render_report(report))


def _tag(held: bool | None) -> Tag | str:
    if held is None:
        return ""
    return Tag(text="held", tone="good") if held else Tag(text="failed", tone="bad")


def _timeline(drill: Drill) -> bytes:
    from matplotlib.figure import Figure

    timeline = drill.timeline
    with figure_style():
        figure = Figure(figsize=(12, 4.8), layout="constrained")
        axes = figure.subplots()
        versions = sorted({answer.version for answer in drill.answers}, key=int)
        answers = sorted(drill.answers, key=lambda answer: answer.at)
        right = np.array([answer.right for answer in answers], np.float64)
        rolling = np.convolve(right, np.ones(_ROLLING) / _ROLLING, mode="valid") if len(right) >= _ROLLING else right
        seconds = np.array([timeline.seconds(answer.at) for answer in answers])[-len(rolling) :]
        held_by = np.array([answer.version for answer in answers])[-len(rolling) :]
        for number, version in enumerate(versions):
            # A gap where another version answered, or nobody asked.
            shown = np.where(held_by == version, rolling, np.nan)
            pauses = np.flatnonzero(np.diff(seconds) > 5.0)
            axes.plot(
                np.insert(seconds, pauses + 1, seconds[pauses]), np.insert(shown, pauses + 1, np.nan),
                color=PALETTE[number], label=f"version {version}",
            )  # fmt: skip
        named = [event for event in timeline.events if event.name in _ACTS]
        for number, event in enumerate(named):
            at = timeline.seconds(event.at)
            axes.axvline(at, color="#94a3b8", linewidth=0.9, linestyle=":")
            axes.annotate(
                _ACTS[event.name], (at, 1.04 + 0.075 * (number % 4)), fontsize=8.5, annotation_clip=False,
                xytext=(3, 0), textcoords="offset points",
            )  # fmt: skip
        for failure in drill.failures:
            axes.plot(timeline.seconds(failure.at), 0.0, marker="x", color=PALETTE[3])
        axes.axhline(drill.plan.recovered, color=PALETTE[2], linewidth=0.9, linestyle="--")
        axes.axhline(drill.plan.decayed_below, color=PALETTE[3], linewidth=0.9, linestyle="--")
        axes.set(xlabel="seconds since the start", ylabel="accuracy", ylim=(0, 1.34))
        axes.set_yticks(np.linspace(0, 1, 6))
        axes.legend(loc="lower left")
        return figure_png(figure)


def _grid(photos: Sequence[Photo], *, columns: int = 10, scale: int = 2) -> bytes:
    pictures = [Image.open(io.BytesIO(photo.data)).convert("L") for photo in photos[: 2 * columns]]
    width, height = pictures[0].size
    sheet = Image.new("L", (columns * (width + 4), -(-len(pictures) // columns) * (height + 4)), 40)
    for index, picture in enumerate(pictures):
        sheet.paste(picture, ((index % columns) * (width + 4) + 2, (index // columns) * (height + 4) + 2))
    buffer = io.BytesIO()
    sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()
