"""Clients of the service: bursts whose answers are compared with the truth, and a trickle that never stops."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import TracebackType
from typing import NamedTuple, Self

from pipelines.drill.subject import Answered, Photo, Subject
from visionloop.core.errors import VisionloopError
from visionloop.serving.client import Client


class Failure(NamedTuple):
    """A request without an answer."""

    at: datetime
    task: str
    why: str


class Traffic:
    """Everything that was asked.

    Attributes:
        answers: By task, in order of arrival.
        failures: Requests without an answer.
    """

    def __init__(self, url: str, subjects: Sequence[Subject], *, clients: int) -> None:
        self.answers: dict[str, list[Answered]] = {subject.task: [] for subject in subjects}
        self.failures: list[Failure] = []
        self._client, self._clients = Client(url, retries=0), clients
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def burst(self, subject: Subject, photos: Sequence[Photo]) -> list[Answered]:
        """Ask about every photo, several at a time; returns the answers in the photos' order, without failures."""
        with ThreadPoolExecutor(self._clients) as pool:
            answers = list(pool.map(lambda photo: self.ask(subject, photo), photos))
        return [answer for answer in answers if answer is not None]

    def ask(self, subject: Subject, photo: Photo, *, store: bool | None = None) -> Answered | None:
        """One request; None where it failed."""
        try:
            answer = self._client.ask(subject.verb, [photo.data], store=store, **subject.options)
        except VisionloopError as error:
            with self._lock:
                self.failures.append(Failure(datetime.now(UTC), subject.task, error.what))
            return None
        answered = Answered(datetime.now(UTC), answer.model.version, answer.predictions[0], photo)
        with self._lock:
            self.answers[subject.task].append(answered)
        return answered


class Trickle:
    """Requests at a steady pace in the background; every one must be answered, whatever is swapped meanwhile."""

    def __init__(
        self, traffic: Traffic, photos: Sequence[tuple[Subject, Sequence[Photo]]], *, per_second: float
    ) -> None:
        """Prepare a trickle; nothing is asked yet.

        Args:
            traffic: Asks, and keeps the answers.
            photos: By subject; they take turns.
            per_second: Requests, of all subjects together.
        """
        self._traffic, self._pause_s = traffic, 1.0 / per_second
        # The nth photo of every subject, then all of the next, for ever.
        each = [[(subject, photo) for photo in some] for subject, some in photos]
        self._turns = itertools.chain.from_iterable(zip(*map(itertools.cycle, each), strict=True))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        for subject, photo in self._turns:
            started = time.monotonic()
            # Not kept: what drift and labels are made of is the bursts'.
            self._traffic.ask(subject, photo, store=False)
            if self._stop.wait(max(0.0, self._pause_s - (time.monotonic() - started))):
                return
