"""One screen after the pipeline: metrics, what was promoted and why, where to look."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from pipelines.stage import guarded
from visionloop.config import PARAMS, Config, load_config
from visionloop.core.files import read_json


def main() -> None:
    """Print the summary from the files the stages left."""
    config = load_config(params=Path(PARAMS))
    console = Console(highlight=False, soft_wrap=True)
    tasks = config.general.tasks
    console.print("\n[bold]Result[/bold], on test images that training never saw")
    for name in tasks:
        shown, model, note = _lines(_select(config, name))
        console.print(f"  {name:<15} {shown}\n{'':<18}{model}\n{'':<18}{note}")
    console.print("\n[bold]Look at it[/bold]")
    for name in tasks:
        folder = Path(config.general.build) / name
        console.print(f"  {name:<15} data     {folder / 'explore' / 'report.html'}")
        console.print(f"{'':<18}result   {folder / 'evaluation' / 'report.html'}")
    console.print("  runs, models    make mlflow, then http://127.0.0.1:5000")
    console.print("\n[bold]Use it[/bold], after `source .venv/bin/activate`")
    console.print("  visionloop models")
    for name in tasks:
        console.print(f"  visionloop predict --model {name} --out predictions IMAGES...")
    console.print("  visionloop serve        # the same over HTTP")


def _select(config: Config, task: str) -> Config:
    return replace(config, general=config.general.model_copy(update={"task": task}))


def _lines(config: Config) -> tuple[str, str, str]:
    """Metrics, model, and what the gate said."""
    task = config.selected.task
    metrics = read_json(config.reports("metrics.json"))
    registered = read_json(config.root / "mlruns" / "registered" / f"{task.name}.json")
    shown = "  ".join(f"{name} {metrics[name]:.3f}" for name in task.headline_metrics if name in metrics)
    alias = "@champion" if registered["champion"] == registered["version"] else "@challenger"
    return shown, f"{registered['model']} version {registered['version']} {alias}", registered["note"]


if __name__ == "__main__":
    sys.exit(guarded(main))
