"""From feedback to a promoted model: the pipeline's own stages between labels and promotion, as one job.

Exit status: 0 when it ran, or there was nothing to do; 1 when it failed (the same command continues it); 2 for a wrong
use; 75 when another retraining is at work.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import getpass
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines import evaluate, export, prepare, train
from pipelines.stage import guarded
from visionloop.config import Config, load_config
from visionloop.core.errors import BusyError, ConfigError, VisionloopError, near_matches
from visionloop.data.overlay import Overlay
from visionloop.retraining.collect import Collected, collect
from visionloop.retraining.feedback import FeedbackPlace, known_truths, read_feedback
from visionloop.retraining.job import BUSY_STATUS, Job, Run, Step, StepResult, exclusive
from visionloop.retraining.judgements import Judgement
from visionloop.retraining.report import status_text, tell_alerts
from visionloop.retraining.state import Journal, RunState
from visionloop.retraining.triggers import Decision, answers_right, look, read_drift


@dataclass(frozen=True, slots=True)
class Loop:
    """One task's way from feedback to a promoted model.

    Attributes:
        config: With the task selected.
        state: Folder at which relative paths of what the service writes start.
    """

    config: Config
    state: Path

    @classmethod
    def of(cls, config: Config) -> Loop:
        """With the state folder that the service uses."""
        from visionloop.serving.front import state_root

        return cls(config, state_root(config.root))

    @property
    def task(self) -> str:
        """Its name."""
        return self.config.general.task

    @property
    def folder(self) -> Path:
        """Of all tasks' retrainings."""
        return self.state / self.config.general.retraining.folder

    @property
    def journal(self) -> Journal:
        """Of this task."""
        return Journal(self.folder / self.task)

    @property
    def overlay_root(self) -> Path:
        """Where labels go.

        Raises:
            ConfigError: no folder is set.
        """
        name = self.config.selected.data.overlay
        if name is None:
            raise ConfigError(
                "there is no folder for labels from feedback",
                where=f"setting {self.task}.data.overlay",
                expected="a folder below data/, which data.dvc tracks",
                action=f"set {self.task}.data.overlay: data/{self.task}/.feedback",
            )
        return self.config.root / name

    @property
    def place(self) -> FeedbackPlace:
        """Where feedback and images are."""
        serving = self.config.general.serving
        return FeedbackPlace(store=serving.store, state=self.state, images=serving.images.folder)

    def job(self) -> Job:
        """The job."""
        settings = self.config.general.retraining
        return Job(
            self.journal,
            self.steps(),
            attempts=settings.attempts,
            keep_runs=settings.keep_runs,
            show=lambda line: print(f"{self.task}: {line}", flush=True),
        )

    def words(self) -> list[Judgement]:
        """All feedback on the task."""
        requirements = self.config.selected.task.requirements
        labelled = bool(Overlay.open(self.overlay_root).images)
        return read_feedback(self.place, self.task, requirements, expected=labelled)

    def collected(self, words: Sequence[Judgement]) -> Collected:
        """The next version of the labels; writes nothing."""
        from visionloop.retraining.steps import serving_champion

        block = self.config.selected
        champion = serving_champion(self.config.general.registry, self.config.root, self.task)
        return collect(
            words,
            Overlay.open(self.overlay_root),
            self.config.general.retraining.labels,
            block.data.split,
            known=known_truths(self.config.build("dataset")),
            classes=None if champion is None else champion.manifest.classes,
            find=self.place.find,
        )

    def decide(self, now: datetime, *, force: bool) -> tuple[Decision, Collected]:
        """Whether to start, and what the labels would be."""
        from visionloop.retraining.steps import serving_champion

        general = self.config.general
        settings = general.retraining.triggers
        words = self.words()
        collected = self.collected(words)
        champion = serving_champion(general.registry, self.config.root, self.task)
        trusted = [word for word in words if word.key not in collected.suspicious]
        since = now - timedelta(days=settings.accuracy_days)
        decision = look(
            settings,
            task=self.task,
            now=now,
            history=self.journal.history(),
            drift=read_drift(self.state / general.monitoring.alerts.drift_file),
            right=[] if champion is None else answers_right(trusted, digest=champion.digest, since=since),
            new_labels=collected.added + collected.changed,
            force=force,
        )
        return decision, collected

    def steps(self) -> list[Step]:
        """The job's steps; training, export and evaluation are the pipeline's own stages in a folder of the run."""
        from visionloop.retraining import steps

        config, general, block = self.config, self.config.general, self.config.selected
        registry, settings, root = general.registry, general.retraining, config.root

        def build(run: Run) -> Path:
            return self.inside(run).build()

        def evaluated(run: Run) -> StepResult:
            from visionloop.evaluation.evaluate import evaluate as evaluate_bundle

            inside = self.inside(run)
            line = evaluate.stage(inside)
            if inside.build("recent").is_dir():
                again = block.evaluation.model_copy(update={"split": "test"})
                result = evaluate_bundle(
                    again, inside.build("bundle"), inside.build("recent"), inside.build("evaluation-recent")
                )
                value = result.summary.metrics[block.task.primary_metric]
                shown = "undefined" if value is None else format(value, ".4f")
                line += f"; recent {block.task.primary_metric} {shown} on {result.summary.num_images} images"
            return StepResult(line=line, values={})

        return [
            Step("collect", lambda run: steps.save_collected(run, self.collected(self.words()))),
            Step(
                "version",
                lambda run: steps.write_version(
                    run, self.overlay_root, self.place.find, lambda: steps.pin_by_dvc(root, self.overlay_root)
                ),
            ),
            Step("prepare", self._prepare),
            Step("train", lambda run: StepResult(line=train.stage(self.inside(run, training=True)), values={})),
            Step("export", lambda run: StepResult(line=export.stage(self.inside(run)), values={})),
            Step("evaluate", evaluated),
            Step(
                "judge",
                lambda run: steps.judge_run(run, registry, block.gate, block.evaluation, settings, root, build(run)),
            ),
            Step("register", lambda run: steps.register_run(run, registry, root, build(run))),
            Step("promote", lambda run: steps.promote_run(run, registry, settings, root, now=datetime.now(UTC))),
            Step("clean", lambda run: steps.keep_reports(run, build(run))),
        ]

    def inside(self, run: Run, *, training: bool = False) -> Config:
        """The configuration with everything derived in the run's own folder; `dvc repro`'s stays untouched."""
        from visionloop.retraining.steps import champion_weights, serving_champion

        settings, folder = self.config.general.retraining, run.work.resolve()
        config = self.config
        if settings.overrides:
            config = _compose(config.root, (f"task={self.task}", *settings.overrides))
        paths = {"build": str(folder), "reports": str(folder / "reports")}
        config = replace(config, general=config.general.model_copy(update=paths))
        if not training or settings.start == "scratch":
            return config
        champion = serving_champion(self.config.general.registry, self.config.root, self.task)
        if champion is None:
            return config
        weights = {"weights": str(champion_weights(champion, folder / "weights"))}
        block = replace(config.selected, model=config.selected.model.model_copy(update=weights))
        return replace(config, blocks=config.blocks | {self.task: block})

    def _prepare(self, run: Run) -> StepResult:
        from visionloop.data.prepare import prepare_recent
        from visionloop.data.samples import Dataset
        from visionloop.retraining.steps import nothing_new, serving_champion
        from visionloop.training.fit import TrainingPlan

        inside = self.inside(run)
        block, root = inside.selected, inside.root
        line = prepare.stage(inside)
        dataset = Dataset.open(inside.build("dataset"))
        recent = prepare_recent(block.data, block.task.requirements, dataset, inside.build("recent"), root=root)
        plan = TrainingPlan(
            task=block.task, model=block.model, augment=block.augment, recipe=block.recipe, training=block.training
        )
        champion = serving_champion(self.config.general.registry, root, self.task)
        values = {"dataset": dataset.info.content_hash, "recent": 0 if recent is None else len(recent)}
        if not run.state.forced and nothing_new(champion, dataset.info.content_hash, plan.describe()):
            line = "the data and settings are the champion's: nothing new to learn"
            return StepResult(line=line, values=values, outcome="unchanged")
        return StepResult(line=f"{line}; {values['recent']} recent test images", values=values)


