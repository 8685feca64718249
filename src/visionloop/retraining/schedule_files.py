"""The schedule for systemd, cron, Kubernetes, GitHub Actions, Airflow and Prefect; each calls the same command."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from visionloop.core import files
from visionloop.core.errors import ConfigError, VisionloopError
from visionloop.retraining.job import BUSY_STATUS
from visionloop.retraining.schedule import calendar_expression, cron_expression
from visionloop.retraining.settings import ScheduleSettings

UNIT = "visionloop-retrain"
MANIFEST = Path("deploy/kubernetes/retraining.yaml")
"""The CronJob, relative to the project; its schedule is filled in from the settings."""

_MARK = "# visionloop retrain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is called, and where.

    Attributes:
        project: The project's folder.
        program: The `visionloop` command.
        schedule: When.
    """

    project: Path
    program: Path
    schedule: ScheduleSettings

    @property
    def command(self) -> str:
        """For a shell."""
        return f"{shlex.quote(str(self.program))} retrain"


def systemd(target: Target) -> str:
    """Both units, each under the name of its file."""
    return f"# {UNIT}.service\n{_service(target)}\n# {UNIT}.timer\n{_timer(target)}"


def cron(target: Target) -> str:
    """A line for `crontab`."""
    zone = target.schedule.timezone
    command = f"{_cron_change(target)} mkdir -p mlruns && " + _cron_escaped(
        f"{target.command} >> mlruns/retraining.log 2>&1"
    )
    return (
        f"{_MARK}: times are {zone} where cron knows CRON_TZ (cronie), else the machine's own; cron does not make up "
        f"for a machine that was off\nCRON_TZ={zone}\n{cron_expression(target.schedule)} {command}\n"
    )


def _cron_change(target: Target) -> str:
    """How our line begins, by which it is found again."""
    return _cron_escaped(f"cd {shlex.quote(str(target.project))} &&")


def _cron_escaped(command: str) -> str:
    # Cron takes a bare % for the end of the line.
    return command.replace("%", "\\%")


def kubernetes(target: Target) -> str:
    """The CronJob of deploy/kubernetes with the schedule filled in.

    Raises:
        ConfigError: this is no checkout of the project.
    """
    path = target.project / MANIFEST
    if not path.is_file():
        raise ConfigError(
            "the manifest is not here",
            where=str(path),
            expected="a checkout of the project",
            action="change to the project's folder",
        )
    text = path.read_text()
    text = re.sub(r"^  schedule: .*$", f'  schedule: "{cron_expression(target.schedule)}"', text, count=1, flags=re.M)
    return re.sub(r"^  timeZone: .*$", f"  timeZone: {target.schedule.timezone}", text, count=1, flags=re.M)


def github(target: Target) -> str:
    """A workflow for a runner on the machine of the project, whose folder holds what a checkout would not."""
    schedule = target.schedule
    note = "" if schedule.timezone == "UTC" else f"# GitHub's clock is UTC; the settings say {schedule.timezone}\n"
    step = {
        "working-directory": str(target.project),
        "run": f"{target.command} || test $? -eq {BUSY_STATUS}",
    }
    workflow = {
        "name": "retrain",
        "on": {"schedule": [{"cron": cron_expression(schedule)}], "workflow_dispatch": {}},
        "permissions": {},
        "concurrency": {"group": "retrain", "cancel-in-progress": False},
        "jobs": {"retrain": {"runs-on": "self-hosted", "timeout-minutes": 720, "steps": [step]}},
    }
    return f"# .github/workflows/retrain.yml\n{note}" + yaml.safe_dump(workflow, sort_keys=False)


def airflow(target: Target) -> str:
    """A DAG."""
    return f'''# dags/visionloop_retrain.py
import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.trigger import CronTriggerTimetable

with DAG(
    "visionloop_retrain",
    schedule=CronTriggerTimetable("{cron_expression(target.schedule)}", timezone="{target.schedule.timezone}"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
):
    BashOperator(
        task_id="retrain",
        bash_command={target.command!r},
        cwd={str(target.project)!r},
        skip_on_exit_code={BUSY_STATUS},
    )
'''


def prefect(target: Target) -> str:
    """A flow that serves itself."""
    return f'''# retrain_flow.py; `python retrain_flow.py` keeps it served
import subprocess

from prefect import flow
from prefect.schedules import Cron


@flow
def retrain() -> None:
    done = subprocess.run([{str(target.program)!r}, "retrain"], cwd={str(target.project)!r})
    if done.returncode not in (0, {BUSY_STATUS}):
        raise RuntimeError(f"visionloop retrain ended with {{done.returncode}}")


if __name__ == "__main__":
    schedule = Cron("{cron_expression(target.schedule)}", timezone="{target.schedule.timezone}")
    retrain.serve("visionloop-retrain", schedules=[schedule], limit=1)
'''


