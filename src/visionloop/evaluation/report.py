"""The HTML page of an evaluation: what a reader wants to know first comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from visionloop.artifact.bundle import Manifest
from visionloop.core.report import Picture, Report, Section, Table, render_report
from visionloop.evaluation.statistics import wilson_interval
from visionloop.evaluation.summary import EvaluationSummary
from visionloop.task import Figure

_MAX_FACTS = 4
"""Further metrics beside the primary one among the headline numbers."""


def evaluation_report(summary: EvaluationSummary, figures: Sequence[Figure], manifest: Manifest) -> str:
    """One self-contained HTML page.

    Args:
        summary: The numbers.
        figures: The task's pictures, in the order in which they are shown.
        manifest: Of the evaluated bundle: operating point, training data, parity.
    """
    return render_report(
        Report(
            title=f"{summary.task.capitalize()} on {summary.dataset}",
            subtitle=(
                f"{summary.num_images:,} images of the {summary.split} split, "
                "read from their original files by the model that is served"
                + "".join(f"; {remark}" for remark in summary.remarks)
            ),
            facts=_facts(summary),
            sections=[_classes(summary), _figures(figures), _metrics(summary), _measured_on(summary, manifest)],
        )
    )


def _facts(summary: EvaluationSummary) -> list[tuple[str, str]]:
    primary = summary.primary_metric
    others = [name for name, value in summary.metrics.items() if name != primary and value is not None]
    facts = [(_words(primary), _headline(primary, summary.metrics[primary]))]
    interval = _primary_interval(summary)
    if interval:
        facts.append((f"95% interval of {_words(primary)}", interval))
    facts += [(_words(name), _headline(name, summary.metrics[name])) for name in others[:_MAX_FACTS]]
    facts.append(("time per image", f"{summary.latency_ms:.1f} ms"))
    facts.append(("model size", f"{summary.model_mb:.1f} MB"))
    return facts


def _primary_interval(summary: EvaluationSummary) -> str | None:
    """The Wilson interval where the primary metric is a share of images, else None."""
    values = summary.contributions()
    if values is None or not np.isin(values, (0.0, 1.0)).all():
        return None
    interval = wilson_interval(int(values.sum()), len(values))
    return f"{100 * interval.lower:.1f} to {100 * interval.upper:.1f}%"


def _classes(summary: EvaluationSummary) -> Section:
    columns = list(summary.per_class[0]) if summary.per_class else []
    rows = [[_cell(row[name]) for name in columns] for row in summary.per_class]
    caption = (
        "One row a class; support counts its objects in this split. A cell is empty where nothing defines it: "
        "precision without predictions, recall and AP without objects."
    )
    table = Table(columns=[_words(name) for name in columns], rows=rows, caption=caption)
    return Section(
        title="Class by class",
        text="Where the model is strong and where it needs more or better examples.",
        tables=[table],
        figures=[],
    )


def _figures(figures: Sequence[Figure]) -> Section:
    pictures = [
        Picture(png_bytes=figure.png, caption=_caption(figure), alt=figure.title, tiles=figure.tiles)
        for figure in figures
    ]
    return Section(
        title="What it gets right and wrong",
        text="Measured at the operating point that the bundle carries and the service answers with.",
        tables=[],
        figures=pictures,
    )


def _metrics(summary: EvaluationSummary) -> Section:
    rows = [
        [_words(name), _cell(value), "lower" if _is_loss(name) else "higher"] for name, value in summary.metrics.items()
    ]
    caption = "Shares lie between 0 and 1; a log loss has no upper end. Empty where a metric is undefined."
    return Section(
        title="Every metric",
        text="",
        tables=[Table(columns=["metric", "value", "better"], rows=rows, caption=caption)],
        figures=[],
    )


def _measured_on(summary: EvaluationSummary, manifest: Manifest) -> Section:
    parity, runtime = manifest.parity, summary.runtime
    errors = max(parity.max_relative_error.values(), default=0.0)
    rows = [
        ["dataset", f"{summary.dataset}, version {summary.dataset_hash[:12]}"],
        ["split", f"{summary.split}, {summary.num_images} images"],
        ["trained on", f"{manifest.dataset.get('name')}, version {str(manifest.dataset.get('content_hash'))[:12]}"],
        ["bundle", summary.bundle_digest[:12]],
        ["operating point", _named(manifest.operating_point)],
        ["input", f"{manifest.recipe.width} x {manifest.recipe.height} pixels, {manifest.recipe.resize}"],
        ["engine", _named(_used(runtime))],
        ["time per image", f"{summary.latency_ms:.2f} ms, median over batches, from file bytes to prediction"],
        ["graph against framework", f"largest difference {errors:.1e} on {parity.num_images} validation images"],
    ]
    return Section(
        title="What it was measured on",
        text="Enough to measure it again.",
        tables=[Table(columns=["", ""], rows=rows, caption="")],
        figures=[],
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _headline(name: str, value: float | None) -> str:
    if value is None:
        return "undefined"
    return f"{value:.3f}" if _is_loss(name) else f"{100 * value:.1f}%"


def _is_loss(name: str) -> bool:
    """Whether a metric is no share of anything, and lower is better."""
    return name.endswith(("loss", "error", "ece"))


def _caption(figure: Figure) -> str:
    """The title as a sentence, then the caption."""
    ended = figure.title.endswith((".", "?", "!"))
    return f"{figure.title}{'' if ended else '.'} {figure.caption}"


def _used(runtime: Mapping[str, Any]) -> dict[str, Any]:
    """An engine's settings without those of a device that it did not run on."""
    return {
        name: value
        for name, value in runtime.items()
        if not isinstance(value, Mapping) or name == runtime.get("device")
    }


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "automatic" if value is None else str(value)


def _named(values: Mapping[str, Any]) -> str:
    """`name value` of each, numbers rounded, groups in brackets."""
    parts = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            shown = f"({_named(value)})"
        elif isinstance(value, list | tuple):
            shown = " ".join(_number(item) for item in value)
        else:
            shown = _number(value)
        parts.append(f"{_words(name)} {shown}")
    return ", ".join(parts)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
