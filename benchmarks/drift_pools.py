"""Real images with a model's answers for the drift benchmark, and what a camera may do to them."""

from __future__ import annotations

import io
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from visionloop.artifact.predictor import Predictor
from visionloop.artifact.settings import RuntimeSettings
from visionloop.core.images import ImageArray, decode_image
from visionloop.monitoring.drift.observations import Observations, observe
from visionloop.task import Prediction, load_task
from visionloop.tasks.classification.task import Classification
from visionloop.tasks.detection.task import Detections

Answerer = Callable[[Sequence[ImageArray], Sequence[int]], list[Prediction]]


Shift = Callable[[ImageArray, np.random.Generator], ImageArray]


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Images of one data set with the model's answers.

    `truth` is the class of each image, or nothing; `answer` takes images and where they stand in the pool.
    """

    name: str
    task: str
    classes: tuple[str, ...]
    images: list[ImageArray]
    truth: npt.NDArray[np.int64]
    answer: Answerer
    rows: Observations
    num_reference: int


def load_cifar(archive: Path, bundle: Path | None) -> Pool:
    """The official test images; with a bundle none of them was learned from."""
    images, names = _read(archive, lambda name: "/test/" in f"/{name}" and name.endswith(".jpg"), 10_000)
    folders = [Path(name).parent.name for name in names]
    classes = tuple(sorted(set(folders)))
    truth = np.array([classes.index(folder) for folder in folders])
    if bundle is not None:
        answer, classes = _bundle_answerer(bundle)
        truth = np.array([classes.index(folder) for folder in folders])
    else:
        learn = np.random.default_rng(5).choice(len(images), 2000, replace=False)
        answer = _logistic(images, truth, learn)
        rest = np.setdiff1d(np.arange(len(images)), learn)  # the stand-in learned from the others
        images, truth = [images[index] for index in rest], truth[rest]
    return _pool("cifar10", "classification", classes, images, truth, answer, 2000)


def load_bccd(archive: Path, bundle: Path | None) -> Pool:
    """All 364 micrographs; with a bundle the caller knows which of them it learned from."""
    images, names = _read(archive, lambda name: "/JPEGImages/" in name and name.endswith(".jpg"), 400)
    if bundle is not None:
        answer, classes = _bundle_answerer(bundle)
    else:
        classes = ("Platelets", "RBC", "WBC")
        answer = _annotated(archive, names, classes, images)
    return _pool("bccd", "detection", classes, images, np.zeros(0, np.int64), answer, 164)


def rows_of(
    task: str, classes: tuple[str, ...], images: Sequence[ImageArray], answers: list[Prediction]
) -> Observations:
    """What monitoring sees of answered images."""
    kind = load_task(task)
    rows = [
        observe(kind, image, answer, id=str(number))
        for number, (image, answer) in enumerate(zip(images, answers, strict=True))
    ]
    return Observations.stack(rows, num_classes=len(classes))


def darker(image: ImageArray, _: np.random.Generator) -> ImageArray:
    """By 30%."""
    return (image * 0.7).astype(np.uint8)


def _pool(
    name: str,
    task: str,
    classes: tuple[str, ...],
    images: list[ImageArray],
    truth: npt.NDArray[np.int64],
    answer: Answerer,
    num_reference: int,
) -> Pool:
    rows = rows_of(task, classes, images, answer(images, range(len(images))))
    return Pool(
        name=name, task=task, classes=classes, images=images, truth=truth, answer=answer, rows=rows,
        num_reference=num_reference,
    )  # fmt: skip


def _read(archive: Path, wanted: Callable[[str], bool], limit: int) -> tuple[list[ImageArray], list[str]]:
    images, names = [], []
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and wanted(member.name):
                file = tar.extractfile(member)
                assert file is not None
                images.append(decode_image(file.read(), where=member.name))
                names.append(member.name)
                if len(images) == limit:
                    break
    return images, names


def _bundle_answerer(root: Path) -> tuple[Answerer, tuple[str, ...]]:
    predictor = Predictor.open(root, RuntimeSettings(threads=1, batch_size=64))
    return lambda images, _: list(predictor.predict_stream(images)), predictor.classes


def _thumbnails(images: Sequence[ImageArray]) -> npt.NDArray[np.float32]:
    small = [np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BOX)).ravel() for image in images]
    return np.asarray(np.stack(small) / 255, np.float32)


def _logistic(images: list[ImageArray], truth: npt.NDArray[np.int64], learn: npt.NDArray[np.integer]) -> Answerer:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression

    pca = PCA(64, random_state=0).fit(_thumbnails([images[index] for index in learn]))
    model = LogisticRegression(C=0.01, max_iter=500)
    model.fit(pca.transform(_thumbnails([images[index] for index in learn])), truth[learn])

    def answer(images: Sequence[ImageArray], _: Sequence[int]) -> list[Prediction]:
        embeddings = pca.transform(_thumbnails(images)).astype(np.float32)
        probabilities = model.predict_proba(embeddings).astype(np.float32)
        return [Classification(row, embedding) for row, embedding in zip(probabilities, embeddings, strict=True)]

    return answer


def _annotated(archive: Path, names: list[str], classes: tuple[str, ...], images: list[ImageArray]) -> Answerer:
    from sklearn.decomposition import PCA

    pca = PCA(64, random_state=0).fit(_thumbnails(images))
    boxes: dict[str, list[tuple[str, list[float]]]] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if "/Annotations/" in member.name and member.name.endswith(".xml"):
                file = tar.extractfile(member)
                assert file is not None
                boxes[Path(member.name).stem] = _objects(file.read())

    def answer(images: Sequence[ImageArray], positions: Sequence[int]) -> list[Prediction]:
        embeddings = pca.transform(_thumbnails(images)).astype(np.float32)
        answers: list[Prediction] = []
        for embedding, position in zip(embeddings, positions, strict=True):
            found = [item for item in boxes[Path(names[position]).stem] if item[0] in classes]
            scores = np.sort(np.random.default_rng(position).beta(8, 2, len(found)))[::-1]
            answers.append(
                Detections(
                    np.array([box for _, box in found], np.float32).reshape(-1, 4),
                    scores.astype(np.float32),
                    np.array([classes.index(name) for name, _ in found], np.int64),
                    np.ones(len(found), bool),
                    embedding,
                )
            )
        return answers

    return answer


def _objects(xml: bytes) -> list[tuple[str, list[float]]]:
    found = []
    for item in ET.fromstring(xml).iter("object"):
        corners = [float(item.findtext(f"bndbox/{key}", "0")) for key in ("xmin", "ymin", "xmax", "ymax")]
        if corners[2] > corners[0] and corners[3] > corners[1]:
            found.append((item.findtext("name", ""), corners))
    return found


def _blur(image: ImageArray, _: np.random.Generator) -> ImageArray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(max(0.8, image.shape[0] / 240))))


def _rotation(image: ImageArray, _: np.random.Generator) -> ImageArray:
    """By 30 degrees; the corners repeat the border's mean colour."""
    edge = tuple(int(value) for value in np.concatenate([image[0], image[-1]]).mean(axis=0))
    return np.asarray(Image.fromarray(image).rotate(30, Image.Resampling.BILINEAR, fillcolor=edge))


def _noise(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    return np.clip(image + rng.normal(0, 10, image.shape), 0, 255).astype(np.uint8)


def _jpeg(image: ImageArray, _: np.random.Generator) -> ImageArray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=30)
    return decode_image(buffer.getvalue())


def _crop(image: ImageArray, _: np.random.Generator) -> ImageArray:
    """The middle 80% of each side, at the size it had."""
    height, width = image.shape[:2]
    box = (width * 0.1, height * 0.1, width * 0.9, height * 0.9)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box=box))


def _colour(image: ImageArray, _: np.random.Generator) -> ImageArray:
    """Warmer light: red up, blue down by a tenth."""
    return np.asarray(np.clip(image * np.array([1.1, 1.0, 0.9]), 0, 255), np.uint8)


SHIFTS: dict[str, Shift] = {
    "blur": _blur,
    "30% darker": darker,
    "rotation by 30°": _rotation,
    "noise (sigma 10)": _noise,
    "JPEG (quality 30)": _jpeg,
    "crop to 80%": _crop,
    "colour": _colour,
}
