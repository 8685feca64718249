from __future__ import annotations

import numpy as np
import pytest
import torch

from visionloop.core.errors import ModelError
from visionloop.core.images import Recipe
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


@pytest.mark.parametrize("preset", ["none", "light", "standard", "strong"])
def test_presets_keep_size_and_type(preset: str) -> None:
    settings = ClassificationAugmentSettings(preset=preset, flip=True, cutout=0.25)  # type: ignore[arg-type]
    learner = TASK.learner(
        ClassificationModelSettings(width=4), settings, num_classes=2, recipe=Recipe(height=32, width=40)
    )
    view, target = learner.augment(np.full((32, 40, 3), 9, np.uint8), 1, 5)
    assert (view.shape, view.dtype, target) == ((32, 40, 3), np.uint8, 1)
