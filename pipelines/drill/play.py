"""The play: what is done to the service, act by act, and what must follow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from pipelines.drill.sink import Delivered, Sink
from pipelines.drill.subject import Answered, Photo, Subject
from pipelines.drill.timeline import Timeline
from pipelines.drill.traffic import Failure, Traffic, Trickle
from pipelines.drill.trainings import Trainings
from pipelines.drill.workspace import Workspace
from visionloop.retraining.state import Journal
from visionloop.serving.client import ApiError, Client

_SWAP_S = 15.0
"""How long a new pointer may take to be what answers; the service looks every second."""
_PER_SECOND = 6.0
"""Requests while models are trained and swapped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is played.

    Attributes:
        subjects: Tasks, all served by one service.
        window: Distinct images in a window of the drift check.
        workers: Processes of the service.
        clients: Requests at a time in a burst.
        whole: Whether a bad model and a rollback come at the end.
    """

    subjects: tuple[Subject, ...]
    window: int = 200
    workers: int = 2
    clients: int = 6
    whole: bool = True


class Score(NamedTuple):
    """What a task's answers were worth in a phase of the drill."""

    task: str
    phase: str
    metric: str
    value: float
    num_images: int


@dataclass(frozen=True, slots=True)
class Drill:
    """What is left of a drill.

    Attributes:
        plan: As it was asked for.
        timeline: What happened.
        answers: By task, everything the service said, in order.
        failures: Requests without an answer.
        messages: What the sink got.
        scores: In order.
        pictures: By what they show, some of what the service was asked.
    """

    plan: Plan
    timeline: Timeline
    answers: dict[str, list[Answered]]
    failures: list[Failure]
    messages: list[Delivered]
    scores: list[Score] = field(default_factory=list)
    pictures: dict[str, list[Photo]] = field(default_factory=dict)


def play(
    root: Path, plan: Plan, console: Console, *, workspace: Callable[[Path, dict[str, Any]], Workspace] = Workspace
) -> Drill:
    """Run a drill.

    Args:
        root: An empty folder, for everything the drill writes.
        plan: What is played.
        console: For the events, as they happen.
        workspace: Makes the drill's project, from folder and settings.

    Raises:
        VisionloopError: a command failed, so that the drill could not go on.
    """
    with Sink() as sink:
        timeline = Timeline(console)
        project = workspace(root, _settings(plan, sink.url))
        with Trainings(project, plan.subjects, timeline, bad=plan.whole) as trainings:
            trainings.wait_for_first()
            with project.service(), Traffic(project.url, plan.subjects, clients=plan.clients) as traffic:
                timeline.note("service", f"ready on port {project.port}")
                drill = Drill(plan, timeline, traffic.answers, traffic.failures, sink.messages)
                acts = _Acts(project, drill, sink, traffic)
                acts.normal()
                acts.decay()
                acts.learn()
                if plan.whole:
                    acts.spoil(trainings)
                timeline.expect(
                    "every request answered", not traffic.failures, f"{sum(map(len, drill.answers.values())):,} answers"
                )
    return drill


def _settings(plan: Plan, sink_url: str) -> dict[str, Any]:
    return {
        "tasks": [subject.task for subject in plan.subjects],
        "task": plan.subjects[0].task,
        **{subject.task: subject.settings() for subject in plan.subjects},
        "serving": {
            "workers": plan.workers,
            "observe": {"max_share": 1.0},
            # No balancer has to be told.
            "drain_s": 0.0,
            "keys": {"requests_per_minute": 1_000_000},
        },
        "monitoring": {
            "drift": {"window_images": plan.window},
            "alerts": {
                # At once: the drill cannot wait until an alert has lasted. The other rules stand as they are.
                "rules": {"drift": {"for_s": 0, "clear_s": 0}},
                "channels": {"sink": {"url": sink_url}},
            },
        },
        "retraining": {
            "start": "champion",
            "overrides": [word for subject in plan.subjects for word in subject.relearning()],
            # What starts the job here is drift alone.
            "triggers": {"every_days": None, "new_labels": None, "accuracy": None, "cooldown_hours": 0.0},
        },
    }


