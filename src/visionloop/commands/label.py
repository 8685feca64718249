"""`visionloop label`: chosen images to Label Studio and CVAT, their labels back, and a label deleted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from visionloop.core.errors import DataError, VisionloopError, near_matches

if TYPE_CHECKING:
    from visionloop.artifact.deployment import Lineup
    from visionloop.data.findings import Finding
    from visionloop.monitoring.exchange.records import Read, ToLabel
    from visionloop.monitoring.store import PredictionStore
    from visionloop.retraining.forget import Forgotten
    from visionloop.retraining.intake import Intake
    from visionloop.serving.settings import ServingSettings

_SHOWN = 20
"""Findings and conflicts that are shown; JSON has all."""


class _Project(NamedTuple):
    """The project in the working directory."""

    root: Path
    state: Path
    serving: ServingSettings

    def lineups(self) -> dict[str, Lineup]:
        """What is deployed, by task."""
        from visionloop.artifact.deployment import Deployment

        return dict(Deployment.read(self.root / self.serving.pointer).tasks)

    def bundle(self, lineup: Lineup) -> Path:
        """The champion's bundle."""
        from visionloop.artifact.deployment import Deployment

        pointer = self.root / self.serving.pointer
        return Deployment.read(pointer).bundle_path(pointer, lineup.champion)

    def classes(self, task: str) -> tuple[str, ...] | None:
        """Those of the champion; None where none is deployed."""
        from visionloop.artifact.bundle import Bundle

        lineup = self.lineups().get(task)
        return None if lineup is None else Bundle.open(self.bundle(lineup), verify=False).manifest.classes

    def image(self, sha256: str) -> Path | None:
        """The kept image of a hash, or None."""
        from visionloop.serving.kept import kept_image

        return kept_image(self.state / self.serving.images.folder, sha256)


@click.group(short_help="Have images labelled in Label Studio or CVAT.")
def label() -> None:
    """Have images labelled in Label Studio or CVAT, take labels in, delete one."""


