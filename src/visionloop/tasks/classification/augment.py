"""Random views of a training image, from presets."""

from __future__ import annotations

import albumentations as A
import cv2

from visionloop.core.images import ImageArray, Recipe
from visionloop.tasks.classification.task import ClassificationAugmentSettings


class Augmenter:
    """An Albumentations pipeline whose view depends on the seed alone."""

    def __init__(self, settings: ClassificationAugmentSettings, recipe: Recipe) -> None:
        """Build the preset for images of the recipe's size."""
        self._pipeline = A.Compose(_transforms(settings, recipe)) if settings.preset != "none" else None

    def __call__(self, image: ImageArray, seed: int) -> ImageArray:
        """A view of uint8 [H,W,3], of the same size."""
        if self._pipeline is None:
            return image
        # Compose(seed=...) gives every worker and epoch the same stream; a seed a view does not.
        self._pipeline.set_random_seed(seed)
        view: ImageArray = self._pipeline(image=image)["image"]
        return view


def _transforms(settings: ClassificationAugmentSettings, recipe: Recipe) -> list[A.BasicTransform]:
    height, width = recipe.height, recipe.width
    pad_y, pad_x = round(settings.shift * height), round(settings.shift * width)
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
    if pad_x or pad_y:
        steps.append(A.Pad(padding=(pad_x, pad_y, pad_x, pad_y), border_mode=cv2.BORDER_REFLECT_101))
        steps.append(A.RandomCrop(height, width))
    if settings.preset == "strong":
        steps.append(A.GaussianBlur(blur_limit=(3, 5), p=0.1))
    if settings.cutout:
        side = settings.cutout
        steps.append(
            A.CoarseDropout(
                num_holes_range=(1, 1), hole_height_range=(side, side), hole_width_range=(side, side), fill=114, p=1.0
            )
        )
    return steps
