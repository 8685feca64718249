"""`visionloop ab`: which of two versions that share the traffic answers better."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from visionloop.commands.alerts import parse_duration
from visionloop.core.errors import VisionloopError

if TYPE_CHECKING:
    from visionloop.artifact.deployment import Lineup, Variant
    from visionloop.evaluation.statistics import Interval
    from visionloop.monitoring.ab.compare import AbReport, Arm


@click.command(short_help="Compare champion and canary by what people said.")
@click.option("--task", help="The task; needed when several have a canary.")
@click.option("--since", help="How far back, such as 12h or 7d; by default to the canary's first answer.")
@click.option("--confidence", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True, help="Of all bounds.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def ab(task: str | None, since: str | None, confidence: float, as_json: bool) -> None:
    """Compare the champion with the canary: accuracy by feedback, latency, agreement.

    Without --since, the bounds of the gain hold however often they are looked at: stop as soon as they leave zero.
    """
    from visionloop.artifact.deployment import Deployment
    from visionloop.core.places import project_root, state_root
    from visionloop.monitoring.ab.compare import compare
    from visionloop.monitoring.history.suspects import known_suspects
    from visionloop.monitoring.store.engine import open_engine
    from visionloop.serving.settings import load_settings

    start = None if since is None else datetime.now(UTC) - parse_duration(since, "--since")
    root = project_root()
    serving = load_settings(root)
    pointer = root / serving.pointer
    name, lineup = _lineup(Deployment.read(pointer).tasks, task, str(pointer))
    other = lineup.canary or lineup.shadow
    assert other is not None
    state = state_root(root)
    engine, _ = open_engine(serving.store, state)
    try:
        report = compare(
            engine,
            task=name,
            first=_identity(lineup.champion),
            second=_identity(other),
            since=start,
            confidence=confidence,
            suspects=known_suspects(state, name),
        )
    finally:
        engine.dispose()
    if as_json:
        click.echo(json.dumps(_plain(report), indent=2))
    else:
        _print(report, looks="for one look" if since else "at every look")


def _identity(variant: Variant) -> tuple[str, str]:
    return variant.version, variant.digest


def _lineup(tasks: dict[str, Lineup], task: str | None, where: str) -> tuple[str, Lineup]:
    shared = {name: lineup for name, lineup in tasks.items() if lineup.canary or lineup.shadow}
    if task is None and len(shared) == 1:
        return next(iter(shared.items()))
    if task is not None and task in shared:
        return task, shared[task]
    raise VisionloopError(
        f"task {task!r} has neither canary nor shadow"
        if task is not None
        else "no task has a canary or a shadow"
        if not shared
        else f"{len(shared)} tasks have a canary or a shadow: {', '.join(sorted(shared))}",
        where=where,
        expected="two versions to compare",
        action="name one by --task" if shared else "start one: visionloop deploy MODEL VERSION --canary 10%",
    )


def _print(report: AbReport, *, looks: str) -> None:
    level = f"{report.confidence:.0%}"
    rows = [("", f"version {report.first.version}", f"version {report.second.version}")]
    shown: list[tuple[str, Callable[[Arm], str]]] = [
        ("images answered", lambda arm: f"{arm.answers:,}"),
        ("judged by people", lambda arm: f"{arm.judged.trials:,}"),
        ("of these right", lambda arm: _share(arm.accuracy(report.confidence))),
        ("latency, median", lambda arm: _milliseconds(arm.p50_ms)),
        ("latency, 95th percentile", lambda arm: _milliseconds(arm.p95_ms)),
    ]
    rows += [(title, show(report.first), show(report.second)) for title, show in shown]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    click.echo(f"{report.task} since {report.since:%Y-%m-%d %H:%M} UTC\n")
    for row in rows:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo()
    gain = report.gain
    if math.isfinite(gain.mean):
        click.echo(
            f"gain in accuracy: {100 * gain.mean:+.1f} points "
            f"({level} {looks}: {100 * gain.lower:+.1f} to {100 * gain.upper:+.1f}): "
            f"{_VERDICTS[report.verdict].format(version=report.second.version)}"
        )
    else:
        click.echo("gain in accuracy: unknown, as both versions need answers that people judged")
    if report.slower_ms is not None:
        slower = report.slower_ms
        click.echo(
            f"95th percentile of latency: {slower.mean:+.1f} ms "
            f"({level} for one look: {slower.lower:+.1f} to {slower.upper:+.1f})"
        )
    if report.agreement is not None:
        interval, images = report.agreement
        click.echo(
            f"agreement on {images:,} images both answered: {interval.mean:.1%} "
            f"({level} for one look: {interval.lower:.1%} to {interval.upper:.1%})"
        )
    if disputed := report.first.disputed + report.second.disputed:
        click.echo(f"left out: {disputed:,} answers that people judged differently")


_VERDICTS = {
    "better": "version {version} is better",
    "worse": "version {version} is worse",
    "undecided": "undecided, look again later",
}


def _share(interval: Interval | None) -> str:
    if interval is None:
        return "unknown"
    return f"{interval.mean:.1%} ({interval.lower:.1%} to {interval.upper:.1%})"


def _milliseconds(value: float) -> str:
    return f"{value:,.1f} ms" if math.isfinite(value) else "unknown"


def _plain(report: AbReport) -> dict[str, Any]:
    def arm(found: Arm) -> dict[str, Any]:
        accuracy = found.accuracy(report.confidence)
        return asdict(found) | {"accuracy": None if accuracy is None else asdict(accuracy)}

    agreement = report.agreement
    record = asdict(report) | {
        "since": report.since.isoformat(),
        "first": arm(report.first),
        "second": arm(report.second),
        "agreement": None if agreement is None else asdict(agreement[0]) | {"images": agreement[1]},
    }
    cleaned: dict[str, Any] = _without_nan(record)
    return cleaned


def _without_nan(value: Any) -> Any:
    """NaN as null: JSON has none."""
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