@functools.cache
def _compose(root: Path, overrides: tuple[str, ...]) -> Config:
    return load_config(overrides, root=root)


def retrain(loop: Loop, *, force: bool, restart: bool, who: str) -> RunState | None:
    """Continue or start one task's retraining, if something asks for it. Hold `exclusive`.

    Returns:
        The run, None where there was nothing to do.
    """
    job = loop.job()
    if restart:
        job.abandon("--restart")
    state = job.unfinished()
    if state is not None:
        print(f"{loop.task}: continuing {state.run}", flush=True)
        return job.work(state)
    decision, _ = loop.decide(datetime.now(UTC), force=force)
    print(f"{loop.task}: {'retraining' if decision.runs else 'no retraining'}: {decision.line}", flush=True)
    if not decision.runs:
        return None
    return job.work(job.start(loop.task, decision.reasons, who, forced=force))


def select(config: Config, task: str) -> Config:
    """The configuration with another task selected.

    Raises:
        ConfigError: there is no such task.
    """
    if task not in config.blocks:
        raise ConfigError(
            f"there is no task {task!r}",
            where="option --task",
            expected=near_matches(task, config.blocks),
            action="correct the name",
        )
    return replace(config, general=config.general.model_copy(update={"task": task}))


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see the module's text for the exit status."""
    arguments = _parser().parse_args(argv)
    failed: list[RunState] = []
    busy: list[BusyError] = []

    def work() -> None:
        config = load_config()
        loops = [Loop.of(select(config, name)) for name in arguments.task or config.general.tasks]
        if arguments.status:
            _show_status(loops, as_json=arguments.json)
        elif arguments.dry_run:
            _dry_run(loops, force=arguments.force, as_json=arguments.json)
        else:
            try:
                with exclusive(loops[0].folder):
                    failed.extend(_retrain_all(loops, arguments))
            except BusyError as error:
                busy.append(error)

    status = guarded(work)
    if busy:
        print(f"not now: {busy[0]}", file=sys.stderr)
        return BUSY_STATUS
    return status or (1 if failed else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="visionloop retrain",
        description="Make feedback into labels, labels into a dataset version, that into a model, and let the gate "
        "decide. Starts only when something asks for it (docs/retraining.md); continues what was interrupted.",
        epilog="exit status: 0 done or nothing to do, 1 failed (the same command continues), 2 wrong use, "
        f"{BUSY_STATUS} another retraining is at work",
    )
    parser.add_argument("--task", action="append", help="only this task; may be repeated")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and why; write nothing")
    parser.add_argument("--status", action="store_true", help="show the latest run, step by step")
    parser.add_argument(
        "--force", action="store_true", help="start although nothing asks for it, or cooldown or budget forbid"
    )
    parser.add_argument("--restart", action="store_true", help="give an unfinished run up first")
    parser.add_argument("--json", action="store_true", help="JSON, with --status and --dry-run")
    return parser


