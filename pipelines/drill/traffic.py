"""Clients of the service: bursts whose answers are compared with the truth, and a trickle that never stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import TracebackType
from typing import NamedTuple, Self

from pipelines.drill.scans import Photo
from visionloop.core.errors import VisionloopError
from visionloop.serving.client import Client

_CLIENTS = 6


class Answered(NamedTuple):
    """An answer, and the truth.

    Attributes:
        at: When.
        id: Of the prediction.
        version: Of the model.
        said: The class.
        sure: Its probability, 0 to 1.
        truth: The right class.
    """

    at: datetime
    id: str
    version: str
    said: str
    sure: float
    truth: str

    @property
    def right(self) -> bool:
        """Whether the answer was right."""
        return self.said == self.truth


class Failure(NamedTuple):
    """A request without an answer."""

    at: datetime
    why: str


class Traffic:
    """Everything that was asked.

    Attributes:
        answers: In order of arrival.
        failures: Requests without an answer.
    """

    def __init__(self, url: str) -> None:
        self.answers: list[Answered] = []
        self.failures: list[Failure] = []
        self._client = Client(url, retries=0)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def burst(self, photos: Sequence[Photo]) -> list[Answered]:
        """Ask about every photo, several at a time; returns the answers in the photos' order, without failures."""
        with ThreadPoolExecutor(_CLIENTS) as pool:
            answers = list(pool.map(self.ask, photos))
        return [answer for answer in answers if answer is not None]

    def ask(self, photo: Photo, *, store: bool | None = None) -> Answered | None:
        """One request; None where it failed."""
        try:
            answer = self._client.classify(photo.data, top_k=1, store=store)
        except VisionloopError as error:
            with self._lock:
                self.failures.append(Failure(datetime.now(UTC), error.what))
            return None
        found = answer.predictions[0]
        answered = Answered(
            datetime.now(UTC), found.id, answer.model.version, found.class_name or "", found.score or 0.0, photo.label
        )
        with self._lock:
            self.answers.append(answered)
        return answered


class Trickle:
    """Requests at a steady pace in the background; every one must be answered, whatever is swapped meanwhile."""

    def __init__(self, traffic: Traffic, photos: Sequence[Photo], *, per_second: float) -> None:
        self._traffic, self._photos, self._pause_s = traffic, photos, 1.0 / per_second
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
        number = 0
        while not self._stop.is_set():
            started = time.monotonic()
            # Not kept: what drift and labels are made of is the bursts'.
            self._traffic.ask(self._photos[number % len(self._photos)], store=False)
            number += 1
            self._stop.wait(max(0.0, self._pause_s - (time.monotonic() - started)))
