"""Detectors: the light FCOS, and torchvision's one-stage detectors by name; weights from an enum or a file."""

from __future__ import annotations

import logging
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
from visionloop.tasks.detection.task import DetectionModelSettings

_log = logging.getLogger(__name__)

LIGHT = "light_fcos"
ONE_STAGE: dict[str, Callable[..., nn.Module]] = {
    "fcos_resnet50_fpn": detection.fcos_resnet50_fpn,
    "retinanet_resnet50_fpn": detection.retinanet_resnet50_fpn,
    "retinanet_resnet50_fpn_v2": detection.retinanet_resnet50_fpn_v2,
    "ssd300_vgg16": detection.ssd300_vgg16,
    "ssdlite320_mobilenet_v3_large": detection.ssdlite320_mobilenet_v3_large,
}
TWO_STAGE = tuple(name for name in torchvision.models.list_models(module=detection) if "rcnn" in name)

# ImageNet's statistics in 0..255, so that pretrained backbones fit.
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)


class FixedSizeTransform(nn.Module):
    """Stands in for torchvision's own resizing: the recipe has brought the images to size already."""

    def forward(self, images: torch.Tensor, targets: Any = None) -> tuple[ImageList, Any]:
        """uint8 [N,H,W,3] as torchvision's image list, normalised; targets as they are."""
        height, width = images.shape[1:3]
        return ImageList(normalise(images), [(height, width)] * len(images)), targets


def normalise(images: torch.Tensor) -> torch.Tensor:
    """uint8 [N,H,W,3] to float32 [N,3,H,W] with ImageNet's mean and deviation; a view in channels-last order."""
    mean = torch.tensor(_MEAN, device=images.device)
    std = torch.tensor(_STD, device=images.device)
    return ((images.float() - mean) / std).permute(0, 3, 1, 2)


class LightBackbone(nn.Module):
    """A small residual network with a pyramid, made to be learned from scratch on a CPU."""

    def __init__(self, width: int, neck: int, first_stride: int) -> None:
        super().__init__()
        w = width
        self.stem = nn.Sequential(_conv(3, w, stride=2), _conv(w, 2 * w, stride=2), _Residual(2 * w))
        self.stage8 = nn.Sequential(_conv(2 * w, 4 * w, stride=2), _Residual(4 * w), _Residual(4 * w))
        self.stage16 = nn.Sequential(_conv(4 * w, 6 * w, stride=2), _Residual(6 * w), _Residual(6 * w))
        self.stage32 = nn.Sequential(_conv(6 * w, 8 * w, stride=2), _Residual(8 * w))
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


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _conv(channels, channels), _conv(channels, channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = features + self.second(self.first(features))
        return out


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)
    )


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
    if recipe.height % 32 or recipe.width % 32:
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
    if settings.weights and "_Weights." not in settings.weights:
        load_weights(model, Path(settings.weights))
    return model


def _to_float(module: nn.Module, inputs: Any, outputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:  # noqa: ARG001
    return {name: value.float() for name, value in outputs.items()}


def _light(settings: DetectionModelSettings, num_classes: int) -> nn.Module:
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
        model = ONE_STAGE[name](weights=None, weights_backbone=settings.weights_backbone, num_classes=outputs)
        if settings.weights and "_Weights." in settings.weights:
            state = torchvision.models.get_weight(settings.weights).get_state_dict(progress=False)
            _adopt(model, state, f"setting model.weights: {settings.weights}")
    except (KeyError, ValueError) as error:
        known = [str(member) for member in torchvision.models.get_model_weights(name)]
        raise ModelError(
            f"{name} has no such weights: {error}",
            where="setting model.weights or model.weights_backbone",
            expected=near_matches(str(settings.weights), known),
            action="correct the name, or name a local state dict file",
        ) from None
    return model


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a local state dict; a class head for another number of classes starts afresh, and that is logged.

    Raises:
        ModelError: no such file, not a state dict, or tensors of other names or shapes.
    """
    where = f"setting model.weights: {path}"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(
            "the weights file does not exist",
            where=where,
            expected="a state dict (.pt, .pth)",
            action="correct the path",
        ) from None
    except Exception as error:  # torch raises many kinds for a file that is none of its own
        raise ModelError(
            f"the weights cannot be read: {str(error).splitlines()[0][:200]}",
            where=where,
            expected="a state dict saved by torch.save",
            action="save model.state_dict() with torch.save",
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(
            "the file holds no state dict: names with tensors",
            where=where,
            expected="a state dict saved by torch.save",
            action="save model.state_dict() with torch.save",
        )
    _adopt(model, state, where)


def _adopt(model: nn.Module, state: dict[str, torch.Tensor], where: str) -> None:
    own = model.state_dict()
    foreign = {
        key
        for key, value in state.items()
        if key.startswith("head.classification_head") and key in own and value.shape != own[key].shape
    }
    if foreign:
        _log.warning("%s: for other classes; the class head starts afresh", where)
    wrong = [
        f"{key}: {_shape(state.get(key))} instead of {_shape(own.get(key))}"
        for key in sorted((own.keys() | state.keys()) - foreign)
        if _shape(own.get(key)) != _shape(state.get(key))
    ]
    if wrong:
        raise ModelError(
            f"{len(wrong)} tensors do not fit the architecture: " + "; ".join(wrong[:5]),
            where=where,
            expected=f"weights of this {type(model).__name__}",
            action="choose the architecture and widths the weights were trained with",
        )
    model.load_state_dict({key: value for key, value in state.items() if key not in foreign}, strict=False)


def _shape(value: torch.Tensor | None) -> str:
    return "absent" if value is None else str(list(value.shape))
