"""Random views of a training image with its boxes, from presets."""

from __future__ import annotations

from typing import NamedTuple

import albumentations as A
import cv2
import numpy as np
import numpy.typing as npt

from visionloop.core.images import ImageArray
from visionloop.tasks.detection.boxes import Boxes
from visionloop.tasks.detection.task import DetectionAugmentSettings

_MIN_VISIBLE = 0.3
"""A box of which less than this share stays inside is dropped: what is left could be anything."""


class Target(NamedTuple):
    """Boxes float32 [n,4] in input pixels, and class ids int64 [n]."""

    boxes: Boxes
    class_ids: npt.NDArray[np.int64]


class Augmenter:
    """An Albumentations pipeline whose view depends on the seed alone."""

    def __init__(self, settings: DetectionAugmentSettings) -> None:
        """Build the preset."""
        self._pipeline = None
        if settings.preset != "none":
            boxes = A.BboxParams(
                format="pascal_voc", label_fields=["ids"], clip=True, min_visibility=_MIN_VISIBLE, min_area=4.0
            )
            self._pipeline = A.Compose(_transforms(settings), bbox_params=boxes)

    def __call__(self, image: ImageArray, target: Target, seed: int) -> tuple[ImageArray, Target]:
        """A view of uint8 [H,W,3], of the same size, with the boxes still inside it."""
        if self._pipeline is None:
            return image, target
        # Compose(seed=...) gives every worker and epoch the same stream; a seed a view does not.
        self._pipeline.set_random_seed(seed)
        view = self._pipeline(image=image, bboxes=target.boxes, ids=target.class_ids)
        # Without any box left Albumentations returns an array of shape (0,).
        boxes = np.asarray(view["bboxes"], np.float32).reshape(-1, 4)
        return view["image"], Target(boxes, np.asarray(view["ids"], np.int64))


def _transforms(settings: DetectionAugmentSettings) -> list[A.BasicTransform]:
    steps: list[A.BasicTransform] = []
    if settings.flip:
        steps.append(A.HorizontalFlip(p=0.5))
    if settings.flip_vertical:
        steps.append(A.VerticalFlip(p=0.5))
    if settings.preset in ("standard", "strong"):
        scale, shift = (0.2, 0.1) if settings.preset == "standard" else (0.4, 0.2)
        steps.append(
            A.Affine(
                scale=(1 - scale, 1 + scale),
                translate_percent=(-shift, shift),
                keep_ratio=True,
                border_mode=cv2.BORDER_CONSTANT,
                fill=114,
                p=0.8,
            )
        )
    strength = {"light": 0.1, "standard": 0.2, "strong": 0.35}[settings.preset]
    steps.append(A.ColorJitter(strength, strength, strength, strength / 5, p=0.7))
    if settings.preset == "strong":
        steps.append(A.GaussianBlur(blur_limit=(3, 5), p=0.1))
    return steps
