"""Real scans through the real path: digits, a classifier trained on some of them, shifts as a camera makes them."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from visionloop.core.images import ImageArray
from visionloop.monitoring.drift.observations import Observation, Observations, observe
from visionloop.monitoring.drift.profile import FORMAT_VERSION, Profile, ProfileInfo
from visionloop.monitoring.drift.windows import Window
from visionloop.task import load_task
from visionloop.tasks.classification.task import Classification

TASK = load_task("classification")
CLASSES = tuple(map(str, range(10)))
_SIDE = 32

Shift = Callable[[ImageArray, np.random.Generator], ImageArray]


def digits() -> tuple[list[ImageArray], np.ndarray]:
    """1,797 scans as uint8 [32,32,3], and their classes."""
    scans, truth = load_digits(return_X_y=True)
    small = np.rint(scans.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    pictures = [Image.fromarray(scan).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC) for scan in small]
    return [np.asarray(picture.convert("RGB")) for picture in pictures], truth


def pixels(images: list[ImageArray]) -> np.ndarray:
    """float64 [N,64]: what the small classifier sees."""
    small = [Image.fromarray(image).convert("L").resize((8, 8), Image.Resampling.BOX) for image in images]
    return np.stack([np.asarray(picture, np.float64).ravel() for picture in small]) / 255


class DigitModel:
    """A logistic regression whose embedding is 48 random rectified features of the pixels."""

    def __init__(self, images: list[ImageArray], truth: np.ndarray) -> None:
        self._weights = np.random.default_rng(0).normal(size=(64, 48)) / 8
        self._model = LogisticRegression(C=3.0, max_iter=300).fit(pixels(images), truth)

    def observe(self, images: list[ImageArray], prefix: str = "") -> Observations:
        """What monitoring sees of the model's answers."""
        return Observations.stack(self.rows(images, prefix), num_classes=10)

    def rows(self, images: list[ImageArray], prefix: str = "") -> list[Observation]:
        """One by one."""
        if not images:
            return []
        seen = pixels(images)
        probabilities = self._model.predict_proba(seen).astype(np.float32)
        embeddings = np.maximum(seen @ self._weights, 0).astype(np.float32)
        answers = map(Classification, probabilities, embeddings)
        return [
            observe(TASK, image, answer, id=f"{prefix}{number}")
            for number, (image, answer) in enumerate(zip(images, answers, strict=True))
        ]

    def accuracy(self, images: list[ImageArray], truth: np.ndarray) -> float:
        """Share of right answers."""
        return float(self._model.score(pixels(images), truth))


def profile_of(rows: Observations, *, gap: float | None = 0.0, small: bool = False) -> Profile:
    """A profile of these rows."""
    info = ProfileInfo(
        format_version=FORMAT_VERSION,
        task="classification",
        model_digest="f" * 64,
        dataset="digits",
        split="val",
        num_images=len(rows),
        num_available=len(rows),
        small=small,
        metric="accuracy",
        metric_value=None,
        calibration_gap=gap,
        calibration_error=None if gap is None else 0.005,
        duplicate_bits=-1,
    )
    return Profile(info=info, observations=rows, classes=CLASSES)


def window_of(rows: Observations) -> Window:
    """A complete window of these rows."""
    return Window(observations=rows, complete=True, num_seen=len(rows))


def blur(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(image.shape[0] / 32)))


def darker(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    return (image * 0.7).astype(np.uint8)


def rotation(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    edge = tuple(int(value) for value in image[[0, -1]].mean(axis=(0, 1)))
    return np.asarray(Image.fromarray(image).rotate(30, Image.Resampling.BILINEAR, fillcolor=edge))


def noise(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    return np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)


def jpeg(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=20)
    return np.asarray(Image.open(buffer).convert("RGB"))


def crop(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    height, width = image.shape[:2]
    part = Image.fromarray(image).crop((width // 10, height // 10, width - width // 10, height - height // 10))
    return np.asarray(part.resize((width, height), Image.Resampling.BILINEAR))


def colour(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    return np.asarray(np.clip(image * np.array([1.1, 1.0, 0.9]), 0, 255), np.uint8)


SHIFTS: dict[str, Shift] = {
    "blur": blur,
    "darker": darker,
    "rotation": rotation,
    "noise": noise,
    "jpeg": jpeg,
    "crop": crop,
    "colour": colour,
}
