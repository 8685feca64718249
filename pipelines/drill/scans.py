"""The drill's world: handwritten digits, those the model is made from and those it meets, as they are and decayed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageFilter

from visionloop.data.digits import scan_picture

Place = Literal["train", "val", "test", "field", "later"]

# Of every ten scans of a class, in the order of the source: what the model is made from, what the service meets
# first, and what it meets after the retraining. No scan is in two places.
_TURNS: tuple[Place, ...] = ("train", "field", "val", "later", "train", "test", "field", "train", "val", "later")


@dataclass(frozen=True, slots=True)
class Photo:
    """An encoded image with its truth.

    Attributes:
        data: A PNG.
        label: The digit.
    """

    data: bytes
    label: str


class World:
    """Scikit-learn's scans, dealt out once."""

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        bunch: Any = load_digits()
        self._pictures = [scan_picture(scan) for scan in bunch.images / 16.0]
        self._labels = [str(label) for label in bunch.target]
        seen: dict[str, int] = {}
        self._places: dict[Place, list[int]] = {place: [] for place in _TURNS}
        for index, label in enumerate(self._labels):
            rank = seen[label] = seen.get(label, -1) + 1
            self._places[_TURNS[rank % len(_TURNS)]].append(index)

    def write_source(self, root: Path) -> None:
        """The dataset of the first model, as class folders in split folders."""
        for split in ("train", "val", "test"):
            for index in self._places[split]:
                folder = root / split / self._labels[index]
                folder.mkdir(parents=True, exist_ok=True)
                self._pictures[index].save(folder / f"{index:04d}.png")

    def normal(self, place: Place, rng: np.random.Generator) -> list[Photo]:
        """All scans of a place as they are, each once, in a random order."""
        indices = rng.permutation(self._places[place])
        return [self._photo(self._pictures[index], index) for index in indices]

    def decayed(self, place: Place, rng: np.random.Generator, *, times: int, favour: Sequence[str]) -> list[Photo]:
        """Scans of a place as a tilted, unsharp scanner gives them, and with another mix of classes.

        Args:
            place: Whose scans.
            rng: Decides tilt, blur and order.
            times: How often each scan comes, every time in another way; those of `favour` twice as often.
            favour: Digits.
        """
        photos = []
        for index in self._places[place]:
            label = self._labels[index]
            photos += [
                self._photo(_tilt(self._pictures[index], rng), index) for _ in range(times * (1 + (label in favour)))
            ]
        return [photos[position] for position in rng.permutation(len(photos))]

    def _photo(self, picture: Image.Image, index: int) -> Photo:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return Photo(buffer.getvalue(), self._labels[index])


def _tilt(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Turned by 40 to 60 degrees, and unsharp."""
    turned = picture.rotate(float(rng.uniform(40, 60)), Image.Resampling.BICUBIC)
    return turned.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.8, 1.3))))
