"""Which parts of an image an answer rests on, found by hiding parts of it: no gradients, any engine, any task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from visionloop.artifact.predictor import Predictor
from visionloop.core.images import ImageArray, Placement
from visionloop.task import Prediction

Floats = npt.NDArray[np.float32]

_FLAT = 1e-6
"""A heat that varies less than this says nothing: the answer did not depend on what was hidden."""

_STOPS = ((66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
"""RGB at even steps from cold to hot: matplotlib's inferno (CC0) from a fifth on, evenly rising in lightness."""

_OPACITY = (0.0, 0.1, 0.45, 0.7, 0.8)
"""Share of the colour at even steps of heat; low where the noise of random masks lies."""

_COLOUR_KEPT = 0.2
"""Share of its own colours that the image keeps, so that the heat's colours stand out and are not taken for its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Saliency:
    """Where an answer comes from.

    Attributes:
        heat: float32 [H,W], in pixels of the picture given; from 0 (nothing) to 1 (most). All zero where hiding
            parts changed nothing; zero where the model does not look, beside its crop.
        reference: The answer to the whole image.
    """

    heat: Floats
    reference: Prediction


def saliency(
    predictor: Predictor,
    image: ImageArray,
    *,
    masks: int = 256,
    grid: int = 8,
    seed: int = 0,
    check: Callable[[], None] = lambda: None,
    prepared: tuple[ImageArray, Placement] | None = None,
) -> Saliency:
    """Ask about an image again and again with random parts hidden, and see when the answer stays.

    RISE (Petsiuk et al. 2018, https://arxiv.org/abs/1806.07421): the heat of a pixel is the mean support of
    the answer over random masks, weighted by how far each shows the pixel. For boxes the support is D-RISE's
    similarity (Petsiuk et al. 2021, https://arxiv.org/abs/2006.03204). Hidden parts take the image's mean colour.

    Args:
        predictor: Answers; asked `masks` + 1 times.
        image: uint8 [H,W,3], upright, of any size.
        masks: How many times parts are hidden; noise falls with its square root.
        grid: Cells a side of the model's input; smaller cells show finer parts and need more masks.
        seed: The same seed gives the same heat.
        check: Called before the predictor is asked about the next few masks; what it raises ends the work.
        prepared: What the recipe made of the original, where `image` is that scaled down: the answer, with its boxes,
            is the original's, and the heat is the picture's.
    """
    array, placement = prepared or predictor.recipe.apply(image)
    reference = _ask(predictor, array[None], placement)[0]
    rows, columns = _visible(placement, *array.shape[:2])
    seen = array[rows, columns].astype(np.float32)
    mean = seen.mean(axis=(0, 1))
    cell = (array.shape[0] / grid, array.shape[1] / grid)
    weighted, shown = np.zeros(seen.shape[:2]), np.zeros(seen.shape[:2])
    for batch in _masks(masks, predictor.batch_size, seen.shape[:2], cell, np.random.default_rng(seed)):
        check()
        inputs = np.repeat(array[None], len(batch), axis=0)
        for target, mask in zip(inputs, batch, strict=True):
            target[rows, columns] = np.rint(mean + mask[..., None] * (seen - mean))
        answers = _ask(predictor, inputs, placement)
        support = [predictor.task.support(reference, answer) for answer in answers]
        weighted += np.tensordot(np.array(support, np.float32), batch, axes=1)
        shown += batch.sum(axis=0)
    heat = _normalised(weighted / np.maximum(shown, 1e-9))
    return Saliency(_to_image(heat, rows, columns, placement, image.shape[:2]), reference)


def overlay(image: ImageArray, heat: Floats) -> Image.Image:
    """The image, greyed, with its hot parts coloured from violet over red to light yellow.

    Args:
        image: uint8 [H,W,3], upright.
        heat: float32 [H,W] in [0, 1].
    """
    levels = np.rint(heat * 255).astype(np.uint8)
    picture = Image.fromarray(image)
    greyed = Image.blend(picture.convert("L").convert("RGB"), picture, _COLOUR_KEPT)
    share = Image.fromarray(_SHARES[levels])
    return Image.composite(Image.fromarray(_COLOURS[levels]), greyed, share)


def _ask(predictor: Predictor, inputs: npt.NDArray[np.uint8], placement: Placement) -> list[Prediction]:
    outputs = predictor.run(inputs)
    return predictor.task.finish(outputs, [placement] * len(inputs), predictor.operating_point)


def _masks(
    count: int, batch: int, size: tuple[int, int], cell: tuple[float, float], random: np.random.Generator
) -> Iterator[Floats]:
    """Batches [n,h,w] in [0, 1] of RISE's masks: a lattice of zeros and ones at a random shift, bilinear between."""
    height, width = (int(np.ceil(side / step)) + 2 for side, step in zip(size, cell, strict=True))
    for start in range(0, count, batch):
        num = min(batch, count - start)
        lattice = random.integers(0, 2, (num, height, width)).astype(np.float32)
        down, right = (
            _tents(side, step, nodes, random.random((num, 1, 1)))
            for side, step, nodes in zip(size, cell, (height, width), strict=True)
        )
        yield (down @ lattice @ right.transpose(0, 2, 1)).astype(np.float32, copy=False)


def _tents(side: int, step: float, nodes: int, shifts: npt.NDArray[np.float64]) -> Floats:
    """Weights [n,side,nodes] of linear interpolation between nodes `step` pixels apart, moved by shifts of a step."""
    where = (np.arange(side)[:, None] + 0.5) / step + shifts
    return np.maximum(0.0, 1.0 - np.abs(where - np.arange(nodes))).astype(np.float32)


def _normalised(heat: npt.NDArray[np.float64]) -> Floats:
    low, high = float(heat.min()), float(heat.max())
    if high - low < _FLAT:
        return np.zeros(heat.shape, np.float32)
    return ((heat - low) / (high - low)).astype(np.float32)


def _visible(placement: Placement, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of an input that show the image, not the padding."""
    whole = np.array([[0, 0, placement.width, placement.height]])
    left, top, right, bottom = np.rint(placement.to_input(whole)[0]).astype(int).tolist()
    return slice(max(0, top), min(height, bottom)), slice(max(0, left), min(width, right))


def _to_image(heat: Floats, rows: slice, columns: slice, placement: Placement, size: tuple[int, ...]) -> Floats:
    """The heat of an input's visible part on the upright image, drawn as large as `size` (h, w); zero beside a crop."""
    seen = np.array([[columns.start, rows.start, columns.stop, rows.stop]])
    height, width = size
    scale = np.array([width / placement.width, height / placement.height] * 2)
    left, top, right, bottom = np.rint(placement.to_image(seen)[0] * scale).astype(int).tolist()
    canvas = np.zeros((height, width), np.float32)
    if right > left and bottom > top:
        part = Image.fromarray(heat).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
        canvas[top:bottom, left:right] = np.clip(np.asarray(part), 0.0, 1.0)
    return canvas


def _table(stops: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Values of 256 levels, linear between stops at even steps."""
    values = np.atleast_2d(np.asarray(stops, np.float64).T)
    levels, at = np.linspace(0, 1, 256), np.linspace(0, 1, values.shape[1])
    return np.rint([np.interp(levels, at, channel) for channel in values]).astype(np.uint8).T


_COLOURS = _table(_STOPS)
_SHARES = _table(np.multiply(_OPACITY, 255))[:, 0]