FORMS: dict[str, Callable[[Target], str]] = {
    "systemd": systemd,
    "cron": cron,
    "kubernetes": kubernetes,
    "github": github,
    "airflow": airflow,
    "prefect": prefect,
}
"""What `visionloop schedule print` can say, by name."""

Call = Callable[[list[str], str | None], "subprocess.CompletedProcess[str]"]


def call_program(command: list[str], text: str | None) -> subprocess.CompletedProcess[str]:
    """Run a program with `text` on its standard input; its output comes back."""
    return subprocess.run(command, input=text, capture_output=True, text=True)


def install_systemd(target: Target, units: Path, call: Call = call_program) -> list[str]:
    """Write the units of this user's systemd and start the timer. The same call again changes nothing.

    Args:
        target: What and when.
        units: Folder of the user's units.
        call: Runs a program.

    Returns:
        What was done.

    Raises:
        VisionloopError: systemd refuses.
    """
    written = []
    for name, text in ((f"{UNIT}.service", _service(target)), (f"{UNIT}.timer", _timer(target))):
        files.write_text(units / name, text)
        written.append(f"wrote {units / name}")
    for words in (["daemon-reload"], ["enable", "--now", f"{UNIT}.timer"]):
        _must(call, ["systemctl", "--user", *words], None)
    return [*written, f"started {UNIT}.timer; `systemctl --user list-timers` shows it",
            "it runs while you are logged in; `loginctl enable-linger` keeps it running"]  # fmt: skip


def install_cron(target: Target, call: Call = call_program) -> list[str]:
    """Put the line into this user's crontab, in place of an earlier one of the same project.

    Returns:
        What was done.

    Raises:
        VisionloopError: cron refuses.
    """
    listed = call(["crontab", "-l"], None)
    if listed.returncode and "no crontab" not in listed.stderr.lower():
        raise _refused(["crontab", "-l"], listed)
    kept = _without_ours(listed.stdout if listed.returncode == 0 else "", target)
    # Last, because CRON_TZ holds for every line behind it.
    _must(call, ["crontab", "-"], (kept.rstrip("\n") + "\n" if kept.strip() else "") + cron(target))
    return [f"installed: {cron(target).splitlines()[-1]}"]


def best_installer() -> str | None:
    """`systemd` where this user has one, else `cron`, else None."""
    if shutil.which("systemctl"):
        asked = call_program(["systemctl", "--user", "is-system-running"], None)
        if asked.stdout.strip() in ("running", "degraded", "starting"):
            return "systemd"
    return "cron" if shutil.which("crontab") else None


def _service(target: Target) -> str:
    project, program = (str(path).replace("%", "%%") for path in (target.project, target.program))
    return f"""[Unit]
Description=visionloop: retrain when something asks for it

[Service]
Type=oneshot
WorkingDirectory={project}
ExecStart="{program}" retrain
# Another one at work is no failure.
SuccessExitStatus={BUSY_STATUS}
Nice=10
"""


def _timer(target: Target) -> str:
    return f"""[Unit]
Description=visionloop: when to look whether a retraining is due

[Timer]
OnCalendar={calendar_expression(target.schedule)}
# Times missed while the machine was off are made up for, once.
Persistent=true
RandomizedDelaySec=60

[Install]
WantedBy=timers.target
"""


def _without_ours(text: str, target: Target) -> str:
    """A crontab without the three lines that this project had in it."""
    lines, kept, index = text.splitlines(), [], 0
    while index < len(lines):
        block = lines[index : index + 3]
        ours = block[0].startswith(_MARK) and len(block) == 3 and block[1].startswith("CRON_TZ=")
        if ours and _cron_change(target) in block[2]:
            index += 3
            continue
        kept.append(lines[index])
        index += 1
    return "\n".join(kept)


def _must(call: Call, command: list[str], text: str | None) -> None:
    done = call(command, text)
    if done.returncode:
        raise _refused(command, done)


def _refused(command: list[str], done: subprocess.CompletedProcess[str]) -> VisionloopError:
    said = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()[-1]
    return VisionloopError(
        f"{command[0]} refuses: {said}",
        where=" ".join(command),
        expected="a scheduler of this user's",
        action="take another: `visionloop schedule print` lists them, `visionloop schedule run` needs none",
    )
