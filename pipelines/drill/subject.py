"""What a drill needs to know of a task: its pictures, as they are and decayed, and what answers are worth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from visionloop.data.overlay import TrueObject
from visionloop.serving.schema import PredictionBody

Place = Literal["train", "val", "test", "field", "later"]
"""Where a scan is met: `field` before the retraining, `later` after it."""

# Of every ten scans of a class, in the order of the source: what the model is made from, what the service meets
# first, and what it meets after the retraining. No scan is in two places.
_TURNS: tuple[Place, ...] = ("train", "field", "val", "later", "train", "test", "field", "train", "val", "later")


class Photo(NamedTuple):
    """An encoded image with its truth.

    Attributes:
        data: A PNG.
        truth: One object without a box, or any number with boxes.
    """

    data: bytes
    truth: tuple[TrueObject, ...]


class Answered(NamedTuple):
    """An answer, and the truth.

    Attributes:
        at: When.
        version: Of the model.
        said: What the service said.
        photo: What it was asked.
    """

    at: datetime
    version: str
    said: PredictionBody
    photo: Photo

    @property
    def truth(self) -> tuple[TrueObject, ...]:
        """What is true."""
        return self.photo.truth


class Subject(ABC):
    """One task in a drill.

    Attributes:
        task: Its name.
        metric: Of `score`, for people.
        verb: Of the client's `ask`.
        options: Of every request.
        sight: What is done to the decayed pictures, for people.
        fall: Score below which decay must bring the model.
        recovery: Score that the new model must reach on decayed pictures.
        relative: Whether both are shares of the score before.
        labels: Answers that are labelled.
    """

    task: ClassVar[str]
    metric: ClassVar[str]
    verb: ClassVar[str]
    options: ClassVar[dict[str, Any]]
    sight: ClassVar[str]
    fall: ClassVar[float]
    relative: ClassVar[bool]
    recovery: float
    labels: int

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What of the task's block in `conf/` is another in the drill."""

    @abstractmethod
    def relearning(self) -> list[str]:
        """Hydra overrides of retrainings."""

    def spoiling(self) -> list[str]:
        """Hydra overrides of a training that learns nothing."""
        return ["training.max_epochs=1", "training.learning_rate=1e-7"]

    @abstractmethod
    def write_source(self, root: Path) -> None:
        """Write the dataset of the first model."""

    @abstractmethod
    def normal(self, rng: np.random.Generator) -> list[Photo]:
        """What the service meets at first, like what its model was made from."""

    @abstractmethod
    def decayed(self, rng: np.random.Generator) -> list[Photo]:
        """What it meets then, unlike it."""

    @abstractmethod
    def unseen(self, rng: np.random.Generator) -> list[Photo]:
        """Decayed alike, made of scans that are in none of the others."""

    @abstractmethod
    def score(self, answers: Sequence[Answered]) -> float:
        """What answers are worth together, 0 to 1; 0 where there are none."""

    @abstractmethod
    def sure(self, answer: Answered) -> float:
        """How sure the model was, 0 to 1."""

    @abstractmethod
    def feedback(self, answer: Answered) -> dict[str, Any]:
        """The arguments of the client's `feedback` by which somebody who knows the truth answers."""

    def decayed_below(self, normal: float) -> float:
        """Score below which decay must bring a model that has `normal` otherwise."""
        return self.fall * (normal if self.relative else 1.0)

    def recovered_from(self, normal: float) -> float:
        """Score that the new model must reach where the first one had `normal`."""
        return self.recovery * (normal if self.relative else 1.0)


def deal(labels: Sequence[str]) -> dict[Place, list[int]]:
    """Positions of the scans by place, each in one; the same share of every class everywhere."""
    seen: dict[str, int] = {}
    places: dict[Place, list[int]] = {place: [] for place in _TURNS}
    for index, label in enumerate(labels):
        rank = seen[label] = seen.get(label, -1) + 1
        places[_TURNS[rank % len(_TURNS)]].append(index)
    return places