@label.command("export", short_help="Write the images most useful to label.")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--task", help="Whose images; needed when several tasks are deployed.")
@click.option(
    "--format", "form", type=click.Choice(["label-studio", "cvat"]), default="label-studio", show_default=True
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Most images.")
@click.option(
    "--files-root", metavar="FOLDER",
    help="Label Studio: write images to OUT/images and refer to them as local files; FOLDER is OUT as seen from Label "
    "Studio's LOCAL_FILES_DOCUMENT_ROOT. Without it they are embedded.",
)  # fmt: skip
def export_labels(out: Path, task: str | None, form: str, limit: int, files_root: str | None) -> None:
    """Write the images most useful to label to OUT: a folder for Label Studio, a zip for CVAT.

    They are those of the page's queue: chosen before and judged by nobody, and more as far as the day's budget
    (serving.labelling.per_day) allows. The model's answers come along as pre-annotations.
    """
    project = _project()
    name = _named(project, task)
    with _store(project) as store:
        items = _chosen(project, store, name, limit)
    if not items:
        raise VisionloopError(
            "no image is to be labelled",
            where=f"task {name}",
            expected="stored predictions whose image is kept (serving.images.keep) that nobody has judged",
            action="ask the service about more images; or the day's budget is spent: serving.labelling.per_day",
        )
    if out.exists() and (form == "cvat" or any(out.iterdir() if out.is_dir() else [out])):
        raise VisionloopError(
            "it exists", where=str(out), expected="a new name, or for Label Studio an empty folder",
            action="choose another name",
        )  # fmt: skip
    classes = project.classes(name) or ()
    if form == "cvat":
        from visionloop.core import files
        from visionloop.monitoring.exchange import cvat

        files.write_bytes(out, cvat.archive(items, classes))
    else:
        _write_tasks(out, items, classes, files_root)
    click.echo(f"{len(items)} images of {name} in {out}")


@label.command("import", short_help="Store the labels of an export.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check, and show what would be stored; write nothing.")
@click.option("--partial", is_flag=True, help="Take what can be taken although something cannot.")
@click.option("--untouched", is_flag=True, help="CVAT: images nobody changed were looked at too, and are right.")
@click.option("--annotator", help="CVAT: who labelled; by default the assignee that the file names.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def import_labels(
    file: Path, dry_run: bool, partial: bool, untouched: bool, annotator: str | None, as_json: bool
) -> None:
    """Store the labels of FILE, an export of Label Studio (JSON) or CVAT (for images 1.1, XML or zip), as feedback.

    The same file again changes nothing. Every annotator is a key of its own, such as label-studio/3, which
    retraining.labels can trust or distrust. Exit status 1 when something cannot be taken; then nothing is stored
    unless --partial.
    """
    from visionloop.retraining.intake import take_in

    project = _project()
    read = _read(file, untouched=untouched, annotator=annotator)
    with _store(project) as store:
        intake = take_in(
            read,
            file.name,
            find=store.prediction,
            has_boxes=_has_boxes,
            classes=_cached(project.classes),
            box_iou=_box_iou(project),
            now=datetime.now(UTC),
        )
        writes = not dry_run and (partial or not intake.findings)
        stored = sum(store.add_feedback(row) for row in intake.rows) if writes else 0
    if as_json:
        click.echo(json.dumps(_plain(intake, stored), indent=2, ensure_ascii=False))
    else:
        _show(intake, stored, dry_run=dry_run)
    if intake.findings:
        raise click.exceptions.Exit(1)


@label.command("delete", short_help="Delete the label on a prediction or an image.")
@click.argument("id_", metavar="ID")
@click.option("--task", help="Whose label; needed only where ID is an image's and several tasks are configured.")
@click.option("--key", help="Only what was said with this key's id; by default everybody's words on it.")
@click.option("--with-image", is_flag=True, help="Delete the kept image and all its predictions too.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted; delete nothing.")
def delete_label(id_: str, task: str | None, key: str | None, with_image: bool, dry_run: bool) -> None:
    """Delete the label given on prediction ID, or on the image with the SHA-256 ID.

    From the store, from the labels gathered for training (the next dataset version lacks it), and from the reports of
    retrainings. Not from a running training, nor from earlier versions in DVC's cache.
    """
    from visionloop.retraining.forget import forget
    from visionloop.retraining.job import exclusive

    project = _project()
    with _store(project) as store:
        answer = store.prediction(id_)
        name = str(answer["task"]) if answer is not None else task or _named(project, None)
        places, folder = _places(project, name)
        with exclusive(folder):
            found = forget(store, places, id_, key=key, with_image=with_image, dry_run=dry_run)
    _show_forgotten(found, dry_run=dry_run)


# -- the project


def _project() -> _Project:
    from visionloop.core.places import project_root, state_root
    from visionloop.serving.settings import load_settings

    root = project_root()
    return _Project(root, state_root(root), load_settings(root))


@contextmanager
def _store(project: _Project) -> Iterator[PredictionStore]:
    from visionloop.monitoring.store import PredictionStore
    from visionloop.monitoring.store.engine import parse_url

    _, path = parse_url(project.serving.store.url, project.state)
    if path is not None and not path.exists():
        raise DataError(
            "there is no prediction store",
            where=str(path),
            expected="the database that the service writes",
            action="run this in the service's project; where its state lies elsewhere, set VISIONLOOP_STATE",
        )
    # An id that is not there is looked for again after this long: what is labelled is not of the last second.
    settings = project.serving.store.model_copy(update={"flush_s": 0.01})
    with closing(PredictionStore.open(settings, project.state)) as store:
        yield store


def _named(project: _Project, task: str | None) -> str:
    deployed = sorted(project.lineups())
    if task is None and len(deployed) == 1:
        return deployed[0]
    if task is None or task not in deployed:
        raise VisionloopError(
            "no task is named" if task is None else f"no task {task!r} is deployed",
            where="option --task",
            expected=near_matches(task or "", deployed) if deployed else "a deployed task",
            action="name one with --task" if deployed else "deploy a model first: visionloop deploy MODEL",
        )
    return task


def _has_boxes(task: str) -> bool:
    from visionloop.task import load_task

    return load_task(task).requirements.boxes


def _cached(look: Callable[[str], tuple[str, ...] | None]) -> Callable[[str], tuple[str, ...] | None]:
    import functools

    return functools.cache(look)


def _box_iou(project: _Project) -> float:
    from visionloop.core.places import params_path
    from visionloop.core.settings import load_block
    from visionloop.retraining.settings import RetrainingSettings

    return load_block(RetrainingSettings, params_path(project.root), "retraining").labels.box_iou


def _places(project: _Project, task: str) -> tuple[Any, Path]:
    """Where a task's labels lie, and the folder of all retrainings."""
    from visionloop.config import load_config
    from visionloop.core.places import params_path
    from visionloop.retraining.feedback import FeedbackPlace
    from visionloop.retraining.forget import LabelPlaces

    config = load_config(root=project.root, params=params_path(project.root))
    if task not in config.blocks:
        raise VisionloopError(
            f"there is no task {task!r}",
            where="option --task",
            expected=near_matches(task, config.blocks),
            action="correct the name",
        )
    overlay = config.blocks[task].data.overlay or f"data/{task}/.feedback"
    folder = project.state / config.general.retraining.folder
    serving = project.serving
    place = FeedbackPlace(store=serving.store, state=project.state, images=serving.images.folder)
    return LabelPlaces(place=place, overlay=project.root / overlay, runs=folder / task), folder


# -- export


def _chosen(project: _Project, store: PredictionStore, task: str, limit: int) -> list[ToLabel]:
    from visionloop.artifact.bundle import Bundle
    from visionloop.monitoring.exchange.records import ToLabel
    from visionloop.monitoring.labelling.rounds import Model, to_label
    from visionloop.serving.to_label import reference_space

    bundle = Bundle.open(project.bundle(project.lineups()[task]), verify=False)
    model = Model(
        digest=bundle.digest,
        num_classes=len(bundle.manifest.classes),
        space=reference_space(bundle.root, bundle.digest),
    )
    asked = to_label(
        store, task, project.serving.labelling, model, limit=limit,
        has_image=lambda sha256: project.image(sha256) is not None, now=datetime.now(UTC),
    )  # fmt: skip
    items: list[ToLabel] = []
    for one in asked:
        row = store.prediction(one.id)
        path = None if row is None else project.image(row["image_sha256"])
        if row is None or path is None:
            continue
        same = {name: row[name] for name in ("image_sha256", "task", "model", "version", "width", "height", "result")}
        items.append(
            ToLabel(prediction_id=one.id, reason=one.reason, image=path.read_bytes(), suffix=path.suffix, **same)
        )
    return items


def _write_tasks(out: Path, items: Sequence[ToLabel], classes: Sequence[str], files_root: str | None) -> None:
    from visionloop.core import files
    from visionloop.monitoring.exchange import label_studio

    tasks = []
    for item in items:
        place = None
        if files_root is not None:
            files.write_bytes(out / "images" / item.file, item.image)
            place = f"/data/local-files/?d={files_root.strip('/')}/images/{item.file}".replace("?d=/", "?d=")
        tasks.append(label_studio.task(item, place))
    files.write_json(out / "tasks.json", tasks)
    config = label_studio.labelling_config(classes, boxes=_has_boxes(items[0].task))
    files.write_text(out / "labelling.xml", config)


# -- import


def _read(file: Path, *, untouched: bool, annotator: str | None) -> Read:
    from visionloop.monitoring.exchange import cvat, label_studio

    most = label_studio.MAX_EXPORT_BYTES
    try:
        size = file.stat().st_size
        if size > most:
            raise VisionloopError(
                f"the file has {size:,} bytes", where=str(file), expected=f"at most {most:,}",
                action="export fewer tasks at once",
            )  # fmt: skip
        data = file.read_bytes()
    except OSError as error:
        raise VisionloopError(
            f"the file cannot be read ({error.strerror})", where=str(file),
            expected="an export of Label Studio (JSON) or CVAT (XML or zip)", action="correct the path",
        ) from None  # fmt: skip
    if data.lstrip()[:1] in (b"[", b"{"):
        return label_studio.read_export(data, file.name)
    return cvat.read(data, file.name, untouched=untouched, annotator=annotator)


def _plain(intake: Intake, stored: int) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "stored": stored,
        "new": len(intake.rows),
        "unchanged": intake.num_unchanged,
        "skipped": intake.num_skipped,
        "untouched": intake.num_untouched,
        "conflicts": [asdict(conflict) for conflict in intake.conflicts],
        "findings": [asdict(finding) for finding in intake.findings],
    }


