"""Verdict, registration and promotion of a retraining, on a registry that is real and a model that is one threshold."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.contract import tiny_plan
from tests.evaluation.fake import make_bundle, make_dataset
from tests.registry.conftest import EVALUATION, MODEL, NOW, Project
from visionloop.artifact.bundle import Bundle
from visionloop.artifact.deployment import Deployment
from visionloop.core.errors import VisionloopError
from visionloop.core.files import sha256_bytes
from visionloop.data.overlay import LabelledImage, Overlay, TrueObject
from visionloop.evaluation.evaluate import evaluate
from visionloop.evaluation.settings import GateSettings
from visionloop.monitoring.history.suspects import SuspectKey, read_suspects
from visionloop.registry.champions import rollback
from visionloop.registry.settings import RegistrySettings
from visionloop.registry.submit import submit
from visionloop.retraining import steps
from visionloop.retraining.collect import Collected, Held
from visionloop.retraining.job import Outdated, Run, StepResult
from visionloop.retraining.settings import RetrainingSettings
from visionloop.retraining.state import RunState, StepState
from visionloop.task import task_names

GATE = GateSettings(floors={"accuracy": 0.5}, max_class_drop=None)
GREY = range(96, 160, 2)
"""Recent images lie around the threshold, so that a small difference of models is seen there."""


class Retraining:
    """The last steps of a run for a model with a threshold; the best is 127.5."""

    def __init__(self, project: Project, threshold: float, **settings: Any) -> None:
        self.project, self.settings = project, RetrainingSettings(**settings)
        name = f"r{threshold:g}"
        self.folder = project.root / "runs" / name
        self.build = self.folder / "work"
        make_bundle(self.build / "bundle", threshold=threshold)
        make_dataset(self.build / "dataset", brightness=range(0, 256, 2))
        evaluate(EVALUATION, self.build / "bundle", self.build / "dataset", self.build / "evaluation")
        make_dataset(self.build / "recent", brightness=GREY, name="greys-recent")
        evaluate(EVALUATION, self.build / "bundle", self.build / "recent", self.build / "evaluation-recent")
        state = RunState(
            run=name, task="brightness", status="running", reasons=("labels",), who="ann", started_at=NOW, steps=()
        )
        self.run = Run(state, self.folder)

    def judge(self) -> StepResult:
        project = self.project
        found = steps.judge_run(self.run, project.settings, GATE, EVALUATION, self.settings, project.root, self.build)
        return self._remember("judge", found)

    def register(self) -> StepResult:
        return self._remember(
            "register", steps.register_run(self.run, self.project.settings, self.project.root, self.build)
        )

    def promote(self) -> StepResult:
        return steps.promote_run(self.run, self.project.settings, self.settings, self.project.root, now=NOW)

    def all(self) -> StepResult:
        for step in (self.judge, self.register):
            found = step()
            if found.outcome is not None:
                return found
        return self.promote()

    def _remember(self, name: str, found: StepResult) -> StepResult:
        others = tuple(item for item in self.run.state.steps if item.name != name)
        done = StepState(name=name, status="done", result=found.values)
        self.run = replace(self.run, state=self.run.state.model_copy(update={"steps": (*others, done)}))
        return found


def champion(project: Project, threshold: float = 159.0) -> str:
    """A champion whose threshold is too high, made by the ordinary pipeline."""
    folder = project.make("champion", threshold=threshold)
    found = submit(
        project.settings, GATE, EVALUATION, project.root, bundle_root=folder / "bundle",
        evaluation_dir=folder / "evaluation", dataset_root=project.dataset(), who="pipeline", now=NOW,
    )  # fmt: skip
    assert found.champion is not None
    return found.champion


def serving(project: Project) -> str:
    return Deployment.read(project.root / "mlruns/deployment.json").tasks["brightness"].champion.version


def test_from_a_verdict_to_the_service_and_back(
    project: Project, killed_promoting: Callable[[Callable[[], object]], None]
) -> None:
    champion(project)
    job = Retraining(project, 127.5, promotion="none")
    judged = job.judge()
    assert judged.values["frozen"] == {"images": 128, "challenger": 1.0, "champion": 0.875}
    assert judged.values["recent"] == {"images": 32, "challenger": 1.0, "champion": 0.5}
    assert job.register().outcome is None
    assert (job.promote().outcome, serving(project)) == ("approved", "1")

    job.settings = RetrainingSettings(promotion="canary")
    found = job.promote()
    canary = Deployment.read(project.root / "mlruns/deployment.json").tasks["brightness"].canary
    assert (found.outcome, canary and (canary.version, canary.share)) == ("canary", ("2", 0.1))
    assert found.line.endswith(f"visionloop promote {MODEL} 2")

    # Killed; then called again, twice.
    job.settings = RetrainingSettings()
    killed_promoting(job.promote)
    assert (project.aliases()["champion"], serving(project)) == ("2", "1")
    for _ in range(2):
        assert (job.promote().outcome, serving(project)) == ("promoted", "2")
    audit = [json.loads(line) for line in (project.root / "mlruns/audit.jsonl").read_text().splitlines()]
    assert [(line["action"], line["to_version"], line["who"]) for line in audit] == [
        ("promote", "1", "pipeline"), ("canary", "2", "ann (retraining)"), ("promote", "2", "ann (retraining)"),
    ]  # fmt: skip
    assert audit[-1]["why"].startswith("retraining r127.5: promote")
    assert job.judge().outcome == "unchanged"

    # What is worse on recent images is registered, and stays there.
    worse = Retraining(project, 131.5)
    found = worse.all()
    assert (found.outcome, project.aliases()) == ("refused", {"champion": "2", "challenger": "3"})
    assert "on recent images refuse: accuracy 0.9375 is lower than the champion's 1.0000" in found.line
    verdict = json.loads((worse.folder / "verdict.json").read_text())
    assert [c["passed"] for c in verdict["checks"] if c["name"] == "recent: not worse: accuracy"] == [False]

    # What a person took back is not promoted by a machine.
    rollback(project.settings, project.root, MODEL, who="ann", why="complaints", now=NOW)
    found = job.all()
    assert (found.outcome, project.aliases()["champion"]) == ("refused", "1")
    assert "taken back by hand" in found.line


def test_a_champion_that_changed_since_is_judged_against(project: Project) -> None:
    champion(project)
    job = Retraining(project, 120.5)
    job.judge()
    job.register()
    other = project.register(project.make("other")).version
    project.promote(other, "1")
    with pytest.raises(Outdated) as error:
        job.promote()
    assert error.value.step == "judge"
    assert job.all().outcome == "refused"
    assert project.aliases()["champion"] == other


@pytest.mark.parametrize("name", task_names())
def test_a_training_begins_with_the_champions_weights(name: str, tmp_path: Path) -> None:
    bundle = Bundle.open(make_bundle(tmp_path / "bundle"), verify=False)
    plan = tiny_plan(name)
    trained = plan.learner(3).module.state_dict()
    trained = {key: (value + 1 if value.is_floating_point() else value).contiguous() for key, value in trained.items()}
    save_file(trained, bundle.root / "weights.safetensors")
    path = steps.champion_weights(bundle, tmp_path / "weights")
    assert bundle.digest[:16] in path.name
    begun = replace(plan, model=plan.model.model_copy(update={"weights": str(path)})).learner(3).module.state_dict()
    assert all(torch.equal(begun[key], trained[key]) for key in trained)
    assert steps.serving_champion(RegistrySettings(), tmp_path, name) is None


def test_the_same_data_and_settings_teach_nothing_new(tmp_path: Path) -> None:
    bundle = Bundle.open(make_bundle(tmp_path / "bundle", train_key="k"), verify=False)
    plan = {"model": {"width": 4, "weights": None}, "training": {"max_epochs": 3}}
    manifest = bundle.manifest.model_copy(update={"training": {"plan": plan}})
    known = Bundle(bundle.root, manifest)
    warm = {**plan, "model": {"width": 4, "weights": "champion.pt"}}
    assert steps.nothing_new(known, "0" * 64, plan)
    assert steps.nothing_new(known, "0" * 64, warm)
    assert not steps.nothing_new(known, "1" * 64, plan)
    assert not steps.nothing_new(known, "0" * 64, {**plan, "training": {"max_epochs": 4}})
    assert not steps.nothing_new(None, "0" * 64, plan)


@pytest.fixture
def collected(tmp_path: Path) -> tuple[Run, Collected, Callable[[str], Path | None]]:
    kept = tmp_path / "kept.png"
    kept.write_bytes(b"image")
    digest = sha256_bytes(b"image")
    image = LabelledImage(
        sha256=digest, file=f"images/{digest}.png", width=1, height=1, part="train",
        objects=(TrueObject(name="7"),), judged_at=datetime(2026, 3, 1, tzinfo=UTC), judged_by=("ann",),
    )  # fmt: skip
    text = "ann says 7, and bob says 3"
    held = Held(image="f" * 64, reason="conflict", text=text, keys=("ann", "bob"), predictions=("p",))
    found = Collected(
        images=(image,), added=1, changed=0, withdrawn=(), held=(held,), suspicious={}, num_words=3, num_unlabelled=0,
        num_known=0, num_denied=0, suspects=(SuspectKey(key="eve", since=NOW, kind="burst"),),
    )  # fmt: skip
    state = RunState(run="r", task="t", status="running", reasons=(), who="ann", started_at=NOW, steps=())
    (tmp_path / "run").mkdir()
    return Run(state, tmp_path / "run"), found, lambda sha: kept if sha == digest else None


def test_a_version_is_what_was_collected(
    collected: tuple[Run, Collected, Callable[[str], Path | None]], tmp_path: Path
) -> None:
    run, found, find = collected
    steps.save_collected(run, found, tmp_path)
    assert read_suspects(tmp_path, "t") == (SuspectKey(key="eve", since=NOW, kind="burst"),)
    assert 'conflict,"ann says 7, and bob says 3",ann bob,p' in (run.folder / "held.csv").read_text()
    for _ in range(2):
        done = steps.write_version(run, tmp_path / "overlay", find, lambda: "pinned")
        assert done.line.endswith("1 train, 0 val, 0 recent; pinned")
    assert Overlay.open(tmp_path / "overlay").digest == done.values["digest"]


def test_an_image_that_vanished_since_stops_the_version(
    collected: tuple[Run, Collected, Callable[[str], Path | None]], tmp_path: Path
) -> None:
    run, found, _ = collected
    steps.save_collected(run, found, tmp_path)
    with pytest.raises(VisionloopError, match="is gone since it was collected"):
        steps.write_version(run, tmp_path / "overlay", lambda sha: None, lambda: "pinned")
    assert not (tmp_path / "overlay").exists()
