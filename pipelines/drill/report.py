"""The drill as a page: its verdict, its timeline as a picture, what held and when."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.drill.play import Drill
from pipelines.drill.subject import Photo, Subject
from visionloop.core import files
from visionloop.core.plots import PALETTE, figure_png, figure_style
from visionloop.core.report import Picture, Report, Section, Table, Tag, render_report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROLLING = 60
"""Answers over which the score is taken in the picture."""
_EVERY_S = 2.0
"""From one point of a curve to the next, at least: a detector's score takes a tenth of a second."""
_PAUSE_S = 5.0
"""Nobody asked for so long: a gap in the curve."""
_ACTS = {
    "service": "service ready",
    "decay": "input decays",
    "drift noticed": "drift noticed",
    "alert": "alert delivered",
    "labels": "labels given",
    "promoted": "gate: promote",
    "hot swap": "new model serves",
    "bad model refused": "bad model refused",
    "rollback": "rolled back",
}
"""Events that the picture names."""


def write_report(drill: Drill, path: Path) -> None:
    """Write the page to `path`, whole or not at all."""
    timeline, subjects = drill.timeline, drill.plan.subjects
    total = timeline.seconds(timeline.in_order[-1].at)
    held = sum(event.held is True for event in timeline.events)
    expected = sum(event.held is not None for event in timeline.events)
    rows = [
        [f"{timeline.seconds(event.at):.1f} s", event.title, event.text, _tag(event.held)]
        for event in timeline.in_order
    ]
    scores = [[one.task, one.phase, one.metric, f"{one.value:.3f}", one.num_images] for one in drill.scores]
    messages = [[f"{timeline.seconds(message.at):.1f} s", message.title] for message in drill.messages]
    asked = sum(map(len, drill.answers.values())) + len(drill.failures)
    report = Report(
        kind="Drill",
        title="The loop closes" if timeline.held else "The loop does not close",
        subtitle=f"{_models(subjects)} of handwritten digits unlike those learned from. What follows was done "
        "by the program's own commands against the real service; the labels are the known truth.",
        facts=[
            ("held", f"{held} of {expected}"),
            ("took", f"{total:.0f} s"),
            ("requests", f"{asked:,}"),
            ("failed", f"{len(drill.failures):,}"),
            *((f"{one.phase} {one.metric}", f"{one.value:.3f}") for one in drill.scores),
        ],
        sections=[
            Section(
                title="Timeline",
                text=f"The score of the latest {_ROLLING} answers, in the colour of the version that gave the latest.",
                figures=[
                    Picture(
                        png_bytes=_timeline(drill),
                        caption="What the service's answers were worth, and what happened.",
                        alt="scores over time, falling when the input decays and rising after the hot swap",
                        chart=True,
                    )
                ],
            ),
            Section(
                title="What the service was asked",
                figures=[
                    Picture(png_bytes=_grid(photos), caption=caption, alt=f"{caption}: examples")
                    for caption, photos in drill.pictures.items()
                ],
            ),
            Section(
                title="Scores",
                tables=[Table(columns=["task", "phase", "metric", "value", "images"], rows=scores)],
            ),
            Section(title="Everything in order", tables=[Table(columns=["time", "step", "what", ""], rows=rows)]),
            Section(title="Messages", tables=[Table(columns=["time", "title"], rows=messages)]),
        ],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, render_report(report))


def _models(subjects: Sequence[Subject]) -> str:
    names = " and ".join(subject.task for subject in subjects)
    return f"A model of {names} meets pictures" if len(subjects) == 1 else f"Models of {names} meet pictures"


def _tag(held: bool | None) -> Tag | str:
    if held is None:
        return ""
    return Tag(text="held", tone="good") if held else Tag(text="failed", tone="bad")


def _timeline(drill: Drill) -> bytes:
    from matplotlib.figure import Figure

    subjects = drill.plan.subjects
    with figure_style():
        figure = Figure(figsize=(12, 1.4 + 3.4 * len(subjects)), layout="constrained")
        panels: list[Axes] = figure.subplots(len(subjects), 1, sharex=True, squeeze=False)[:, 0].tolist()
        for subject, axes in zip(subjects, panels, strict=True):
            _panel(drill, subject, axes)
        _name_events(drill, panels)
        panels[-1].set_xlabel("seconds since the start")
        return figure_png(figure)