def _show(intake: Intake, stored: int, *, dry_run: bool) -> None:
    for conflict in intake.conflicts[:_SHOWN]:
        click.echo(f"conflict on {conflict.prediction_id}: {conflict.text}; retraining waits until they agree")
    _more(len(intake.conflicts), "conflicts")
    for finding in intake.findings[:_SHOWN]:
        click.echo(f"error: {_four_facts(finding)}", err=True)
    _more(len(intake.findings), "errors")
    new = len(intake.rows)
    done = f"{new} labels would be stored" if dry_run else f"{stored} labels stored"
    if not dry_run and new > stored:
        done += f", {new - stored} not: correct the errors above, or use --partial"
    counts = {
        "as before": intake.num_unchanged,
        "cancelled": intake.num_skipped,
        "annotated by nobody": intake.num_untouched,
        "in conflict": len({conflict.prediction_id for conflict in intake.conflicts}),
    }
    click.echo("; ".join([done, *(f"{count} {what}" for what, count in counts.items() if count)]))


def _four_facts(finding: Finding) -> VisionloopError:
    where = f"{finding.file}, {finding.record}" if finding.record else finding.file
    return VisionloopError(finding.found, where=where, expected=finding.expected, action=finding.action)


def _more(count: int, what: str) -> None:
    if count > _SHOWN:
        click.echo(f"... and {count - _SHOWN} more {what}; --json has all", err=True)


# -- delete


def _show_forgotten(found: Forgotten, *, dry_run: bool) -> None:
    words = sum(found.words.values())
    parts = [f"{words} word{'' if words == 1 else 's'} of people"]
    if found.labelled:
        parts.append("the label gathered for training")
    if found.reports:
        parts.append(f"its mention in {len(found.reports)} retraining reports")
    if found.predictions:
        parts.append(f"{len(found.predictions)} predictions of the image")
    if found.kept is not None:
        parts.append("the kept image")
    click.echo(f"{'would delete' if dry_run else 'deleted'}: {', '.join(parts)}")
    if found.remains:
        click.echo(f"{found.remains} words on the same image stay; the next retraining makes a label of them again")
    if found.labelled and not dry_run:
        click.echo("dvc add data, and commit data.dvc; earlier versions keep the image until `dvc gc` removes them")
