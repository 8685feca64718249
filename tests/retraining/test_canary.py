"""A canary on trial, on a real registry and a real prediction store; the clock is the test's."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.registry.conftest import MODEL, NOW, Project
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Canary, Deployment, Lineup
from visionloop.evaluation.gate import decide
from visionloop.evaluation.settings import GateSettings
from visionloop.evaluation.summary import EvaluationSummary
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import FeedbackRow, PredictionRow, PredictionStore
from visionloop.registry.champions import rollback
from visionloop.registry.deploy import deploy
from visionloop.registry.models import record_verdict
from visionloop.retraining.canary import Trial, settle
from visionloop.retraining.settings import TrialSettings

TRIAL = TrialSettings(promote=True, min_answers=20, min_hours=24, max_days=10)
HOUR = timedelta(hours=1)


def start(project: Project) -> tuple[str, str]:
    """Version 1 serves, and version 2, which the gate accepted, is its canary since `NOW`; their digests."""
    folders = [project.make(name, threshold=threshold) for name, threshold in (("old", 159.0), ("new", 127.5))]
    for folder in folders:
        project.register(folder)
    old, new = (EvaluationSummary.read(folder / "evaluation") for folder in folders)
    project.judge(folders[0], "1")
    project.promote("1", None)
    verdict = decide(GateSettings(floors={}, max_class_drop=None, min_images=1), new, old)
    assert verdict.promoted
    record_verdict(project.settings, project.root, MODEL, "2", verdict)
    deploy(project.settings, project.root, MODEL, "2", role="canary", share=0.1, now=NOW)
    return old.bundle_digest, new.bundle_digest


def look(project: Project, now: datetime, *, settings: TrialSettings = TRIAL, act: bool = True) -> Trial | None:
    return settle(
        settings, project.settings, StoreSettings(), task="brightness", root=project.root, state=project.root,
        who="ann", now=now, act=act,
    )  # fmt: skip


def lineup(project: Project) -> Lineup:
    return Deployment.read(project.root / "mlruns/deployment.json").tasks["brightness"]


def answer(root: Path, digests: tuple[str, str], count: int, said: tuple[str, str] | None = None) -> None:
    """So many answers of each, an hour after the canary began; with `said` people judge all of them."""
    row: dict[str, Any] = {"request_id": "r", "width": 8, "height": 8, "image_bytes": 9, "result": {}}
    store = PredictionStore.open(StoreSettings(), root)
    for number, (version, digest) in enumerate(zip("12", digests, strict=True)):
        variant: Any = ("champion", "canary")[number]
        for index in range(count):
            answered = PredictionRow(
                id=f"{version}-{index}", created_at=NOW + HOUR, task="brightness", model=MODEL, version=version,
                digest=digest, variant=variant, image_sha256=f"{version}{index}", latency_ms=5.0, **row,
            )  # fmt: skip
            store.log(answered)
    store.flush()
    for number, verdict in enumerate(said or ()):
        for index in range(count):
            word: Any = verdict
            store.add_feedback(FeedbackRow(prediction_id=f"{'12'[number]}-{index}", created_at=NOW, verdict=word))
    store.close()


def test_with_answers_and_time_it_becomes_the_champion(
    project: Project, killed_promoting: Callable[[Callable[[], object]], None]
) -> None:
    digests = start(project)
    assert look(project, NOW + 30 * HOUR, settings=TrialSettings()) is None  # off by default
    found = look(project, NOW + HOUR)
    assert found is not None
    assert found.line == "canary version 2 waiting: 1.0 of 24 hours; no answers are stored (serving.store)"
    answer(project.root, digests, 12, said=("right", "right"))
    found = look(project, NOW + 23 * HOUR)
    assert found is not None
    assert found.line == "canary version 2 waiting: 23.0 of 24 hours; 12 of 20 answers"
    # A clock that went back does no harm.
    assert "0.0 of 24 hours" in str(look(project, NOW - HOUR))

    enough = TRIAL.model_copy(update={"min_answers": 12, "min_judged": 12})
    assert str(look(project, NOW + 24 * HOUR, settings=enough.model_copy(update={"min_judged": 13}))).count("12 of 13")
    said = look(project, NOW + 24 * HOUR, settings=enough, act=False)
    assert said is not None
    assert (said.outcome, lineup(project).champion.version) == ("promoted", "1")

    # The next call completes what was killed.
    killed_promoting(lambda: look(project, NOW + 24 * HOUR, settings=enough))
    assert (project.aliases()["champion"], lineup(project).champion.version) == ("2", "1")
    again = look(project, NOW + 25 * HOUR, settings=enough)
    assert again is not None
    assert (again.outcome, lineup(project).champion.version, lineup(project).canary) == ("promoted", "2", None)
    assert look(project, NOW + 26 * HOUR, settings=enough) is None

    audit = [json.loads(line) for line in (project.root / "mlruns/audit.jsonl").read_text().splitlines()]
    assert [(line["action"], line["to_version"]) for line in audit] == [
        ("promote", "1"),
        ("canary", "2"),
        ("promote", "2"),
    ]
    assert audit[2]["who"] == "ann (canary)"
    assert audit[2]["why"].startswith("12 answers in 24.0 h as canary without a failed check, ")
    assert "12 judged answers, 12 of the champion's" in audit[2]["why"]
    assert "the gate's verdict: promote" in audit[2]["why"]

    # What a person took back does not come back by itself.
    rollback(project.settings, project.root, MODEL, who="ann", why="complaints", now=NOW)
    deploy(project.settings, project.root, MODEL, "2", role="canary", share=0.1, now=NOW)
    found = look(project, NOW + 48 * HOUR, settings=enough)
    assert found is not None
    assert (found.outcome, "taken back by hand" in found.text) == ("ended", True)


def test_what_takes_too_long_or_is_worse_ends(project: Project) -> None:
    digests = start(project)
    answer(project.root, digests, 15)
    late = look(project, NOW + 240 * HOUR)
    assert late is not None
    assert late.line == "canary version 2 ended: not promoted in 10 days: 15 of 20 answers"
    canary = lineup(project).canary
    assert canary is not None
    assert (canary.share, canary.stopped) == (0.0, late.text)
    assert look(project, NOW + 241 * HOUR) is None

    # Begun anew, with another share in between, which is the same trial.
    for share, hours in ((0.1, 0), (0.3, 2)):
        deploy(project.settings, project.root, MODEL, "2", role="canary", share=share, now=NOW + hours * HOUR)
    assert str(look(project, NOW + 20 * HOUR)).count("20.0 of 24 hours")
    store = PredictionStore.open(StoreSettings(), project.root)
    for version, verdict in (("1", "right"), ("2", "wrong")):
        for index in range(15):
            word: Any = verdict
            store.add_feedback(FeedbackRow(prediction_id=f"{version}-{index}", created_at=NOW, verdict=word))
    store.close()
    worse = look(project, NOW + 30 * HOUR)
    assert worse is not None
    assert (worse.outcome, worse.text.startswith("people find it worse than the champion: -")) == ("ended", True)
    assert project.aliases()["champion"] == "1"


def test_only_what_the_gate_accepted_against_this_champion_is_promoted(project: Project) -> None:
    digests = start(project)
    answer(project.root, digests, 20)
    # The champion changes; the gate's verdict was against the one before.
    third = project.make("third", threshold=140.0)
    project.register(third)
    project.promote("3", "1")
    found = look(project, NOW + 30 * HOUR)
    assert found is not None
    assert (found.outcome, "another champion" in found.text) == ("waiting", True)
    # An older pointer does not say when a canary began.
    pointer = project.root / "mlruns/deployment.json"
    held = lineup(project).canary
    assert held is not None
    unknown = Canary(**held.model_dump(exclude={"since"}))
    deployment.change(pointer, "brightness", lambda now: now and now.model_copy(update={"canary": unknown}))
    assert f"visionloop deploy {MODEL} 2 --canary 0.1" in str(look(project, NOW + 3000 * HOUR))
    # A canary that the gate has not judged is a person's affair, however long it stays.
    project.register(project.make("fourth", threshold=130.0))
    deploy(project.settings, project.root, MODEL, "4", role="canary", share=0.1, now=NOW)
    assert look(project, NOW + 3000 * HOUR) is None
    held = lineup(project).canary
    assert held is not None
    assert (held.share, held.stopped) == (0.1, None)
