"""One screen after the pipeline: metrics, what was promoted and why, where to look."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines.stage import guarded
from visionloop.config import PARAMS, Config, load_config
from visionloop.core.files import read_json


def main() -> None:
    """Print the summary from the files the stages left."""
    config = load_config(params=Path(PARAMS))
    console = Console(highlight=False)
    table = Table("task", "test metrics", "model", "gate", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in config.general.tasks:
        table.add_row(*_row(_select(config, name)))
    console.print()
    console.print(table)
    console.print("\n[bold]Look at it[/bold]")
    for name in config.general.tasks:
        folder = Path(config.general.build) / name
        console.print(
            f"  {name:<15} data {folder / 'explore' / 'report.html'}   result {folder / 'evaluation' / 'report.html'}"
        )
    console.print("  runs and models make mlflow   then http://127.0.0.1:5000")
    console.print("\n[bold]Use it[/bold]")
    console.print("  visionloop models")
    for name in config.general.tasks:
        console.print(f"  visionloop predict --model {name} --out predictions IMAGES...")


def _select(config: Config, task: str) -> Config:
    return replace(config, general=config.general.model_copy(update={"task": task}))


def _row(config: Config) -> tuple[str, str, str, str]:
    task = config.selected.task
    metrics = read_json(config.reports("metrics.json"))
    registered = read_json(config.root / "mlruns" / "registered" / f"{task.name}.json")
    shown = ", ".join(f"{name} {metrics[name]:.3f}" for name in task.headline_metrics if name in metrics)
    champion = "@champion" if registered["champion"] == registered["version"] else "challenger"
    return task.name, shown, f"{registered['model']} v{registered['version']} {champion}", registered["note"]


if __name__ == "__main__":
    sys.exit(guarded(main))
