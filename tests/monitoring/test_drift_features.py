from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter

from visionloop.monitoring.drift.features import FEATURES, ImageFeatures, hamming, image_features, noise_level


def scene(width: int = 320, height: int = 240, seed: int = 0) -> np.ndarray:
    """Soft coloured blobs with some grain."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(30, 220, (9, 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float64)
    return np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (2, 500), (3, 3), (32, 32), (320, 240), (1000, 30), (900, 1400)])
def test_every_size_has_numbers_within_their_ranges(size: tuple[int, int]) -> None:
    for image in (
        scene(*size),
        np.zeros((size[1], size[0], 3), np.uint8),
        np.full((size[1], size[0], 3), 255, np.uint8),
    ):
        features = image_features(image)
        assert (features.width, features.height) == size
        for name, value in features.scalars().items():
            info = FEATURES[name]
            assert info.low is None or value >= info.low - 1e-6, name
            assert info.high is None or value <= info.high + 1e-6, name


def test_extreme_patterns_stay_within_their_ranges() -> None:
    checks = (np.indices((60, 60)).sum(axis=0) % 2 * 255).astype(np.uint8)
    features = image_features(np.repeat(checks[:, :, None], 3, axis=2))
    assert 1.2 < features.sharpness <= 1.21
    assert 1.6 < features.noise <= 1.68
    assert features.contrast == pytest.approx(0.5)


def test_each_number_follows_what_it_is_named_after() -> None:
    image = scene()
    before = image_features(image)
    darker = image_features((image * 0.7).astype(np.uint8))
    assert darker.brightness == pytest.approx(0.7 * before.brightness, abs=0.01)
    assert darker.contrast == pytest.approx(0.7 * before.contrast, rel=0.03)
    blurred = image_features(np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(4))))
    assert blurred.sharpness < before.sharpness - 0.1
    assert blurred.noise < 0.2 * before.noise
    grey = image_features(np.repeat(image[:, :, 1:2], 3, axis=2))
    assert grey.saturation == pytest.approx(0)
    warmer = image_features(np.clip(image * np.array([1.2, 1.0, 0.8]), 0, 255).astype(np.uint8))
    assert warmer.red_green > before.red_green + 0.03
    assert warmer.yellow_blue > before.yellow_blue + 0.03
    assert image_features(image[:, :160]).aspect == pytest.approx(160 / 240)


@pytest.mark.parametrize("sigma", [2.0, 8.0, 20.0])
def test_noise_is_measured_whatever_lies_below(sigma: float) -> None:
    rng = np.random.default_rng(1)
    ramp = np.linspace(60, 190, 300)[None, :, None] * np.ones((200, 1, 3))
    noisy = np.clip(ramp + rng.normal(0, sigma, ramp.shape), 0, 255).astype(np.uint8)
    assert noise_level(noisy) * 255 == pytest.approx(sigma, rel=0.1)


def test_near_duplicates_have_near_hashes() -> None:
    image = scene(seed=1)
    later = np.clip(image.astype(int) + np.random.default_rng(2).integers(-3, 4, image.shape), 0, 255).astype(np.uint8)
    smaller = np.asarray(Image.fromarray(image).resize((200, 150)))
    first = np.array([image_features(picture).dhash for picture in (image, later, smaller)], np.uint64)
    other = np.array([image_features(scene(seed=number)).dhash for number in range(2, 30)], np.uint64)
    assert hamming(first, first[0]).max() <= 4
    assert hamming(other, first[0]).min() > 8


def test_records_are_json_and_come_back() -> None:
    features = image_features(scene())
    again = ImageFeatures.from_record(json.loads(json.dumps(features.to_record())))
    assert again.dhash == features.dhash
    assert again.scalars() == pytest.approx(features.scalars(), rel=1e-5)


def test_what_the_service_loads_is_light() -> None:
    code = """
import sys
import visionloop.monitoring.drift.observations, visionloop.monitoring.settings
from visionloop.task import load_task
load_task("classification"), load_task("detection")
print([name for name in ("scipy", "sklearn", "torch", "pyarrow", "pandas", "matplotlib") if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert found.stdout.strip() == "[]"
