"""What an image looks like in ten numbers, and a hash of its appearance; numpy and Pillow only, and cheap.

Colour and sharpness are measured on a copy whose longer side is at most `_SIDE` pixels, so that they mean the
same for a thumbnail and a photograph. Noise lives in single pixels, which scaling would average away: it is
measured on patches of the image as it came, at both ends and in the middle of each side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from visionloop.core.images import ImageArray

_SIDE = 160
"""Longer side, in pixels, of the copy that colour and sharpness are measured on; nothing is enlarged."""
_PATCH = 48
"""Side in pixels of the patches that noise is measured on; nine of them, one in the middle of a small image."""
_RED, _GREEN, _BLUE = np.float32(0.299), np.float32(0.587), np.float32(0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""
_FLAT = 1e-8
"""Added under the logarithm of sharpness: an image without any detail has -8."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureInfo:
    """What a number is, for reports: unit, least and greatest possible value (None without bound), meaning."""

    unit: str
    low: float | None
    high: float | None
    meaning: str


FEATURES: dict[str, FeatureInfo] = {
    "width": FeatureInfo(unit="px", low=1, high=None, meaning="width of the upright image"),
    "height": FeatureInfo(unit="px", low=1, high=None, meaning="height of the upright image"),
    "aspect": FeatureInfo(unit="width/height", low=0, high=None, meaning="shape of the image"),
    "brightness": FeatureInfo(unit="share of full scale", low=0, high=1, meaning="mean luma (BT.601)"),
    "contrast": FeatureInfo(unit="share of full scale", low=0, high=0.5, meaning="standard deviation of luma"),
    "saturation": FeatureInfo(unit="share", low=0, high=1, meaning="mean of (max - min) / max over R, G, B (HSV's S)"),
    "sharpness": FeatureInfo(
        unit="log10", low=-8, high=1.21, meaning="log10 of the variance of luma's Laplacian, plus 1e-8"
    ),
    "noise": FeatureInfo(
        unit="share of full scale",
        low=0,
        high=1.68,
        meaning="standard deviation of the green channel's noise (Immerkaer 1996)",
    ),
    "red_green": FeatureInfo(unit="share of full scale", low=-1, high=1, meaning="mean of R - G"),
    "yellow_blue": FeatureInfo(unit="share of full scale", low=-1, high=1, meaning="mean of (R + G) / 2 - B"),
}
"""Every feature by name, in the order of `ImageFeatures`; ranges include their ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFeatures:
    """An image in numbers; units and ranges are in `FEATURES`.

    Attributes:
        dhash: 64 bits, whether brightness falls from left to right on an 8 x 8 grid; alike for images that look
            alike (dHash, N. Krawetz, 2013).
    """

    width: float
    height: float
    aspect: float
    brightness: float
    contrast: float
    saturation: float
    sharpness: float
    noise: float
    red_green: float
    yellow_blue: float
    dhash: int

    def scalars(self) -> dict[str, float]:
        """The features by name, without the hash."""
        return {name: getattr(self, name) for name in FEATURES}

    def to_record(self) -> dict[str, Any]:
        """JSON-like: six significant digits, the hash as 16 hex digits."""
        return {name: float(f"{value:.6g}") for name, value in self.scalars().items()} | {"dhash": f"{self.dhash:016x}"}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `to_record`; a KeyError or ValueError for anything else."""
        values = {field.name: float(record[field.name]) for field in fields(cls) if field.name != "dhash"}
        return cls(**values, dhash=int(record["dhash"], 16))


def image_features(image: ImageArray) -> ImageFeatures:
    """Measure an image. Takes about half a millisecond for 640 x 480 pixels, and hardly more for larger ones.

    Args:
        image: uint8 [H,W,3], RGB, upright, at least one pixel.
    """
    height, width = image.shape[:2]
    small = _scaled(image)
    # Channel by channel: numpy reduces over a last axis of three very slowly.
    red, green, blue = (np.asarray(channel, np.float32) / np.float32(255) for channel in small.split())
    luma: Floats = _RED * red + _GREEN * green + _BLUE * blue
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    mean_red, mean_green, mean_blue = float(red.mean()), float(green.mean()), float(blue.mean())
    return ImageFeatures(
        width=float(width),
        height=float(height),
        aspect=width / height,
        brightness=float(luma.mean()),
        contrast=float(luma.std()),
        saturation=float(((high - low) / np.maximum(high, np.float32(1 / 255))).mean()),
        sharpness=math.log10(_laplacian_variance(luma) + _FLAT),
        noise=noise_level(image),
        red_green=mean_red - mean_green,
        yellow_blue=(mean_red + mean_green) / 2 - mean_blue,
        dhash=_dhash(small),
    )


def noise_level(image: ImageArray) -> float:
    """Standard deviation of additive noise in the green channel, as a share of full scale.

    J. Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding 64 (1996): the image is
    filtered with the difference of two Laplacians, which cancels edges, and the mean absolute response is scaled
    to the standard deviation it would have for Gaussian noise. Fine texture counts as noise.
    """
    height, width = image.shape[:2]
    patches = np.stack(
        [image[top : top + _PATCH, left : left + _PATCH, 1] for top in _starts(height) for left in _starts(width)]
    ).astype(np.int16)
    if min(height, width) < 3:
        return 0.0
    # Rows, then columns, with (1, -2, 1): together the kernel (1 -2 1; -2 4 -2; 1 -2 1).
    rows = patches[:, 2:] - 2 * patches[:, 1:-1] + patches[:, :-2]
    response = rows[:, :, 2:] - 2 * rows[:, :, 1:-1] + rows[:, :, :-2]
    return math.sqrt(math.pi / 2) / 6 * float(np.abs(response).mean(dtype=np.float64)) / 255


def hamming(one: npt.NDArray[np.uint64], other: npt.NDArray[np.uint64] | np.uint64) -> npt.NDArray[np.uint8]:
    """How many of 64 bits differ, element by element."""
    return np.asarray(np.bitwise_count(one ^ other), np.uint8)


def _scaled(image: ImageArray) -> Image.Image:
    height, width = image.shape[:2]
    factor = -(-max(height, width) // _SIDE)
    if factor == 1:
        return Image.fromarray(image)
    # Every step-th row, so that at least two rows and all columns are averaged; reading all of it takes twice as long.
    step = max(1, factor // 2)
    picture = Image.fromarray(image[::step])
    # Whole pixels are averaged: as good as an antialiased resize here, and several times as fast.
    return picture.reduce((factor, -(-factor // step)))


def _laplacian_variance(luma: Floats) -> float:
    if min(luma.shape) < 3:
        return 0.0
    middle = luma[1:-1, 1:-1]
    return float((luma[2:, 1:-1] + luma[:-2, 1:-1] + luma[1:-1, 2:] + luma[1:-1, :-2] - 4 * middle).var())


def _dhash(picture: Image.Image) -> int:
    grid = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    bits = np.packbits(grid[:, 1:] > grid[:, :-1])
    return int.from_bytes(bits.tobytes(), "big")


def _starts(length: int) -> tuple[int, ...]:
    """Where patches begin along a side: at both ends and in the middle, or one for a short side."""
    return (0, (length - _PATCH) // 2, length - _PATCH) if length >= 3 * _PATCH else (max(0, (length - _PATCH) // 2),)
