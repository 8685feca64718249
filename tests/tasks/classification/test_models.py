from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import cv2
import numpy as np
import pytest
import torch

from visionloop.core.errors import ModelError
from visionloop.core.images import ImageArray, Recipe
from visionloop.networks import normalise
from visionloop.tasks.classification import TASK
from visionloop.tasks.classification.models import architecture_names, build_model
from visionloop.tasks.classification.task import ClassificationAugmentSettings, ClassificationModelSettings


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1"])
def test_torchvision_architectures_give_logits_and_embedding(name: str) -> None:
    model = ClassificationModelSettings(architecture=name)
    recipe = Recipe(height=64, width=64)
    learner = TASK.learner(model, ClassificationAugmentSettings(), num_classes=7, recipe=recipe)
    logits, embedding = learner.graph().eval()(torch.zeros(2, 64, 64, 3, dtype=torch.uint8))
    assert logits.shape == (2, 7)
    assert embedding.ndim == 2
    assert embedding.shape[0] == 2


def test_every_listed_name_is_torchvisions() -> None:
    assert {"small_cnn", "resnet18", "vit_b_16", "convnext_tiny"} <= set(architecture_names())


def test_a_small_stem_keeps_the_resolution() -> None:
    model = build_model(ClassificationModelSettings(architecture="resnet18", small_stem=True), 3)
    assert model.conv1.stride == (1, 1)  # type: ignore[union-attr]
    with pytest.raises(ModelError, match="mobilenet_v2 has no stem that could be made small"):
        build_model(ClassificationModelSettings(architecture="mobilenet_v2", small_stem=True), 3)


def test_weights_enum_of_another_architecture() -> None:
    model = ClassificationModelSettings(architecture="resnet18", weights="ResNet50_Weights.IMAGENET1K_V1")
    with pytest.raises(ModelError, match="resnet18 has no weights") as error:
        build_model(model, 3)
    assert "ResNet18_Weights.IMAGENET1K_V1" in error.value.expected


@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v3_small"])
def test_pretrained_weights_without_a_network(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    weights = {"resnet18": "ResNet18_Weights.IMAGENET1K_V1", "mobilenet_v3_small": "MobileNet_V3_Small_Weights.DEFAULT"}
    model = ClassificationModelSettings(architecture=architecture, weights=weights[architecture])
    with pytest.raises(ModelError, match="the pretrained weights cannot be fetched") as error:
        build_model(model, 3)
    assert "model.weights to the file" in error.value.action


@pytest.mark.parametrize("preset", ["none", "light", "standard", "strong"])
def test_presets_keep_size_and_type(preset: str) -> None:
    settings = ClassificationAugmentSettings(preset=preset, flip=True, cutout=0.25)  # type: ignore[arg-type]
    learner = TASK.learner(
        ClassificationModelSettings(width=4), settings, num_classes=2, recipe=Recipe(height=32, width=40)
    )
    view, target = learner.augment(np.full((32, 40, 3), 9, np.uint8), 1, 5)
    assert (view.shape, view.dtype, target) == ((32, 40, 3), np.uint8, 1)


def test_a_training_begins_with_shrunk_images() -> None:
    settings = ClassificationAugmentSettings(shrink_until=0.5, shrink_to=0.75)
    learner = TASK.learner(
        ClassificationModelSettings(width=4), settings, num_classes=2, recipe=Recipe(height=32, width=40)
    )
    seen: list[tuple[int, ...]] = []
    learner.module.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    images, targets = torch.zeros(2, 32, 40, 3, dtype=torch.uint8), torch.tensor([0, 1])
    for progress in (0.0, 0.49, 0.5, 0.99):
        learner.losses(images, targets, progress=progress)
    assert seen == [(2, 3, 24, 30)] * 2 + [(2, 3, 32, 40)] * 2
    tiny = settings.model_copy(update={"shrink_to": 0.4})
    with pytest.raises(ModelError, match="fast_cnn does not take an input of 6 x 6 pixels"):
        TASK.learner(
            ClassificationModelSettings(architecture="fast_cnn", width=4),
            tiny,
            num_classes=2,
            recipe=Recipe(height=16, width=16),
        )


def test_light_views_are_the_image_mirrored_and_shifted() -> None:
    recipe, rng = Recipe(height=16, width=24), np.random.default_rng(2)
    image = rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)
    learner = TASK.learner(
        ClassificationModelSettings(width=4),
        ClassificationAugmentSettings(flip=True, shift=0.125),
        num_classes=2,
        recipe=recipe,
    )
    possible = {}
    for mirrored in (False, True):
        padded = np.pad(image[:, ::-1] if mirrored else image, ((2, 2), (3, 3), (0, 0)), mode="reflect")
        for y in range(5):
            for x in range(7):
                possible[padded[y : y + 16, x : x + 24].tobytes()] = (mirrored, y, x)
    views = [learner.augment(image, 1, seed)[0] for seed in range(600)]
    assert {possible[view.tobytes()] for view in views} == set(possible.values())
    assert all(np.array_equal(learner.augment(image, 1, seed)[0], views[seed]) for seed in range(5))


def test_fast_cnn_whitens_the_patches_of_its_training_images() -> None:
    rng = np.random.default_rng(3)
    # Smooth, so that neighbouring pixels go together, as in photographs.
    coarse = rng.integers(0, 256, (40, 5, 5, 3)).astype(np.float32)
    images = np.stack([cv2.resize(image, (32, 32), interpolation=cv2.INTER_CUBIC) for image in coarse])
    images = np.clip(images, 0, 255).astype(np.uint8)
    asked: list[int] = []

    def inputs(count: int) -> ImageArray:
        asked.append(count)
        return images[:count]

    learner = TASK.learner(
        ClassificationModelSettings(architecture="fast_cnn", width=8),
        ClassificationAugmentSettings(),
        num_classes=3,
        recipe=Recipe(height=32, width=32),
    )
    learner.begin(inputs)
    assert len(asked) == 1
    first = learner.module.get_submodule("whitening")
    with torch.no_grad():
        filtered = first(normalise(torch.from_numpy(images)))
    assert torch.equal(filtered[:, :12], -filtered[:, 12:])
    covariance = torch.cov(filtered[:, :12].permute(1, 0, 2, 3).flatten(1))
    assert torch.allclose(covariance, torch.diag(covariance.diagonal()), atol=1e-4)
    # What varies hardly more than the added constant stays below one.
    assert covariance.diagonal().max() == pytest.approx(1.0, abs=0.001)
    assert covariance.diagonal().min() > 0.5
    assert not any(parameter.requires_grad for name, parameter in first.named_parameters() if name == "weight")


def test_fast_cnn_starts_where_its_weights_are_from(tmp_path: Path) -> None:
    recipe, augment = Recipe(height=32, width=32), ClassificationAugmentSettings()
    model = ClassificationModelSettings(architecture="fast_cnn", width=4)
    trained = TASK.learner(model, augment, num_classes=3, recipe=recipe)
    torch.save(trained.module.state_dict(), tmp_path / "w.pt")
    again = TASK.learner(
        model.model_copy(update={"weights": str(tmp_path / "w.pt")}), augment, num_classes=3, recipe=recipe
    )
    again.begin(lambda count: np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8))
    assert all(map(torch.equal, trained.module.state_dict().values(), again.module.state_dict().values()))
