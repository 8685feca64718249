"""`visionloop drift`: what the service sees, compared with what its models were made for."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from visionloop.core.errors import BundleError, VisionloopError

if TYPE_CHECKING:
    from visionloop.artifact.deployment import Variant
    from visionloop.core.images import ImageArray
    from visionloop.monitoring.alerts.settings import AlertSettings
    from visionloop.monitoring.drift.profile import ProfileInfo
    from visionloop.monitoring.drift.report import Pictures
    from visionloop.monitoring.drift.summary import DriftSummary
    from visionloop.monitoring.drift.traffic import Checked, Subject
    from visionloop.monitoring.settings import DriftSettings
    from visionloop.registry.settings import RegistrySettings
    from visionloop.serving.settings import ServingSettings

ALARM_STATUS = 3
"""Exit status of a check that raises an alarm; 1 is an error of the command, 2 a wrong use of it."""

_HOURS = {"m": 1 / 60, "h": 1.0, "d": 24.0, "w": 168.0}


class _Project(NamedTuple):
    """The project in the working directory."""

    root: Path
    state: Path
    serving: ServingSettings
    settings: DriftSettings
    alerts: AlertSettings

    @property
    def pointer(self) -> Path:
        return self.root / self.serving.pointer


@click.command()
@click.option("--task", help="Only this task; by default all that are deployed.")
@click.option("--version", help="This version's traffic instead of the champion's.")
@click.option("--since", help="From when on: 24h, 7d, or a time such as 2026-03-01T12:00; as configured by default.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for reports; below mlruns/monitoring by default.")
@click.option("--mlflow/--no-mlflow", default=None, help="Whether the check is a run in MLflow; as configured.")
def drift(
    task: str | None, version: str | None, since: str | None, as_json: bool, out: Path | None, mlflow: bool | None
) -> None:
    """Compare stored predictions with each model's reference profile.

    Exit status 3 when there is an alarm, 1 when something could not be checked, else 0. Without --task, --version and
    --since the result is also what alerts and /metrics go by.
    """
    project = _project()
    now = datetime.now(UTC)
    begin = _since(since, now, project.settings.since_hours)
    ordinary = task is None and version is None and since is None
    checked, problems = _check(project, _subjects(project, task, version), begin, now)
    folder = out or _latest_folder(project) if ordinary or out else None
    reports = _write(project, checked, folder)
    if ordinary:
        _tell_others(project, checked, reports, now)
    if project.settings.mlflow if mlflow is None else mlflow:
        _log_runs(project, checked, reports)
    summaries = [one.summary for one in checked]
    if as_json:
        click.echo(json.dumps([_plain(summary) for summary in summaries], indent=2, ensure_ascii=False))
    else:
        _show(summaries, reports)
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    if any(summary.alarm for summary in summaries):
        raise click.exceptions.Exit(ALARM_STATUS)
    if problems:
        raise click.exceptions.Exit(1)


def _project() -> _Project:
    from visionloop.core.places import params_path, project_root, state_root
    from visionloop.core.settings import load_block
    from visionloop.monitoring.settings import MonitoringSettings
    from visionloop.serving.settings import load_settings

    root = project_root()
    monitoring = load_block(MonitoringSettings, params_path(root), "monitoring")
    return _Project(root, state_root(root), load_settings(root), monitoring.drift, monitoring.alerts)


def _latest_folder(project: _Project) -> Path:
    from visionloop.monitoring.drift.summary import FOLDER

    return project.state / FOLDER


# -- what is checked


def _subjects(project: _Project, task: str | None, version: str | None) -> list[Subject]:
    from visionloop.artifact.deployment import Deployment
    from visionloop.core.errors import near_matches
    from visionloop.monitoring.drift.traffic import Subject

    deployment = Deployment.read(project.pointer)
    if task is not None and task not in deployment.tasks:
        raise VisionloopError(
            f"no task {task!r} is deployed",
            where="option --task",
            expected=near_matches(task, list(deployment.tasks)) if deployment.tasks else "a deployed task",
            action="name a deployed task, or deploy one: visionloop deploy MODEL",
        )
    if not deployment.tasks:
        raise BundleError(
            "nothing is deployed, so there is nothing to compare traffic with",
            where=str(project.serving.pointer),
            expected="a deployed model",
            action="run `make demo`, or deploy a model: visionloop deploy MODEL",
        )
    subjects = []
    for name, lineup in deployment.tasks.items():
        if task not in (None, name):
            continue
        variants = [held for held in (lineup.champion, lineup.canary, lineup.shadow) if held is not None]
        if version is None:
            variant = lineup.champion
        else:
            found = next((held for held in variants if held.version == version), None)
            if found is None and task is None and len(deployment.tasks) > 1:
                continue
            variant = found or _registered(project, lineup.champion.model, version)
        subjects.append(Subject(task=name, variant=variant, bundle=deployment.bundle_path(project.pointer, variant)))
    if not subjects:
        raise VisionloopError(
            f"version {version} is not deployed for any task",
            where="option --version",
            expected="a deployed version; for an earlier one, --task as well",
            action="name the task with --task",
        )
    return subjects


def _registered(project: _Project, model: str, version: str) -> Variant:
    """A version that serves no more, from the registry."""
    from visionloop.artifact.bundle import Bundle
    from visionloop.artifact.deployment import Variant
    from visionloop.registry.models import fetch_bundle

    folder = fetch_bundle(_registry(project), project.root, model, version, project.root / "build" / "fetched")
    digest = Bundle.open(folder, verify=False).digest
    return Variant(model=model, version=version, digest=digest, bundle=str(folder.resolve()))


def _registry(project: _Project) -> RegistrySettings:
    from visionloop.core.places import params_path
    from visionloop.core.settings import load_block
    from visionloop.registry.settings import RegistrySettings

    return load_block(RegistrySettings, params_path(project.root), "registry")


def _since(text: str | None, now: datetime, default_hours: float) -> datetime:
    """`24h`, `7d`, or a date with or without a time; without a zone it is UTC."""
    if text is None:
        return now - timedelta(hours=default_hours)
    if match := re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([mhdw])", text):
        return now - timedelta(hours=float(match[1]) * _HOURS[match[2]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time; 24h, 7d, 2026-03-01 and 2026-03-01T12:00 are", param_hint="--since"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _check(
    project: _Project, subjects: list[Subject], since: datetime, now: datetime
) -> tuple[list[Checked], list[VisionloopError]]:
    """Each task for itself: one whose profile is missing takes no other along."""
    from contextlib import closing

    from visionloop.monitoring.drift.traffic import check_traffic
    from visionloop.monitoring.store import PredictionStore

    checked: list[Checked] = []
    problems: list[VisionloopError] = []
    with closing(PredictionStore.open(project.serving.store, project.state)) as store:
        for subject in subjects:
            try:
                checked.append(check_traffic(store, subject, project.settings, since=since, now=now))
            except BundleError as error:
                problems.append(error)
    return checked, problems


# -- what is told


def _write(project: _Project, checked: list[Checked], folder: Path | None) -> dict[str, Path]:
    """Result and report of each task, where there is a folder for them; where the reports are."""
    from visionloop.core import files
    from visionloop.monitoring.drift.summary import write_summary

    reports: dict[str, Path] = {}
    for one in checked if folder is not None else ():
        assert folder is not None
        write_summary(one.summary, folder / f"{one.summary.task}.json")
        if not project.settings.report:
            continue
        try:
            from visionloop.monitoring.drift.report import drift_report

            page = drift_report(
                one.summary,
                one.profile,
                one.sent,
                _pictures(project, one.profile.info),
                critical_auc=project.settings.critical_auc,
            )
        except ImportError as error:
            click.echo(f"no report: {error.name} is not installed (visionloop[train] has it)", err=True)
            return reports
        reports[one.summary.task] = folder / f"{one.summary.task}.html"
        files.write_text(reports[one.summary.task], page)
    return reports


def _pictures(project: _Project, info: ProfileInfo) -> Pictures:
    """Pictures as far as they are here: kept by the service, and of the dataset the model was made from."""
    from visionloop.config import load_config
    from visionloop.core.images import decode_image
    from visionloop.core.places import params_path
    from visionloop.data.samples import Dataset
    from visionloop.monitoring.drift.report import Pictures
    from visionloop.serving.kept import kept_image

    def sent(sha256: str) -> ImageArray | None:
        path = kept_image(project.state / project.serving.images.folder, sha256)
        try:
            return decode_image(path.read_bytes(), where=path.name) if path else None
        except (OSError, VisionloopError):
            return None  # deleted or damaged meanwhile; the page says that a picture is not there

    try:
        build = load_config(root=project.root, params=params_path(project.root)).general.build
    except VisionloopError:
        build = "build"  # settings of a service alone, which say nothing of data
    try:
        dataset = Dataset.open(project.root / build / info.task / "dataset")
        # Of another dataset the same id is another picture.
        chosen = dataset.samples(info.split) if dataset.info.name == info.dataset else []
    except VisionloopError:
        return Pictures(sent=sent, reference=lambda _: None)
    samples = {sample.id: sample for sample in chosen}

    def reference(id_: str) -> ImageArray | None:
        try:
            return dataset.read_image(samples[id_]) if id_ in samples else None
        except (OSError, VisionloopError):
            return None

    return Pictures(sent=sent, reference=reference)


def _tell_others(project: _Project, checked: list[Checked], reports: dict[str, Path], now: datetime) -> None:
    """The file that alerts read, and the summaries that /metrics shows."""
    from visionloop.core import files
    from visionloop.monitoring.drift.findings import drift_file
    from visionloop.monitoring.drift.summary import write_summary
    from visionloop.monitoring.drift.thumbnails import write_thumbnails

    for one in checked:
        latest = _latest_folder(project) / f"{one.summary.task}.json"
        # Pictures first: a summary without them is shown with those of the check before, if they are its bundle's.
        write_thumbnails(one.summary, _pictures(project, one.profile.info).reference, latest)
        write_summary(one.summary, latest)
    evidence = {task: _shown(project, path) for task, path in reports.items()}
    path = project.state / project.alerts.drift_file
    path.parent.mkdir(parents=True, exist_ok=True)
    found = drift_file([one.summary for one in checked], evidence, now)
    files.write_text(path, found.model_dump_json(indent=2) + "\n")


def _log_runs(project: _Project, checked: list[Checked], reports: dict[str, Path]) -> None:
    """A run in MLflow for each check; a server that is away is said, and is no failure."""
    from visionloop.registry.drift import log_drift

    for one in checked:
        try:
            log_drift(_registry(project), project.root, one.summary, reports.get(one.summary.task))
        except VisionloopError as error:
            click.echo(f"not logged in MLflow: {error}", err=True)
            return


def _shown(project: _Project, path: Path) -> str:
    """A path for people: from the state folder on, where it lies below it."""
    resolved, state = path.resolve(), project.state.resolve()
    return resolved.relative_to(state).as_posix() if resolved.is_relative_to(state) else str(resolved)


def _plain(summary: DriftSummary) -> dict[str, object]:
    return summary.model_dump(mode="json") | {"status": summary.status, "sentence": summary.sentence()}


def _show(summaries: list[DriftSummary], reports: dict[str, Path]) -> None:
    from visionloop.monitoring.drift.render import summary_lines, tests_table

    try:
        from rich.console import Console
    except ImportError:
        for summary in summaries:
            click.echo(f"{summary.task}  {summary.model} {summary.version}  {summary.sentence()}")
        return
    console = Console()
    if not console.is_terminal:
        # A pipe has no width of its own; cells must not be cut there.
        console = Console(width=160)
    for number, summary in enumerate(summaries):
        if number:
            console.print()
        for line in summary_lines(summary):
            console.print(line, soft_wrap=True)
        if summary.latest.result.tests:
            console.print(tests_table(summary.latest.result))
        if summary.task in reports:
            console.print(f"report: {reports[summary.task]}", soft_wrap=True, highlight=False)