class _Acts:
    """The acts, in the order in which they are played."""

    def __init__(self, workspace: Workspace, drill: Drill, sink: Sink, traffic: Traffic) -> None:
        self._workspace, self._drill, self._sink, self._traffic = workspace, drill, sink, traffic
        self._subjects, self._timeline = drill.plan.subjects, drill.timeline
        self._rng = np.random.default_rng(7)
        self._was: dict[str, float] = {}
        self._asked: dict[str, list[Answered]] = {}
        self._first: dict[str, str] = {}

    def normal(self) -> None:
        """Traffic like what the models were made from: nobody may be told anything."""
        for subject in self._subjects:
            photos = subject.normal(self._rng)
            self._drill.pictures[f"{subject.task}: as the model knows it"] = photos[:20]
            answers = self._traffic.burst(subject, photos)
            self._was[subject.task] = self._score(subject, "normal", answers)
            self._first[subject.task] = answers[0].version if answers else ""
        alarms = self._check_drift()
        quiet = all(alarm is False for alarm in alarms.values())
        self._timeline.expect("no false alarm", quiet, "drift check of normal traffic")
        self._workspace.visionloop("alerts", "check", expect=(0, 3))
        self._timeline.expect("silence", not self._sink.titled("drift"), "nobody was told of drift")

    def decay(self) -> None:
        """Traffic unlike it: it must be noticed and told, once a task, and somebody labels."""
        began = datetime.now(UTC)
        for subject in self._subjects:
            photos = subject.decayed(self._rng)
            self._drill.pictures[f"{subject.task}: decayed"] = photos[:20]
            self._timeline.note("decay", subject.sight, task=subject.task)
            answers = self._asked[subject.task] = self._traffic.burst(subject, photos)
            score, bound = self._score(subject, "decayed", answers), subject.decayed_below(self._was[subject.task])
            text = f"{subject.metric} {score:.3f}, below {bound:.3f}"
            self._timeline.expect("decayed", score < bound, text, task=subject.task)
        alarms = self._check_drift()
        for subject in self._subjects:
            text = f"{_since(began):.0f} s after it began"
            self._timeline.expect("drift noticed", alarms[subject.task] is True, text, task=subject.task)
        for _ in range(2):
            # The second look finds the same incidents, which must not be told again.
            self._workspace.visionloop("alerts", "check", expect=(0, 3))
        for subject in self._subjects:
            told = self._sink.titled(f"drift ({subject.task})")
            text = f"{len(told)} message at the sink: {told[0].title if told else 'none'}"
            self._timeline.expect("alert", len(told) == 1, text, task=subject.task)
        for subject in self._subjects:
            with Client(self._workspace.url) as client:
                seen = self._seen(client, subject, self._asked[subject.task])
                chosen = _choose(subject, seen, self._rng)
                for answer in chosen:
                    client.feedback(answer.said.id, **subject.feedback(answer))
            text = f"{len(chosen)} images labelled: half the least sure, half at random"
            self._timeline.note("labels", text, task=subject.task)

    def learn(self) -> None:
        """Retraining, promotion and swap while requests go on; then the new models are asked."""
        unseen = [(subject, subject.unseen(self._rng)) for subject in self._subjects]
        failed_before = len(self._traffic.failures)
        with Trickle(self._traffic, unseen, per_second=_PER_SECOND):
            began = datetime.now(UTC)
            _, said = self._workspace.visionloop("retrain", expect=(0, 1))
            self._timeline.note("retraining", _last_line(said))
            for subject in self._subjects:
                self._expect_promotion(subject.task, began)
        failed = len(self._traffic.failures) - failed_before
        text = f"{failed} of the requests while it was trained and swapped"
        self._timeline.expect("no failed request", failed == 0, text)
        for subject, photos in unseen:
            score = self._score(subject, "recovered", self._traffic.burst(subject, photos))
            bound = subject.recovered_from(self._was[subject.task])
            text = f"{subject.metric} {score:.3f} on images it has not seen, at least {bound:.3f}"
            self._timeline.expect("recovered", score >= bound, text, task=subject.task)

    def spoil(self, trainings: Trainings) -> None:
        """A model that learned nothing must be refused; then the promotion is taken back."""
        before = {subject.task: self._deployed(subject.task) for subject in self._subjects}
        trainings.judge_bad()
        for task, champion in before.items():
            text = f"version {champion['version']} is still the champion"
            self._timeline.expect("bad model refused", self._deployed(task) == champion, text, task=task)
        # Where nothing was promoted there is nothing to go back to: a failure of the drill, told like the others.
        with ThreadPoolExecutor(len(before)) as pool:
            back = [
                pool.submit(self._workspace.visionloop, "rollback", second["model"], expect=(0, 1))
                for second in before.values()
            ]
            for one in back:
                one.result()
        for task, second in before.items():
            first = self._until_serves(task, lambda version, task=task: version == self._first[task])  # type: ignore[misc]
            held = first is not None and first != second["version"]
            self._timeline.expect("rollback", held, f"version {first} answers", task=task)

    def _seen(self, client: Client, subject: Subject, answers: Sequence[Answered]) -> list[Answered]:
        """Answers whose pictures somebody can look at.

        What a busy service did not keep is shown to it again, one by one.
        """
        missing: Sequence[Answered] = answers
        for pause_s in (0.0, 1.0, 2.0, 4.0):
            time.sleep(pause_s if missing else 0.0)
            missing = [answer for answer in missing if not _kept(client, answer)]
            for answer in missing:
                self._traffic.ask(subject, answer.photo)
        lost = {answer.said.id for answer in missing}
        return [answer for answer in answers if answer.said.id not in lost]

    def _score(self, subject: Subject, phase: str, answers: Sequence[Answered]) -> float:
        value = subject.score(answers)
        self._drill.scores.append(Score(subject.task, phase, subject.metric, value, len(answers)))
        self._timeline.note(phase, f"{subject.metric} {value:.3f} on {len(answers):,} images", task=subject.task)
        return value

    def _check_drift(self) -> dict[str, bool | None]:
        """By task, whether there is an alarm; None where there were too few images to say."""
        # Rows and pictures are written in the background, within a fraction of a second.
        time.sleep(2.0)
        _, said = self._workspace.visionloop("drift", "--json", expect=(0, 3))
        return {summary["task"]: summary["alarm"] for summary in json.loads(said)}

    def _expect_promotion(self, task: str, began: datetime) -> None:
        run = Journal(self._workspace.root / "mlruns/retraining" / task).read()
        if run is None:
            self._timeline.expect("promoted", False, "there was no retraining", task=task)
            return
        asked = any("drift" in reason for reason in run.reasons)
        judged = next((step.ended_at for step in run.steps if step.name == "judge"), None) or datetime.now(UTC)
        self._timeline.expect("asked for by drift", asked, ", ".join(run.reasons), task=task, at=run.started_at)
        promoted, text = run.outcome == "promoted", f"{(judged - began).total_seconds():.0f} s after the call"
        self._timeline.expect("promoted", promoted, f"{run.outcome} {text}", task=task, at=judged)
        version = self._until_serves(task, lambda version: version != self._first[task]) if promoted else None
        new = (answer.at for answer in self._drill.answers[task] if answer.version == version)
        text = f"version {version} answers"
        self._timeline.expect("hot swap", version is not None, text, task=task, at=min(new, default=None))

    def _serving(self, task: str) -> set[str]:
        with Client(self._workspace.url) as client:
            found = [model for _ in range(8) for model in client.models().models]
        return {model.version for model in found if model.task == task and model.role == "champion"}

    def _deployed(self, task: str) -> dict[str, str]:
        """The champion as the deployment pointer names it."""
        pointer = json.loads((self._workspace.root / "mlruns/deployment.json").read_text())
        champion: dict[str, str] = pointer["tasks"][task]["champion"]
        return champion

    def _until_serves(self, task: str, wanted: Callable[[str], bool]) -> str | None:
        """The version that answers in all workers, once it is a wanted one; None where it does not come."""
        end = time.monotonic() + _SWAP_S
        while time.monotonic() < end:
            versions = self._serving(task)
            if len(versions) == 1 and wanted(next(iter(versions))):
                return versions.pop()
            time.sleep(0.2)
        return None


def _choose(subject: Subject, answers: Sequence[Answered], rng: np.random.Generator) -> list[Answered]:
    """The least sure half, and as many at random: those show the model as it is, not where it is weakest."""
    order = sorted(range(len(answers)), key=lambda index: subject.sure(answers[index]))
    least, rest = order[: subject.labels // 2], order[subject.labels // 2 :]
    more = rng.choice(rest, size=min(subject.labels - len(least), len(rest)), replace=False).tolist()
    return [answers[index] for index in (*least, *more)]


def _kept(client: Client, answer: Answered) -> bool:
    try:
        client.prediction_image(answer.said.id)
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True


def _since(began: datetime) -> float:
    return (datetime.now(UTC) - began).total_seconds()


def _last_line(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing was said"
