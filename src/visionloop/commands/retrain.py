"""`visionloop retrain`, `visionloop schedule` and `visionloop drill`."""

from __future__ import annotations

import importlib.util
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from visionloop.core.errors import ConfigError, VisionloopError

if TYPE_CHECKING:
    from visionloop.retraining.schedule_files import Target
    from visionloop.retraining.settings import RetrainingSettings


@click.command(
    short_help="Make feedback into a new model; the gate decides.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def retrain(arguments: tuple[str, ...]) -> None:
    """Make feedback into labels, a dataset version, a model; the gate decides. --help says more."""
    _become("pipelines.retrain", arguments)


@click.command(
    short_help="Prove that the loop closes: models decay and are replaced.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def drill(arguments: tuple[str, ...]) -> None:
    """Prove that the loop closes: let a model decay in a folder apart, and watch it be replaced. --help says more."""
    _become("pipelines.drill", arguments)


def _become(module: str, arguments: tuple[str, ...]) -> None:
    # The stages are the project's own scripts; the process becomes theirs, so that signals reach the work.
    _require_project()
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


def _require_project() -> None:
    """The stages lie in the working directory, or where PYTHONPATH says."""
    path = Path("pipelines") / "retrain.py"
    if not path.is_file() and importlib.util.find_spec("pipelines") is None:
        raise ConfigError(
            "there are no pipelines here",
            where=str(path.resolve()),
            expected="the folder of a visionloop project",
            action="change to the project's folder",
        )


@click.group()
def schedule() -> None:
    """Have `visionloop retrain` called regularly."""


def _settings() -> RetrainingSettings:
    from visionloop.core.places import params_path, project_root
    from visionloop.core.settings import load_block
    from visionloop.retraining.settings import RetrainingSettings

    return load_block(RetrainingSettings, params_path(project_root()), "retraining")


def _target() -> Target:
    from visionloop.retraining.schedule_files import Target

    _require_project()
    program = Path(sys.executable).with_name("visionloop")
    return Target(project=Path.cwd(), program=program, schedule=_settings().schedule)


@schedule.command("print")
@click.argument("form", type=click.Choice(["systemd", "cron", "kubernetes", "github", "airflow", "prefect"]))
def print_form(form: str) -> None:
    """Print the schedule in the words of FORM."""
    from visionloop.retraining.schedule_files import FORMS

    click.echo(FORMS[form](_target()), nl=False)


@schedule.command(short_help="Install a systemd timer, or a cron line.")
@click.argument("form", type=click.Choice(["systemd", "cron"]), required=False)
def install(form: str | None) -> None:
    """Install this user's systemd timer, or cron line where there is no systemd. Again replaces it."""
    from visionloop.retraining import schedule_files

    form = form or schedule_files.best_installer()
    if form is None:
        raise VisionloopError(
            "there is neither systemd nor cron for this user",
            where="this machine",
            expected="one of them",
            action="keep `visionloop schedule run` running, or take a form of `visionloop schedule print`",
        )
    target = _target()
    if form == "systemd":
        config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        lines = schedule_files.install_systemd(target, config / "systemd" / "user")
    else:
        lines = schedule_files.install_cron(target)
    for line in lines:
        click.echo(line)


@schedule.command(short_help="Call it in the foreground until Ctrl-C.")
def run() -> None:
    """Call it in the foreground until Ctrl-C or SIGTERM; times missed meanwhile are made up for, once."""
    import signal
    import subprocess
    import threading

    from visionloop.core.places import project_root, state_root
    from visionloop.retraining.schedule import Scheduler, next_due

    target, settings = _target(), _settings()
    stop = threading.Event()
    child: list[subprocess.Popen[bytes]] = []

    def end(*_: object) -> None:
        stop.set()
        for process in child:
            process.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)

    def call() -> None:
        click.echo(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: visionloop retrain")
        child[:] = [subprocess.Popen([sys.executable, "-m", "pipelines.retrain"], cwd=target.project)]
        status = child[0].wait()
        child.clear()
        click.echo(f"it ended with {status}; next {next_due(target.schedule, datetime.now(UTC)):%Y-%m-%d %H:%M} UTC")

    memory = state_root(project_root()) / settings.folder / "schedule.json"
    scheduler = Scheduler(target.schedule, memory, call, sleep=stop.wait)
    click.echo(f"next {next_due(target.schedule, datetime.now(UTC)):%Y-%m-%d %H:%M} UTC; Ctrl-C ends")
    scheduler.run()
