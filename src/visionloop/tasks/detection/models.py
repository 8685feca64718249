"""Detectors: the light FCOS, and torchvision's one-stage detectors by name; weights from an enum or a file."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork

from visionloop.core.errors import ModelError, near_matches
from visionloop.core.images import Recipe
from visionloop.networks import ConvBlock, Residual, adopt_weights, fetched, load_weights, normalise
from visionloop.tasks.detection.task import DetectionModelSettings

LIGHT = "light_fcos"
_CLASS_HEAD = "head.classification_head."
ONE_STAGE: dict[str, Callable[..., nn.Module]] = {
    "fcos_resnet50_fpn": detection.fcos_resnet50_fpn,
    "retinanet_resnet50_fpn": detection.retinanet_resnet50_fpn,
    "retinanet_resnet50_fpn_v2": detection.retinanet_resnet50_fpn_v2,
    "ssd300_vgg16": detection.ssd300_vgg16,
    "ssdlite320_mobilenet_v3_large": detection.ssdlite320_mobilenet_v3_large,
}
TWO_STAGE = tuple(name for name in torchvision.models.list_models(module=detection) if "rcnn" in name)


class FixedSizeTransform(nn.Module):
    """Stands in for torchvision's own resizing: the recipe has brought the images to size already."""

    def forward(self, images: torch.Tensor, targets: Any = None) -> tuple[ImageList, Any]:
        """uint8 [N,H,W,3] as torchvision's image list, normalised; targets as they are."""
        height, width = images.shape[1:3]
        return ImageList(normalise(images), [(height, width)] * len(images)), targets


class LightBackbone(nn.Module):
    """A small residual network with a pyramid, made to be learned from scratch on a CPU."""

    def __init__(self, width: int, neck: int, first_stride: int) -> None:
        super().__init__()
        w = width
        self.stem = nn.Sequential(ConvBlock(3, w, stride=2), ConvBlock(w, 2 * w, stride=2), Residual(2 * w))
        self.stage8 = nn.Sequential(ConvBlock(2 * w, 4 * w, stride=2), Residual(4 * w), Residual(4 * w))
        self.stage16 = nn.Sequential(ConvBlock(4 * w, 6 * w, stride=2), Residual(6 * w), Residual(6 * w))
        self.stage32 = nn.Sequential(ConvBlock(6 * w, 8 * w, stride=2), Residual(8 * w))
        self.first_stride = first_stride
        channels = [4 * w, 6 * w, 8 * w] if first_stride == 8 else [2 * w, 4 * w, 6 * w, 8 * w]
        self.fpn = FeaturePyramidNetwork(channels, neck, norm_layer=nn.BatchNorm2d)
        self.out_channels = neck

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Pyramid levels, finest first."""
        c4 = self.stem(images)
        c8 = self.stage8(c4)
        c16 = self.stage16(c8)
        c32 = self.stage32(c16)
        levels = [c8, c16, c32] if self.first_stride == 8 else [c4, c8, c16, c32]
        out: dict[str, torch.Tensor] = self.fpn(OrderedDict((str(i), level) for i, level in enumerate(levels)))
        return out


def build_model(settings: DetectionModelSettings, num_classes: int, recipe: Recipe) -> nn.Module:
    """A torchvision-style one-stage detector for inputs of the recipe's size.

    Raises:
        ModelError: unknown or two-stage architecture, an input size it cannot take, or weights that do not fit.
    """
    name = settings.architecture
    if name in TWO_STAGE:
        raise ModelError(
            f"{name} works in two stages: its second looks at regions that depend on the image",
            where="setting model.architecture",
            expected=f"a one-stage detector: {', '.join([LIGHT, *ONE_STAGE])}",
            action="choose one of them; two-stage detectors do not export with a free batch axis",
        )
    if name != LIGHT and name not in ONE_STAGE:
        raise ModelError(
            f"there is no detector {name!r}",
            where="setting model.architecture",
            expected=near_matches(name, [LIGHT, *ONE_STAGE]),
            action="correct model.architecture",
        )
    # SSD's boxes are laid out for any size; a pyramid's levels must halve evenly.
    if not name.startswith("ssd") and (recipe.height % 32 or recipe.width % 32):
        raise ModelError(
            f"an input of {recipe.width} x {recipe.height} pixels",
            where="setting recipe",
            expected="multiples of 32",
            action="round recipe.width and recipe.height",
        )
    model = _light(settings, num_classes) if name == LIGHT else _torchvision(settings, num_classes)
    model.transform = FixedSizeTransform()
    # Under mixed precision the head answers in bf16; boxes and losses need fp32.
    model.head.register_forward_hook(_to_float)  # type: ignore[union-attr]
    if settings.weights and not _is_enum(settings.weights):
        load_weights(model, Path(settings.weights), head=_CLASS_HEAD)
    return model


def _to_float(module: nn.Module, inputs: Any, outputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:  # noqa: ARG001
    return {name: value.float() for name, value in outputs.items()}


def _light(settings: DetectionModelSettings, num_classes: int) -> nn.Module:
    if settings.weights_backbone or (settings.weights and _is_enum(settings.weights)):
        raise ModelError(
            f"{LIGHT} is not one of torchvision's, which has no weights for it",
            where="setting model.weights or model.weights_backbone",
            expected="null, or model.weights as a local state dict file",
            action=f"set them to null, or choose one of {', '.join(ONE_STAGE)}",
        )
    backbone = LightBackbone(settings.width, settings.neck, settings.first_stride)
    strides = (8, 16, 32) if settings.first_stride == 8 else (4, 8, 16, 32)
    anchors = AnchorGenerator(tuple((stride,) for stride in strides), ((1.0,),) * len(strides))
    head = FCOSHead(settings.neck, 1, num_classes, num_convs=settings.head_convs)
    model: nn.Module = FCOS(backbone, num_classes, anchor_generator=anchors, head=head)
    return model


def _torchvision(settings: DetectionModelSettings, num_classes: int) -> nn.Module:
    name = settings.architecture
    # SSD's softmax has a class of its own for the background, at 0.
    outputs = num_classes + 1 if name.startswith("ssd") else num_classes
    try:
        with fetched(str(settings.weights or settings.weights_backbone)):
            model = ONE_STAGE[name](weights=None, weights_backbone=settings.weights_backbone, num_classes=outputs)
        if settings.weights and _is_enum(settings.weights):
            with fetched(settings.weights):
                state = torchvision.models.get_weight(settings.weights).get_state_dict(progress=False)
            adopt_weights(model, state, head=_CLASS_HEAD, where=f"setting model.weights: {settings.weights}")
    except (KeyError, ValueError) as error:
        known = [str(member) for member in torchvision.models.get_model_weights(name)]
        raise ModelError(
            f"{name} has no such weights: {error}",
            where="setting model.weights or model.weights_backbone",
            expected=near_matches(str(settings.weights), known),
            action="correct the name, or name a local state dict file",
        ) from None
    return model


def _is_enum(weights: str) -> bool:
    return "_Weights." in weights
