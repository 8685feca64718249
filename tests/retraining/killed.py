"""Work in a process of its own that is killed in the middle; forked from one that has imported everything."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

_PRELOADED = [
    "tests.retraining.killed_project", "matplotlib.figure", "mlflow", "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store", "onnxruntime", "pipelines.retrain", "scipy.stats",
    "visionloop.evaluation.evaluate", "visionloop.retraining.steps", "visionloop.serving.front",
]  # fmt: skip
"""What would take a process seconds to import, and is the same in all."""
_CHANGES = ("open", "os.", "shutil.", "sqlite3.", "tempfile.", "subprocess.")


def start(work: Callable[..., Any], *arguments: Any, kill_at: int | None = None) -> BaseProcess:
    """Have `work` done elsewhere.

    Args:
        work: Importable.
        arguments: Its own.
        kill_at: The process is killed, as by the system, just before the so-manieth file that it opens, renames,
            removes ...; None lets it end.

    Returns:
        The process; its exit code is negative where a signal ended it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=_do, args=(work, arguments, kill_at))
    process.start()
    return process


def run(work: Callable[..., Any], *arguments: Any, kill_at: int | None = None) -> int:
    """As `start`, to its end; returns the exit code."""
    process = start(work, *arguments, kill_at=kill_at)
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


def _do(work: Callable[..., Any], arguments: tuple[Any, ...], kill_at: int | None) -> None:
    left = kill_at

    def count(event: str, _: object) -> None:
        nonlocal left
        if left is not None and event.startswith(_CHANGES):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    sys.exit(work(*arguments))
