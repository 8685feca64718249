"""Random views of a training image, from presets."""

from __future__ import annotations

import albumentations as A
import cv2
import numpy as np

from visionloop.core.images import ImageArray, Recipe
from visionloop.tasks.classification.task import ClassificationAugmentSettings


class Augmenter:
    """Views that depend on the seed alone: by Albumentations, and by hand where there is only a flip and a shift.

    Albumentations takes 0.3 ms for these two, most of it for the seed: a sixth of an epoch of `fast_cnn` on a CPU.
    """

    def __init__(self, settings: ClassificationAugmentSettings, recipe: Recipe) -> None:
        """Build the preset for images of the recipe's size."""
        self._settings = settings
        self._pad_y, self._pad_x = round(settings.shift * recipe.height), round(settings.shift * recipe.width)
        is_plain = settings.preset == "none" or (settings.preset == "light" and not settings.cutout)
        self._pipeline = None if is_plain else A.Compose(self._transforms(recipe))

    def __call__(self, image: ImageArray, seed: int) -> ImageArray:
        """A view of uint8 [H,W,3], of the same size."""
        if self._settings.preset == "none":
            return image
        if self._pipeline is None:
            return self._moved(image, seed)
        # Compose(seed=...) gives every worker and epoch the same stream; a seed a view does not.
        self._pipeline.set_random_seed(seed)
        view: ImageArray = self._pipeline(image=image)["image"]
        return view

    def _moved(self, image: ImageArray, seed: int) -> ImageArray:
        rng = np.random.default_rng(seed)
        x, y = rng.integers(2 * self._pad_x + 1), rng.integers(2 * self._pad_y + 1)
        if self._settings.flip and rng.random() < 0.5:
            image = cv2.flip(image, 1)  # type: ignore[assignment]
        pads = self._pad_y, self._pad_y, self._pad_x, self._pad_x
        padded: ImageArray = cv2.copyMakeBorder(image, *pads, cv2.BORDER_REFLECT_101)  # type: ignore[assignment]
        return padded[y : y + image.shape[0], x : x + image.shape[1]]

    def _transforms(self, recipe: Recipe) -> list[A.BasicTransform]:
        settings, height, width = self._settings, recipe.height, recipe.width
        steps: list[A.BasicTransform] = []
        if settings.flip:
            steps.append(A.HorizontalFlip(p=0.5))
        if settings.preset in ("standard", "strong"):
            degrees, scale = (12, 0.12) if settings.preset == "standard" else (25, 0.3)
            steps.append(
                A.Affine(
                    scale=(1 - scale, 1 + scale), rotate=(-degrees, degrees), border_mode=cv2.BORDER_REFLECT_101, p=0.7
                )
            )
            strength = 0.15 if settings.preset == "standard" else 0.35
            steps.append(A.ColorJitter(strength, strength, strength, strength / 5, p=0.6))
        if self._pad_x or self._pad_y:
            steps.append(
                A.Pad(padding=(self._pad_x, self._pad_y, self._pad_x, self._pad_y), border_mode=cv2.BORDER_REFLECT_101)
            )
            steps.append(A.RandomCrop(height, width))
        if settings.preset == "strong":
            steps.append(A.GaussianBlur(blur_limit=(3, 5), p=0.1))
        if settings.cutout:
            side = settings.cutout
            steps.append(
                A.CoarseDropout(
                    num_holes_range=(1, 1),
                    hole_height_range=(side, side),
                    hole_width_range=(side, side),
                    fill=114,
                    p=1.0,
                )
            )
        return steps
