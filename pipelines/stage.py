"""What every stage's command line shares: settings, lock, log, errors, one line at the end."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shlex
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipelines.composed import by_experiment, require_composed
from visionloop.config import Config, load_config
from visionloop.core.errors import Interrupted, VisionloopError
from visionloop.core.files import workspace_lock

Stage = Callable[[Config], str]
"""A stage's work on the selected task; returns what to print: a line, and maybe more below it."""


def run(stage: Stage, *, name: str, argv: Sequence[str] | None = None) -> int:
    """Run one stage from the command line.

    Args:
        stage: The work.
        name: Name of the stage, for messages.
        argv: Hydra overrides, and `--params FILE` to read a composed file; `sys.argv` by default.

    Returns:
        Exit status: 0, 1 for an error of the user's, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m pipelines.{name}",
        description=f"The {name} stage of the selected task.",
        epilog="example: task=detection training.max_epochs=3 experiment=bccd",
    )
    parser.add_argument("--params", type=Path, help="read this composed file instead of conf/ (what DVC does)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="Hydra overrides")
    arguments = parser.parse_args(argv)

    def work() -> None:
        if arguments.params is not None:
            require_composed(arguments.params)
        _run(stage, name, load_config(arguments.overrides, params=arguments.params))

    return guarded(work)


def _run(stage: Stage, name: str, config: Config) -> None:
    label = f"{name}@{config.general.task}"
    started = time.perf_counter()
    with workspace_lock(config.root / config.general.build):
        line = stage(config)
    show(label, line, time.perf_counter() - started)


def shown(path: Path, root: Path) -> Path:
    """A path as a user would write it: relative inside the project, else whole."""
    return path.relative_to(root) if path.is_relative_to(root) else path


def show(label: str, text: str, seconds: float) -> None:
    """Print what a stage returned, its time at the end of the first line."""
    first, *rest = text.splitlines() or [""]
    print("\n".join([f"{label}: {first} ({seconds:.1f} s)", *rest]), flush=True)


def typed_command(env: Mapping[str, str] = os.environ, argv: Sequence[str] = tuple(sys.orig_argv)) -> str:
    """The command by which this process was started, as a user would type it again, between back-ticks.

    Args:
        env: The environment; DVC sets names of its own for its stages.
        argv: The process's whole command line.
    """
    if by_experiment(env):
        return "`dvc exp run` with the same -S"
    if "DVC_ROOT" in env:
        return "`dvc repro`"
    program, *rest = argv
    if rest and Path(rest[0]).is_absolute():
        program, *rest = rest
    return f"`{shlex.join([Path(program).name, *rest])}`"


@contextlib.contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """Within the block, SIGTERM raises `KeyboardInterrupt`: it is what `kill`, containers and schedulers send."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def end(number: int, _: object) -> None:
        # A child that was forked inherits this, and is its parent's to end.
        if os.getpid() != owner:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def guarded(work: Callable[[], None]) -> int:
    """Run `work`; a user's error is printed without a stack trace, and SIGTERM ends it as Ctrl-C does.

    Returns:
        Exit status.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("ignore", FutureWarning)
    try:
        with ended_by_interrupt():
            work()
    except VisionloopError as error:
        print(f"error: {error}", file=sys.stderr)
        return 130 if isinstance(error, Interrupted) else 1
    except KeyboardInterrupt:
        print("\ninterrupted; nothing half-written was left behind", file=sys.stderr)
        return 130
    return 0