def _panel(drill: Drill, subject: Subject, axes: Axes) -> None:
    """One task's scores over time, with what was asked of them."""
    answers = sorted(drill.answers[subject.task], key=lambda answer: answer.at)
    moments = [drill.timeline.seconds(answer.at) for answer in answers]
    ends = _ends(moments)
    scores = np.array([subject.score(answers[max(0, end - _ROLLING) : end]) for end in ends])
    version_at = np.array([answers[end - 1].version for end in ends])
    for number, version in enumerate(sorted({answer.version for answer in answers}, key=int)):
        # A gap where another version answered, or nobody asked.
        shown = np.where(version_at == version, scores, np.nan)
        axes.plot(*_with_gaps(moments, ends, shown), color=PALETTE[number], label=f"version {version}")
    for failure in drill.failures:
        if failure.task == subject.task:
            axes.plot(drill.timeline.seconds(failure.at), 0.0, marker="x", color=PALETTE[3])
    for score in drill.scores:
        if (score.task, score.phase) == (subject.task, "normal"):
            axes.axhline(subject.recovered_from(score.value), color=PALETTE[2], linewidth=0.9, linestyle="--")
            axes.axhline(subject.decayed_below(score.value), color=PALETTE[3], linewidth=0.9, linestyle="--")
    axes.set(ylabel=f"{subject.task}: {subject.metric}", ylim=(0, 1.02))
    axes.legend(loc="lower left")


def _ends(moments: Sequence[float]) -> list[int]:
    """How many answers each point of a curve comes after: at a steady pace, and the last before every pause."""
    ends: list[int] = []
    for end in range(min(_ROLLING, len(moments)) or 1, len(moments) + 1):
        at = moments[end - 1]
        is_last = end == len(moments) or moments[end] - at > _PAUSE_S
        if is_last or not ends or at - moments[ends[-1] - 1] >= _EVERY_S:
            ends.append(end)
    return ends


def _with_gaps(
    moments: Sequence[float], ends: Sequence[int], shown: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    seconds = np.array([moments[end - 1] for end in ends])
    # By the answers between two points: a curve's points may be far apart while people go on asking.
    paused = np.array([np.diff(moments[one - 1 : other]).max() for one, other in pairwise(ends)]) > _PAUSE_S
    pauses = np.flatnonzero(paused)
    return np.insert(seconds, pauses + 1, seconds[pauses]), np.insert(shown, pauses + 1, np.nan)


def _name_events(drill: Drill, panels: Sequence[Axes]) -> None:
    """A line through the panels it concerns for each event, and its name, once, above the first."""
    tasks = [subject.task for subject in drill.plan.subjects]
    named: set[str] = set()
    for event in drill.timeline.in_order:
        if event.name not in _ACTS:
            continue
        at = drill.timeline.seconds(event.at)
        for task, axes in zip(tasks, panels, strict=True):
            if event.task in ("", task):
                axes.axvline(at, color="#94a3b8", linewidth=0.9, linestyle=":")
        if event.name not in named:
            panels[0].annotate(
                _ACTS[event.name], (at, 1.06 + 0.085 * (len(named) % 4)), fontsize=8.5, annotation_clip=False,
                xytext=(3, 0), textcoords="offset points",
            )  # fmt: skip
            named.add(event.name)


def _grid(photos: Sequence[Photo], *, width: int = 720) -> bytes:
    """Up to two rows of pictures, enlarged by a whole number."""
    pictures = [Image.open(io.BytesIO(photo.data)).convert("RGB") for photo in photos]
    wide, high = pictures[0].size
    columns = min(10, width // (wide + 4))
    pictures = pictures[: 2 * columns]
    sheet = Image.new("RGB", (columns * (wide + 4), -(-len(pictures) // columns) * (high + 4)), (40, 40, 40))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, ((index % columns) * (wide + 4) + 2, (index // columns) * (high + 4) + 2))
    scale = max(1, width // sheet.width)
    buffer = io.BytesIO()
    sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()
