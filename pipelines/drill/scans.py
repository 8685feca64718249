"""Classification in the drill: handwritten digits, and what a tilted, unsharp scanner makes of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageFilter

from pipelines.drill.subject import Answered, Photo, Place, Subject, deal
from visionloop.data.digits import scan_picture
from visionloop.data.overlay import TrueObject

_FAVOURED = ("1", "7")
"""Digits that come twice as often in decayed traffic: another mix of classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tilt:
    """How the scanner tilts and blurs.

    Attributes:
        degrees: Least and most.
        blur: Least and most standard deviation, in pixels.
    """

    degrees: tuple[float, float] = (40.0, 60.0)
    blur: tuple[float, float] = (0.8, 1.3)


class Scans(Subject):
    """Scikit-learn's scans, dealt out once."""

    task = "classification"
    metric = "accuracy"
    verb = "classify"
    options: ClassVar[dict[str, Any]] = {"top_k": 1}
    sight = "scans come tilted, unsharp, and with another mix of digits"
    fall, relative = 0.75, False

    def __init__(
        self,
        *,
        epochs: int = 12,
        again: int = 10,
        rate: float = 0.003,
        normal: int = 800,
        times: int = 2,
        labels: int = 600,
        recovery: float = 0.95,
        tilt: Tilt | None = None,
    ) -> None:
        """Read the scans.

        Args:
            epochs: Of the first training.
            again: Epochs of retrainings, from the champion's weights.
            rate: Peak learning rate of retrainings; a few epochs at a low one forget little.
            normal: Most scans of the normal traffic; there are 718.
            times: How often each scan of the decayed traffic comes, tilted in another way every time.
            labels: Answers that are labelled.
            recovery: Accuracy that the new model must reach on decayed scans it has not seen.
            tilt: How scans decay.
        """
        from sklearn.datasets import load_digits

        bunch: Any = load_digits()
        self._pictures = [scan_picture(scan) for scan in bunch.images / 16.0]
        self._labels = [str(label) for label in bunch.target]
        self._places = deal(self._labels)
        self._epochs, self._again, self._rate, self._normal, self._times = epochs, again, rate, normal, times
        self._tilt = tilt or Tilt()
        self.labels, self.recovery = labels, recovery

    def settings(self) -> dict[str, Any]:
        """Of the task's block in `conf/`."""
        return {
            "training": {"max_epochs": self._epochs, "validate_every": max(1, self._epochs // 2)},
            "gate": {"floors": {"accuracy": 0.8, "f1_macro": 0.8}},
        }

    def relearning(self) -> list[str]:
        """Other passes, from the champion's weights."""
        return [
            f"classification.training.max_epochs={self._again}",
            f"classification.training.learning_rate={self._rate}",
        ]

    def write_source(self, root: Path) -> None:
        """Write class folders in split folders."""
        for split in ("train", "val", "test"):
            for index in self._places[split]:
                folder = root / split / self._labels[index]
                folder.mkdir(parents=True, exist_ok=True)
                self._pictures[index].save(folder / f"{index:04d}.png")

    def normal(self, rng: np.random.Generator) -> list[Photo]:
        """Scans of field and later as they are, each once."""
        indices = [*rng.permutation(self._places["field"]), *rng.permutation(self._places["later"])]
        return [self._photo(self._pictures[index], index) for index in indices[: self._normal]]

    def decayed(self, rng: np.random.Generator) -> list[Photo]:
        """Scans of the field, every time tilted in another way."""
        return self._tilted("field", rng, self._times, _FAVOURED)

    def unseen(self, rng: np.random.Generator) -> list[Photo]:
        """Later scans, each once."""
        return self._tilted("later", rng, 1, ())

    def score(self, answers: Sequence[Answered]) -> float:
        """Accuracy."""
        return float(np.mean([_right(answer) for answer in answers])) if answers else 0.0

    def sure(self, answer: Answered) -> float:
        """The probability of the class."""
        return answer.said.score or 0.0

    def feedback(self, answer: Answered) -> dict[str, Any]:
        """Right, or the right class."""
        if _right(answer):
            return {"verdict": "right"}
        return {"verdict": "corrected", "label": answer.truth[0].name}

    def _tilted(self, place: Place, rng: np.random.Generator, times: int, favoured: Sequence[str]) -> list[Photo]:
        photos = [
            self._photo(_tilted(self._pictures[index], self._tilt, rng), index)
            for index in self._places[place]
            for _ in range(times * (1 + (self._labels[index] in favoured)))
        ]
        return [photos[position] for position in rng.permutation(len(photos))]

    def _photo(self, picture: Image.Image, index: int) -> Photo:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return Photo(buffer.getvalue(), (TrueObject(name=self._labels[index]),))


def _right(answer: Answered) -> bool:
    return answer.said.class_name == answer.truth[0].name


def _tilted(picture: Image.Image, tilt: Tilt, rng: np.random.Generator) -> Image.Image:
    turned = picture.rotate(float(rng.uniform(*tilt.degrees)), Image.Resampling.BICUBIC)
    return turned.filter(ImageFilter.GaussianBlur(float(rng.uniform(*tilt.blur))))