def _retrain_all(loops: Sequence[Loop], arguments: argparse.Namespace) -> list[RunState]:
    """Every task in turn; one that fails does not keep the others from theirs."""
    ended: list[tuple[RunState, Path]] = []
    errors: list[VisionloopError] = []
    try:
        for loop in loops:
            try:
                state = retrain(loop, force=arguments.force, restart=arguments.restart, who=getpass.getuser())
            except VisionloopError as error:
                errors.append(error)
                print(f"{loop.task}: failed: {error}", file=sys.stderr)
                continue
            if state is not None:
                ended.append((state, loop.journal.run_folder(state.run)))
                print(
                    f"{loop.task}: {state.outcome if state.status == 'done' else 'failed, the same command continues'}"
                )
    finally:
        first = loops[0]
        tell_alerts(first.state / first.config.general.monitoring.alerts.retraining_file, ended, datetime.now(UTC))
    if errors:
        raise errors[0]
    return [state for state, _ in ended if state.status == "failed"]


def _show_status(loops: Sequence[Loop], *, as_json: bool) -> None:
    if not as_json:
        print("\n".join(status_text(loop.journal, loop.task) for loop in loops))
        return
    record: dict[str, Any] = {}
    for loop in loops:
        state = loop.journal.read()
        record[loop.task] = {
            "run": None if state is None else state.model_dump(mode="json"),
            "history": [item.model_dump(mode="json") for item in loop.journal.history()],
        }
    print(json.dumps(record, indent=2, ensure_ascii=False))


def _dry_run(loops: Sequence[Loop], *, force: bool, as_json: bool) -> None:
    record: dict[str, Any] = {}
    for loop in loops:
        state = loop.journal.read()
        unfinished = state is not None and state.status in ("running", "failed")
        decision, collected = loop.decide(datetime.now(UTC), force=force)
        record[loop.task] = {
            "continues": state.run if unfinished and state is not None else None,
            "runs": decision.runs,
            "why": decision.line,
            "signals": {signal.name: {"fired": signal.fired, "text": signal.text} for signal in decision.signals},
            "labels": collected.model_dump(mode="json", exclude={"images"}),
        }
        if as_json:
            continue
        if unfinished and state is not None:
            print(f"{loop.task}: would continue {state.run}")
        print(f"{loop.task}: {'would retrain' if decision.runs else 'would not retrain'}: {decision.line}")
        for signal in decision.signals:
            print(f"  {signal.name:<9} {'asks' if signal.fired else '-':<5} {signal.text}")
        print(f"  {'labels':<9} {collected.summary()}")
        for key, text in collected.suspicious.items():
            print(f"  {'held':<9} key {key or '(none)'}: {text}")
    if as_json:
        print(json.dumps(record, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
    os._exit(1)
