"""The runs of trainings in MLflow."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visionloop.data.samples import DatasetInfo
from visionloop.registry.connection import TAG, Connection, connect, registry_errors
from visionloop.registry.settings import RegistrySettings

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

_log = logging.getLogger(__name__)

TRAIN_KEY = TAG + "train_key"
PROCESS = TAG + "process"


@contextlib.contextmanager
def training_logger(
    settings: RegistrySettings,
    root: Path,
    *,
    plan: Mapping[str, Any],
    key: str,
    dataset: DatasetInfo,
    env: Mapping[str, str] | None = None,
) -> Iterator[Logger]:
    """A Lightning logger into MLflow; its run starts with the training and ends FINISHED, FAILED or KILLED.

    Args:
        settings: Where.
        root: The project's folder.
        plan: `TrainingPlan.describe()`: `task`, then nested settings; logged flat, such as `training/batch_size`.
        key: `TrainingPlan.key()`, by which `register` finds the run again.
        dataset: The dataset trained on.
        env: The environment, for the name that DVC gives an experiment; this process's by default.

    Raises:
        RegistryError: MLflow cannot be reached.
    """
    from visionloop.registry.logger import RunLogger

    connection = connect(settings, root)
    with registry_errors(connection.where):
        close_abandoned_runs(connection)
    experiment_name = (os.environ if env is None else env).get("DVC_EXP_NAME")
    tags = {
        TAG + "task": str(plan.get("task", "")),
        TAG + "dataset": dataset.name,
        TAG + "dataset_hash": dataset.content_hash,
        TRAIN_KEY: key,
        PROCESS: f"{socket.gethostname()}:{os.getpid()}",
        TAG + "git_commit": git_commit(root),
        "DVC_EXP_NAME": experiment_name,
    }
    logger = RunLogger(
        params=plan,
        experiment_name=settings.experiment,
        run_name=experiment_name,
        tracking_uri=connection.tracking_uri,
        tags={name: value for name, value in tags.items() if value},
        artifact_location=connection.artifacts,
    )
    try:
        yield logger
    except BaseException:
        logger.finalize("failed")
        raise


def close_abandoned_runs(connection: Connection) -> None:
    """Mark this machine's runs whose process is gone (kill -9, power cut) as KILLED; nobody else can."""
    running = connection.client.search_runs(
        [connection.experiment_id],
        f"attributes.status = 'RUNNING' and tags.`{PROCESS}` LIKE '{socket.gethostname()}:%'",
    )
    for run in running:
        pid = int(run.data.tags[PROCESS].rpartition(":")[2])
        if not _alive(pid):
            _log.info("run %s was abandoned by process %d", run.info.run_id, pid)
            connection.client.set_terminated(run.info.run_id, "KILLED")


def find_training_run(connection: Connection, train_key: str) -> str | None:
    """Id of the latest finished run of that training, or None."""
    runs = connection.client.search_runs(
        [connection.experiment_id],
        f"tags.`{TRAIN_KEY}` = '{train_key}' and attributes.status = 'FINISHED'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    return str(runs[0].info.run_id) if runs else None


def git_commit(root: Path) -> str | None:
    """The commit that is checked out at `root`, or None where there is none."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", "HEAD"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as `a/b` -> text, as MLflow's parameters want them (at most 6,000 characters each)."""
    result: dict[str, str] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            result |= flat(value, f"{key}/")
        else:
            result[key] = str(value)[:6000]
    return result


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
