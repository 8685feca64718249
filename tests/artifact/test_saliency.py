from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from visionloop.artifact.predictor import Predictor
from visionloop.artifact.saliency import overlay, saliency
from visionloop.core.images import Recipe


@dataclass
class CornerTask:
    """An answer is the share of light in a corner of the input, and supports itself by it."""

    corner: tuple[slice, slice] = (slice(0, 16), slice(48, 64))

    def finish(self, outputs: Any, placements: Any, operating_point: Any) -> list[float]:
        assert len(outputs["images"]) == len(placements)
        return [float(image[self.corner].mean() / 255) for image in outputs["images"]]

    def support(self, reference: float, other: float) -> float:
        return other


@dataclass
class CornerPredictor:
    recipe: Recipe = field(default_factory=lambda: Recipe(height=64, width=64))
    task: Any = field(default_factory=CornerTask)
    batch_size: int = 16
    operating_point: Any = None
    batches: list[int] = field(default_factory=list)

    def run(self, inputs: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
        assert inputs.dtype == np.uint8
        self.batches.append(len(inputs))
        return {"images": inputs}


def dark(height: int, width: int, rows: slice, columns: slice) -> np.ndarray[Any, Any]:
    """A dark image with a light part."""
    image = np.full((height, width, 3), 20, np.uint8)
    image[rows, columns] = 255
    return image


def hottest(heat: np.ndarray[Any, Any]) -> tuple[int, int]:
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    return int(row), int(column)


CORNER = dark(64, 64, slice(0, 16), slice(48, 64))


def test_the_part_that_the_answer_rests_on_is_the_hottest() -> None:
    found = saliency(CornerPredictor(), CORNER, masks=256)  # type: ignore[arg-type]
    assert found.heat.shape == (64, 64)
    assert found.heat.dtype == np.float32
    assert (found.heat.min(), found.heat.max()) == (0.0, 1.0)
    row, column = hottest(found.heat)
    assert row < 16
    assert column >= 48
    elsewhere = found.heat.copy()
    elsewhere[:24, 40:] = 0
    assert elsewhere.max() < 0.6
    assert found.heat[:16, 48:].mean() > 0.7
    assert found.reference == pytest.approx(1.0)


def test_the_seed_alone_decides() -> None:
    first, again, other = (
        saliency(CornerPredictor(), CORNER, masks=32, seed=seed).heat  # type: ignore[arg-type]
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_masks_go_in_batches_of_the_predictors_size() -> None:
    predictor = CornerPredictor(batch_size=10)
    saliency(predictor, CORNER, masks=25)  # type: ignore[arg-type]
    assert predictor.batches == [1, 10, 10, 5]


def test_an_answer_that_depends_on_nothing_has_no_heat() -> None:
    task = SimpleNamespace(finish=lambda outputs, places, point: [0.7] * len(places), support=lambda a, b: b)
    found = saliency(CornerPredictor(task=task), CORNER, masks=32)  # type: ignore[arg-type]
    assert not found.heat.any()


def test_padding_is_never_hidden_and_the_heat_lies_on_the_upright_image() -> None:
    recipe = Recipe(height=64, width=64, resize="letterbox")
    inputs: list[np.ndarray[Any, Any]] = []
    # 128 x 64 pixels lie in rows 16 to 48 of the input, so the image's lower left is rows 40 to 48.
    task = CornerTask(corner=(slice(36, 48), slice(0, 12)))
    predictor = CornerPredictor(recipe=recipe, task=task)
    run = predictor.run
    predictor.run = lambda images: run(inputs.append(images) or images)  # type: ignore[func-returns-value,method-assign]
    found = saliency(predictor, dark(64, 128, slice(40, 64), slice(0, 24)), masks=256)  # type: ignore[arg-type]
    assert all((batch[:, :16] == 114).all() and (batch[:, 48:] == 114).all() for batch in inputs)
    assert found.heat.shape == (64, 128)
    row, column = hottest(found.heat)
    assert row >= 40
    assert column < 24


def test_beside_a_crop_there_is_no_heat() -> None:
    recipe = Recipe(height=64, width=64, resize="center_crop")
    task = CornerTask(corner=(slice(0, 16), slice(48, 64)))
    image = dark(64, 128, slice(0, 16), slice(80, 96))
    heat = saliency(CornerPredictor(recipe=recipe, task=task), image, masks=256).heat  # type: ignore[arg-type]
    assert not heat[:, :32].any()
    assert not heat[:, 96:].any()
    row, column = hottest(heat)
    assert row < 16
    assert 80 <= column < 96


@pytest.mark.parametrize("size", [(40, 48), (2, 300), (200, 3)])
def test_images_of_any_size_and_every_task(bundle_root: Path, size: tuple[int, int]) -> None:
    predictor = Predictor.open(bundle_root)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    before = image.copy()
    found = saliency(predictor, image, masks=16)
    assert found.heat.shape == size
    assert 0.0 <= found.heat.min() <= found.heat.max() <= 1.0
    reference = next(predictor.predict_stream([image]))
    assert found.reference.to_record(predictor.classes) == reference.to_record(predictor.classes)
    assert np.array_equal(image, before)


def test_the_overlay_colours_what_is_hot_and_greys_the_rest() -> None:
    image = np.full((8, 8, 3), (90, 100, 110), np.uint8)
    heat = np.zeros((8, 8), np.float32)
    heat[:, 4:] = 1.0
    picture = overlay(image, heat)
    assert picture.size == (8, 8)
    pixels = np.asarray(picture).astype(int)
    assert np.ptp(pixels[0, 0]) < 20
    assert pixels[0, 0].mean() == pytest.approx(100, abs=4)
    assert pixels[0, 7, :2].min() > 200
    assert pixels[0, 7, 0] > pixels[0, 7, 2] + 40
