"""Drift checks as runs in MLflow, beside the trainings of the models they speak of."""

from __future__ import annotations

import re
from pathlib import Path

from visionloop.monitoring.drift.summary import DriftSummary
from visionloop.registry.connection import TAG, connect, registry_errors
from visionloop.registry.settings import RegistrySettings


def log_drift(settings: RegistrySettings, root: Path, summary: DriftSummary, report: Path | None) -> str:
    """Log a check as a finished run: what was found as metrics, summary and report as artifacts.

    Args:
        settings: Where.
        root: The project's folder.
        summary: The check.
        report: Its HTML report, if there is one.

    Returns:
        The run's id.

    Raises:
        RegistryError: MLflow cannot be reached, or refuses.
    """
    connection = connect(settings, root)
    client, result = connection.client, summary.latest.result
    with registry_errors(connection.where):
        tags = {
            TAG + "job": "drift",
            TAG + "task": summary.task,
            TAG + "model": summary.model,
            TAG + "version": summary.version,
            TAG + "bundle_sha256": summary.digest,
            TAG + "drift": summary.severity or ("none" if summary.alarm is not None else "not judged"),
        }
        name = f"drift {summary.model} {summary.version} {summary.created_at:%Y-%m-%d %H:%M}"
        run_id = str(client.create_run(connection.experiment_id, tags=tags, run_name=name).info.run_id)
        try:
            for metric, value in _metrics(summary).items():
                client.log_metric(run_id, re.sub(r"[^\w\-./ ]", "_", metric), value)
            client.log_param(run_id, "alpha", result.alpha)
            client.log_param(run_id, "window_images", result.num_required)
            client.log_text(run_id, summary.model_dump_json(indent=2), f"{summary.task}.json")
            if report is not None:
                client.log_artifact(run_id, str(report))
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FINISHED")
    return run_id


def _metrics(summary: DriftSummary) -> dict[str, float]:
    result = summary.latest.result
    found = {
        "drift/windows_drifted": float(summary.num_drifted),
        "drift/windows": float(summary.num_looked_at),
        "drift/tests_drifted": float(len(result.drifted)),
        "drift/predictions": float(summary.num_measured),
    }
    if result.accuracy.value is not None:
        found["drift/estimated_accuracy"] = result.accuracy.value
    for test in result.tests:
        if test.effect is not None:
            found[f"drift/effect/{test.name}"] = test.effect
        if test.p_adjusted is not None:
            found[f"drift/p/{test.name}"] = test.p_adjusted
    return found
