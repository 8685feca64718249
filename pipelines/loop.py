"""One task's way from feedback to a promoted model: the pipeline's own stages, and what retraining adds around them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines import evaluate, export, prepare, train
from visionloop.artifact.deployment import Deployment
from visionloop.config import Config, load_config
from visionloop.core.errors import ConfigError, VisionloopError
from visionloop.core.places import state_root
from visionloop.data.overlay import Overlay
from visionloop.registry.audit import champion_since
from visionloop.retraining.canary import Trial, settle
from visionloop.retraining.collect import Collected, collect
from visionloop.retraining.feedback import FeedbackPlace, known_truths, read_feedback
from visionloop.retraining.job import Job, Run, Step, StepResult
from visionloop.retraining.judgements import Judgement
from visionloop.retraining.state import Journal
from visionloop.retraining.triggers import Decision, judged_answers, look, read_drift


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
            judged=[] if champion is None else judged_answers(trusted, digest=champion.digest, since=since),
            new_labels=collected.added + collected.changed,
            champion_since=self._champion_since(),
            trial=self._on_trial(now),
            force=force,
        )
        return decision, collected

    def _champion_since(self) -> datetime | None:
        registry, root = self.config.general.registry, self.config.root
        lineup = Deployment.read(root / registry.pointer).tasks.get(self.task)
        return None if lineup is None else champion_since(root / registry.audit, lineup.champion.model)

    def _on_trial(self, now: datetime) -> str:
        try:
            trial = self.settle_canary(now, "", act=False)
        except VisionloopError:
            # It is told where the canary is settled, and keeps no task from its retraining.
            return ""
        return trial.line if trial is not None and trial.outcome == "waiting" else ""

    def settle_canary(self, now: datetime, who: str, *, act: bool = True) -> Trial | None:
        """Promote or end the task's canary where it is time, or with `act` off say so; None where none is on trial."""
        general = self.config.general
        return settle(
            general.retraining.canary,
            general.registry,
            general.serving.store,
            task=self.task,
            root=self.config.root,
            state=self.state,
            who=who,
            now=now,
            act=act,
        )

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
            Step("collect", lambda run: steps.save_collected(run, self.collected(self.words()), self.state)),
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

        inside = self.inside(run)
        block = inside.selected
        line = prepare.stage(inside)
        dataset = Dataset.open(inside.build("dataset"))
        recent = prepare_recent(block.data, block.task.requirements, dataset, inside.build("recent"), root=inside.root)
        values = {"dataset": dataset.info.content_hash, "recent": 0 if recent is None else len(recent)}
        if not run.state.forced and self._knows(inside, dataset.info.content_hash):
            line = "the data and settings are the champion's: nothing new to learn"
            return StepResult(line=line, values=values, outcome="unchanged")
        return StepResult(line=f"{line}; {values['recent']} recent test images", values=values)

    def _knows(self, inside: Config, dataset_hash: str) -> bool:
        """Whether a training would repeat the champion's."""
        from visionloop.retraining.steps import nothing_new, serving_champion

        champion = serving_champion(inside.general.registry, inside.root, self.task)
        # Loading what describes a training takes seconds; most of the time the data say it.
        if champion is None or champion.manifest.dataset.get("content_hash") != dataset_hash:
            return False
        from visionloop.training.plan import TrainingPlan

        block = inside.selected
        plan = TrainingPlan(
            task=block.task, model=block.model, augment=block.augment, recipe=block.recipe, training=block.training
        )
        return nothing_new(champion, dataset_hash, plan.describe())


@functools.cache
def _compose(root: Path, overrides: tuple[str, ...]) -> Config:
    return load_config(overrides, root=root)
