"""A drift check for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from visionloop.monitoring.drift.result import DriftResult, TestReport
from visionloop.monitoring.drift.summary import DriftSummary

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_STYLES = {"ok": "green", "drift": "yellow", "critical": "bold red", "insufficient_data": "dim"}
_MAX_CLASSES = 12


def summary_lines(summary: DriftSummary) -> list[Text]:
    """The verdict, the windows, the estimate, and what a reader should know."""
    from rich.text import Text

    style = {None: "dim", False: "bold green", True: "bold red" if summary.severity == "critical" else "bold yellow"}
    head = {None: "not judged", False: "no drift", True: "drift" if summary.severity != "critical" else "CRITICAL"}
    result = summary.latest.result
    lines = [
        Text.assemble(
            (f"{summary.task}  ", "bold"),
            f"{summary.model} {summary.version}  ",
            (head[summary.alarm], style[summary.alarm]),
            f"  {summary.sentence()}",
        ),
        _windows_line(summary),
        Text(f"  {_counts(summary)}"),
        Text(f"  {_estimate(result)}"),
    ]
    remarks = dict.fromkeys((*summary.remarks, *result.remarks))
    return [*lines, *(Text(f"  note: {remark}", "dim") for remark in remarks)]


def tests_table(result: DriftResult) -> Table:
    """The family of tests of a window, those that drifted first."""
    from rich.table import Table
    from rich.text import Text

    table = Table("test", "p adjusted", "effect", "reference", "window", "outcome", box=None, pad_edge=False)
    for column in (1, 2, 3, 4):
        table.columns[column].justify = "right"
    order = sorted(result.tests, key=lambda test: (not test.drifted, test.p_adjusted is None, test.p_adjusted or 0.0))
    for test in order:
        outcome = ("drift" if test.drifted else "same") if test.outcome == "tested" else test.outcome.replace("_", " ")
        table.add_row(
            Text(test.name, "bold" if test.drifted else ""),
            p_text(test.p_adjusted),
            "" if test.effect is None else f"{test.effect_name} {test.effect:.3f}",
            number_text(test.reference_median),
            number_text(test.window_median),
            Text(outcome, {"drift": "yellow", "same": "green"}.get(outcome, "dim")),
        )
    return table


def p_text(p: float | None) -> str:
    """A p-value in a few characters."""
    if p is None:
        return ""
    return "< 1e-9" if p < 1e-9 else f"{p:.1e}" if p < 0.001 else f"{p:.3f}"


def number_text(value: float | None) -> str:
    """A median in a few characters."""
    return "" if value is None else f"{value:.4g}"


def words(test: TestReport) -> str:
    """What a test looks at, for people."""
    return test.name.replace("_", " ")


def _windows_line(summary: DriftSummary) -> Text:
    from rich.text import Text

    line = Text("  windows ")
    for window in summary.windows[-60:]:
        status = window.result.status
        line.append({"ok": "o", "drift": "D", "critical": "C", "insufficient_data": "."}[status], _STYLES[status])
    line.append("  (oldest first; o none, D drift, C critical, . not full)", "dim")
    return line


def _counts(summary: DriftSummary) -> str:
    result = summary.windows[-1].result
    parts = [f"{summary.num_measured} predictions since {summary.since:%Y-%m-%d %H:%M} UTC"]
    if result.status == "insufficient_data":
        parts.append(f"{result.num_images} of {result.num_required} distinct images in the current window")
    if result.num_duplicates:
        parts.append(f"{result.num_duplicates} near duplicates left out")
    if result.num_capped:
        parts.append(f"{result.num_capped} left out as their client has its share")
    return "; ".join(parts)


def _estimate(result: DriftResult) -> str:
    estimate = result.accuracy
    if estimate.value is None or estimate.lower is None or estimate.upper is None:
        return f"estimated {estimate.metric}: {estimate.status.replace('_', ' ')} ({estimate.reason})"
    interval = f"{estimate.lower:.1%} to {estimate.upper:.1%}"
    return f"estimated {estimate.metric}: {estimate.value:.1%} ({interval}), without labels"
