"""The test split's original bytes through the bundle: metrics, tables, figures, report."""

from __future__ import annotations

import shutil
import sys

from pipelines.stage import run
from visionloop.config import Config


def stage(config: Config) -> str:
    """Evaluate the selected task's bundle."""
    from visionloop.evaluation.evaluate import evaluate
    from visionloop.evaluation.summary import METRICS

    block = config.selected
    result = evaluate(block.evaluation, config.build("bundle"), config.build("dataset"), config.build("evaluation"))
    config.reports().mkdir(parents=True, exist_ok=True)
    # Tables that DVC plots lie beside the metrics, small enough to be kept under version control.
    shutil.copy(result.folder / METRICS, config.reports(METRICS))
    for table in block.task.plot_tables:
        shutil.copy(result.folder / f"{table}.csv", config.reports(f"{table}.csv"))
    metric = block.task.primary_metric
    value = result.summary.metrics[metric]
    return f"{block.evaluation.split} {metric} {'undefined' if value is None else format(value, '.4f')}"


if __name__ == "__main__":
    sys.exit(run(stage, name="evaluate"))
