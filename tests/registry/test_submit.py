from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.fake import make_bundle, make_dataset
from tests.registry.conftest import EVALUATION, MODEL, NOW, Project
from visionloop.evaluation.evaluate import evaluate
from visionloop.evaluation.settings import GateSettings
from visionloop.registry import submit as module
from visionloop.registry.champions import rollback
from visionloop.registry.connection import connect
from visionloop.registry.models import list_models
from visionloop.registry.submit import Submission, submit

GATE = GateSettings(floors={"accuracy": 0.8}, max_class_drop=None)


def send(project: Project, folder: Path, *, dataset: str = "dataset", gate: GateSettings = GATE) -> Submission:
    return submit(
        project.settings,
        gate,
        EVALUATION,
        project.root,
        bundle_root=folder / "bundle",
        evaluation_dir=folder / "evaluation",
        dataset_root=project.dataset(dataset),
        who="pipeline",
        now=NOW,
    )


def test_first_then_better_then_worse(project: Project) -> None:
    first = send(project, project.make("m0", threshold=159.0))
    assert (first.champion, first.verdict.decision) == ("1", "promote")
    better = send(project, project.make("m1"))
    assert better.note == "promote: accuracy 1.0000 on 64 images, champion 0.8750"
    assert better.change is not None
    assert (better.change.from_version, better.champion) == ("1", "2")
    worse = send(project, project.make("m2", threshold=150.0))
    assert (worse.champion, worse.change, worse.verdict.decision) == ("2", None, "refuse")
    assert worse.note == "refuse: accuracy 0.9062 is lower than the champion's 1.0000"
    assert project.aliases() == {"champion": "2", "challenger": "3"}


def test_the_same_bundle_again_changes_nothing(project: Project) -> None:
    folders = [project.make("m0"), project.make("m1", threshold=159.0)]
    for folder in folders:
        send(project, folder)
    before = list_models(project.settings, project.root)
    assert send(project, folders[0]).note == "version 1 is the champion already"
    assert send(project, folders[1]).note.startswith("judged before; refuse: accuracy 0.8750")
    assert list_models(project.settings, project.root) == before
    assert len((project.root / "mlruns" / "audit.jsonl").read_text().splitlines()) == 1


def test_looser_rules_judge_again(project: Project) -> None:
    folder = project.make("m0", threshold=159.0)
    assert send(project, folder, gate=GateSettings(floors={"accuracy": 0.9})).champion is None
    assert send(project, folder).champion == "1"


def test_what_a_person_took_back_is_not_promoted_again_by_itself(project: Project) -> None:
    folders = [project.make("m0", threshold=159.0), project.make("m1")]
    for folder in folders:
        send(project, folder)
    rollback(project.settings, project.root, MODEL, who="ann", why="complaints", now=NOW)
    assert send(project, folders[1]).champion == "1"
    again = send(project, folders[1], gate=GateSettings(margin=0.1, max_class_drop=None))
    assert again.champion == "1"
    assert again.note == (
        "not promoted: taken back by hand on 2026-01-02T03:04:05+00:00; visionloop promote greys-brightness 2"
    )


def test_a_champion_from_another_dataset_answers_the_current_images(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(project, project.make("m0", threshold=159.0))
    asked: list[Path] = []
    original = module.summarise
    monkeypatch.setattr(module, "summarise", lambda *args: (asked.append(args[1]), original(*args))[1])
    result = send(project, project.make("m1", dataset="larger"), dataset="larger")
    assert len(asked) == 1
    assert result.champion == "2"
    assert result.note == "promote: accuracy 1.0000 on 128 images, champion 0.8750"


def test_a_champion_with_other_classes_is_not_compared(project: Project) -> None:
    send(project, project.make("m0"))
    folder = project.root / "build" / "other"
    classes = ("dim", "light")
    dataset = make_dataset(project.root / "renamed", classes=classes)
    make_bundle(folder / "bundle", classes=classes)
    evaluate(EVALUATION, folder / "bundle", dataset, folder / "evaluation")
    result = send(project, folder, dataset="renamed")
    assert result.note == "refuse: the classes differ, so the numbers cannot be compared"
    assert result.champion == "1"


def test_a_bundle_gated_only_after_it_was_made_champion_by_hand(project: Project) -> None:
    folder = project.make("m0")
    project.register(folder)
    project.promote("1", None)
    result = send(project, folder)
    assert (result.champion, result.change, result.verdict.decision) == ("1", None, "promote")


def test_the_verdict_is_stored_with_the_version(project: Project) -> None:
    result = send(project, project.make("m0"))
    tags = connect(project.settings, project.root).client.get_model_version(MODEL, "1").tags
    assert tags["visionloop.verdict"] == result.verdict.model_dump_json()
