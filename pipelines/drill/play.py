"""The play: what is done to the service, act by act, and what must follow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from pipelines.drill.scans import Photo, World
from pipelines.drill.sink import Delivered, Sink
from pipelines.drill.timeline import Timeline
from pipelines.drill.traffic import Answered, Failure, Traffic, Trickle
from pipelines.drill.workspace import Workspace
from visionloop.serving.client import Client

TASK = "classification"
_SWAP_S = 15.0
"""How long a new pointer may take to be what answers; the service looks every second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of everything.

    Attributes:
        epochs: Of each training.
        window: Distinct images in a window of the drift check.
        times: How often each scan of the decayed traffic comes, tilted in another way every time.
        labels: Images that are labelled.
        decayed_below: Accuracy to which decay must bring the model.
        recovered: Accuracy the new model must reach on scans it has not seen.
    """

    epochs: int = 20
    window: int = 200
    times: int = 2
    labels: int = 400
    decayed_below: float = 0.75
    recovered: float = 0.95


@dataclass(frozen=True, slots=True)
class Drill:
    """What is left of a drill.

    Attributes:
        plan: As it was asked for.
        timeline: What happened.
        answers: Everything the service said, in order.
        failures: Requests without an answer.
        messages: What the sink got.
        accuracy: By phase: share of right answers, and the number of answers.
        pictures: By what they show, some of what the service was asked.
    """

    plan: Plan
    timeline: Timeline
    answers: list[Answered]
    failures: list[Failure]
    messages: list[Delivered]
    accuracy: dict[str, tuple[float, int]] = field(default_factory=dict)
    pictures: dict[str, list[Photo]] = field(default_factory=dict)


def play(root: Path, plan: Plan, console: Console) -> Drill:
    """Run a drill.

    Args:
        root: An empty folder, for everything the drill writes.
        plan: How much of everything.
        console: For the events, as they happen.

    Raises:
        VisionloopError: a command failed, so that the drill could not go on.
    """
    with Sink() as sink:
        timeline = Timeline(console)
        workspace = Workspace(root, _settings(plan, sink.url))
        world = World()
        _first_model(workspace, world, timeline)
        with workspace.service(), Traffic(workspace.url) as traffic:
            drill = Drill(plan, timeline, traffic.answers, traffic.failures, sink.messages)
            _acts(workspace, world, drill, sink, traffic)
    return drill


def _settings(plan: Plan, sink_url: str) -> dict[str, Any]:
    return {
        "tasks": [TASK],
        TASK: {
            "training": {"max_epochs": plan.epochs},
            "gate": {"floors": {"accuracy": 0.8, "f1_macro": 0.8}},
        },
        "serving": {"observe": {"max_share": 1.0}, "keys": {"requests_per_minute": 1_000_000}},
        "monitoring": {
            "drift": {"window_images": plan.window},
            "alerts": {
                # At once: the drill cannot wait until an alert has lasted. The other rules stand as they are.
                "rules": {"drift": {"for_s": 0, "clear_s": 0}},
                "channels": {"sink": {"url": sink_url}},
            },
        },
        # What starts the job here is drift alone.
        "retraining": {"triggers": {"every_days": None, "new_labels": None, "accuracy": None, "cooldown_hours": 0.0}},
    }


def _first_model(workspace: Workspace, world: World, timeline: Timeline) -> None:
    world.write_source(workspace.root / "data" / TASK)
    timeline.note("start", "training the first model")
    workspace.stage("run", f"task={TASK}")
    timeline.note("first model", "trained, evaluated, promoted")


def _acts(workspace: Workspace, world: World, drill: Drill, sink: Sink, traffic: Traffic) -> None:
    timeline, plan, rng = drill.timeline, drill.plan, np.random.default_rng(7)
    timeline.note("service", f"ready on port {workspace.port}")

    normal = [*world.normal("field", rng), *world.normal("later", rng)]
    drill.pictures["as the model knows them"] = normal[:20]
    _score(drill, "normal", traffic.burst(normal))
    _settle()
    status, _ = workspace.visionloop("drift", expect=(0, 3))
    timeline.expect("no false alarm", status == 0, "drift check of normal traffic")
    workspace.visionloop("alerts", "check", expect=(0, 3))
    timeline.expect("silence", not sink.titled("drift"), "nobody was told of drift")

    decayed = world.decayed("field", rng, times=plan.times, favour=("1", "7"))
    drill.pictures["decayed"] = decayed[:20]
    began = datetime.now(UTC)
    timeline.note("decay", "scans come tilted, unsharp, and with another mix of digits")
    answers = traffic.burst(decayed)
    accuracy = _score(drill, "decayed", answers)
    timeline.expect(
        "decayed", accuracy < plan.decayed_below, f"accuracy {accuracy:.3f}, below {plan.decayed_below:.2f}"
    )
    _settle()
    status, _ = workspace.visionloop("drift", expect=(0, 3))
    timeline.expect("drift noticed", status == 3, f"{_since(began):.0f} s after it began")
    workspace.visionloop("alerts", "check", expect=(0, 3))
    told = sink.titled("drift")
    timeline.expect("alert", len(told) == 1, f"{len(told)} message at the sink: {told[0].title if told else 'none'}")

    chosen = _choose(answers, plan.labels, rng)
    _label(workspace, chosen)
    timeline.note("labels", f"{len(chosen)} images labelled: half the least sure, half at random")

    unseen = world.decayed("later", rng, times=1, favour=())
    failed_before = len(traffic.failures)
    with Trickle(traffic, unseen, per_second=10.0):
        began = datetime.now(UTC)
        _, said = workspace.visionloop("retrain", "--task", TASK)
        timeline.note("retraining", _last_lines(said))
        state = _retraining(workspace)
        timeline.expect(
            "asked for by drift", any("drift" in reason for reason in state["reasons"]), ", ".join(state["reasons"])
        )
        timeline.expect("promoted", state["outcome"] == "promoted", f"after {_since(began):.0f} s: {state['outcome']}")
        second = _until_serves(workspace, lambda version: version != answers[0].version)
        timeline.expect("hot swap", second is not None, f"version {second} answers")
    failed = len(traffic.failures) - failed_before
    timeline.expect("no failed request", failed == 0, f"{failed} of the requests while it was trained and swapped")

    accuracy = _score(drill, "recovered", traffic.burst(unseen))
    timeline.expect("recovered", accuracy >= plan.recovered, f"accuracy {accuracy:.3f} on scans it has not seen")

    before = _deployed(workspace)
    workspace.stage(
        "run", f"task={TASK}", "training.max_epochs=1", "training.learning_rate=1e-7", "build=bad", "reports=bad"
    )
    timeline.expect(
        "bad model refused", _deployed(workspace) == before, f"version {before['version']} is still the champion"
    )
    # Where nothing was promoted there is nothing to go back to: a failure of the drill, told like the others.
    workspace.visionloop("rollback", _deployed(workspace)["model"], expect=(0, 1))
    first = _until_serves(workspace, lambda version: version == answers[0].version)
    timeline.expect("rollback", first is not None and second is not None, f"version {first} answers")
    timeline.expect("every request answered", not traffic.failures, f"{len(traffic.answers):,} answers")


def _score(drill: Drill, phase: str, answers: Sequence[Answered]) -> float:
    accuracy = float(np.mean([answer.right for answer in answers])) if answers else 0.0
    drill.accuracy[phase] = accuracy, len(answers)
    drill.timeline.note(phase, f"accuracy {accuracy:.3f} on {len(answers):,} images")
    return accuracy


def _choose(answers: Sequence[Answered], count: int, rng: np.random.Generator) -> list[Answered]:
    """The least sure half, and as many at random: those show the model as it is, not where it is weakest."""
    order = sorted(range(len(answers)), key=lambda index: answers[index].sure)
    least, rest = order[: count // 2], order[count // 2 :]
    more = rng.choice(rest, size=min(count - len(least), len(rest)), replace=False).tolist()
    return [answers[index] for index in (*least, *more)]


def _label(workspace: Workspace, chosen: Sequence[Answered]) -> None:
    with Client(workspace.url) as client:
        for answer in chosen:
            if answer.right:
                client.feedback(answer.id, "right")
            else:
                client.feedback(answer.id, "corrected", label=answer.truth)


def _settle() -> None:
    """Rows and pictures are written in the background, within a fraction of a second."""
    time.sleep(2.0)


def _retraining(workspace: Workspace) -> dict[str, Any]:
    _, said = workspace.visionloop("retrain", "--status", "--json")
    state: dict[str, Any] = json.loads(said)[TASK]["run"]
    return state


def _serving(workspace: Workspace) -> set[str]:
    with Client(workspace.url) as client:
        return {model.version for _ in range(8) for model in client.models().models if model.role == "champion"}


def _deployed(workspace: Workspace) -> dict[str, str]:
    """The champion as the deployment pointer names it."""
    pointer = json.loads((workspace.root / "mlruns/deployment.json").read_text())
    champion: dict[str, str] = pointer["tasks"][TASK]["champion"]
    return champion


def _until_serves(workspace: Workspace, wanted: Callable[[str], bool]) -> str | None:
    """The version that answers in all workers, once it is a wanted one; None where it does not come."""
    end = time.monotonic() + _SWAP_S
    while time.monotonic() < end:
        versions = _serving(workspace)
        if len(versions) == 1 and wanted(next(iter(versions))):
            return versions.pop()
        time.sleep(0.2)
    return None


def _since(began: datetime) -> float:
    return (datetime.now(UTC) - began).total_seconds()


def _last_lines(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing was said"
