from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from visionloop.core.errors import ModelError
from visionloop.core.images import Recipe
from visionloop.networks import ConvBlock, load_weights
from visionloop.task import load_task


def test_a_pooling_block_halves_and_its_maximum_commutes_with_norm_and_relu() -> None:
    torch.manual_seed(0)
    block = ConvBlock(3, 8, pool=True).eval()
    images = torch.randn(2, 3, 8, 8)
    late = torch.nn.functional.max_pool2d(block.relu(block.norm(block.conv(images))), 2)
    # At initialisation the norm's scale is positive, so the order of maximum and norm does not matter.
    assert torch.allclose(block(images), late)


def test_weights_as_old_as_torchvisions_first_load(tmp_path: Path) -> None:
    source = torchvision.models.resnet18(num_classes=5)
    state = {key: value for key, value in source.state_dict().items() if "num_batches_tracked" not in key}
    torch.save(state, tmp_path / "old.pt")
    model = torchvision.models.resnet18(num_classes=5)
    load_weights(model, tmp_path / "old.pt", head="fc.")
    assert torch.equal(model.layer4[1].conv2.weight, source.layer4[1].conv2.weight)


@pytest.mark.parametrize(
    ("task", "architecture", "side"),
    [("classification", "vit_b_16", 64), ("classification", "alexnet", 32)],
)
def test_an_input_size_the_architecture_cannot_take(task: str, architecture: str, side: int) -> None:
    kind = load_task(task)
    with pytest.raises(ModelError, match=f"{architecture} does not take an input of {side} x {side} pixels") as error:
        kind.learner(
            kind.model_settings.model_validate({"architecture": architecture}),
            kind.augment_settings(),
            num_classes=3,
            recipe=Recipe(height=side, width=side),
        )
    assert error.value.where == "setting recipe"
