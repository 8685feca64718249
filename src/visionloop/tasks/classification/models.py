"""Classification networks: two small CNNs, and torchvision's by name; weights from an enum or a file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
import torchvision
from torch import nn
from torch.nn import functional

from visionloop.core.errors import ModelError, near_matches
from visionloop.networks import ConvBlock, Residual, fetched, load_weights
from visionloop.tasks.classification.task import ClassificationModelSettings

SMALL_CNN = "small_cnn"
FAST_CNN = "fast_cnn"

# Jordan's figures: patches of 2x2, 5e-4 added to their variances, logits divided by 9, norms that forget quickly.
_PATCH = 2
_WHITENING_EPSILON = 5e-4
_LOGIT_SCALE = 1 / 9
_NORM_MOMENTUM = 0.4


class SmallCnn(nn.Module):
    """A residual network with a small-image stem: 3x3 convolutions, no early pooling (after Page 2018, ResNet-9).

    For images from about 16 to 64 pixels; `width` channels at full resolution, eight times as many at the end.
    """

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        w = width
        self.features = nn.Sequential(
            ConvBlock(3, w),
            ConvBlock(w, 2 * w, pool=True),
            Residual(2 * w),
            ConvBlock(2 * w, 4 * w, pool=True),
            Residual(4 * w),
            ConvBlock(4 * w, 8 * w, pool=True),
            Residual(8 * w),
        )
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.head = nn.Linear(8 * w, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N,C] of normalised images [N,3,H,W]."""
        logits: torch.Tensor = self.head(self.pool(self.features(images)).flatten(1))
        return logits


class FastCnn(nn.Module):
    """A plain network that learns small images in few passes (after Jordan 2024, "94% on CIFAR-10 in 3.29 seconds").

    Its first layer is not learned: it whitens 2x2 patches of the training images (`whiten`). The convolutions
    start as the identity on their first channels, so that the signal passes from the first step on. For images
    from about 24 to 64 pixels; a fraction of `SmallCnn`'s work for each image, as little of it is at full resolution.
    """

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        filters = 2 * 3 * _PATCH**2
        self.whitening = nn.Conv2d(3, filters, _PATCH)
        self.whitening.weight.requires_grad_(False)
        widths = [filters, width, 3 * width, 4 * width]
        blocks = [
            nn.Sequential(_fast_block(before, after, pool=True), _fast_block(after, after))
            for before, after in pairwise(widths)
        ]
        self.features = nn.Sequential(nn.GELU(), *blocks)
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.head = nn.Linear(widths[-1], num_classes, bias=False)
        for layer in self.features.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.dirac_(layer.weight[: layer.in_channels])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N,C] of normalised images [N,3,H,W]."""
        logits: torch.Tensor = self.head(self.pool(self.features(self.whitening(images))).flatten(1))
        # Batch norms before it make for large features; without the factor the first steps are spent on taming them.
        return logits * _LOGIT_SCALE

    @torch.no_grad()
    def whiten(self, images: torch.Tensor) -> None:
        """Set the first layer to the principal directions of 2x2 patches, scaled to unit variance, and their negatives.

        Args:
            images: Normalised float32 [N,3,H,W], a few hundred or more.
        """
        patches = functional.unfold(images, _PATCH).transpose(1, 2).flatten(0, 1).double()
        values, vectors = torch.linalg.eigh(torch.cov(patches.T))
        directions = (vectors / (values + _WHITENING_EPSILON).sqrt()).T.reshape(-1, 3, _PATCH, _PATCH)
        self.whitening.weight.copy_(torch.cat([directions, -directions]))
        nn.init.zeros_(self.whitening.bias)  # type: ignore[arg-type]


def _fast_block(inputs: int, outputs: int, *, pool: bool = False) -> nn.Sequential:
    """As `ConvBlock`, with a norm that follows quickly and only shifts, and a smooth activation."""
    norm = nn.BatchNorm2d(outputs, momentum=_NORM_MOMENTUM)
    norm.weight.requires_grad_(False)
    pooling = [nn.MaxPool2d(2)] if pool else []
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), *pooling, norm, nn.GELU())


def architecture_names() -> list[str]:
    """Every architecture there is."""
    return [SMALL_CNN, FAST_CNN, *torchvision.models.list_models(module=torchvision.models)]


def build_model(settings: ClassificationModelSettings, num_classes: int) -> nn.Module:
    """A network with `num_classes` outputs; its last `nn.Linear` (or 1x1 convolution) is the head.

    Raises:
        ModelError: unknown architecture, or weights that do not fit it.
    """
    name = settings.architecture
    if name not in architecture_names():
        raise ModelError(
            f"there is no architecture {name!r}",
            where="setting model.architecture",
            expected=near_matches(name, architecture_names()),
            action="correct model.architecture",
        )
    if name == SMALL_CNN:
        model: nn.Module = SmallCnn(settings.width, num_classes)
    elif name == FAST_CNN:
        model = FastCnn(settings.width, num_classes)
    else:
        model = _torchvision_model(settings, num_classes)
    if settings.weights and not _is_enum(settings.weights):
        load_weights(model, Path(settings.weights), head=head_of(model)[0] + ".")
    return model


def _torchvision_model(settings: ClassificationModelSettings, num_classes: int) -> nn.Module:
    name = settings.architecture
    pretrained = _weights_enum(name, settings.weights) if settings.weights and _is_enum(settings.weights) else None
    # Inception and GoogLeNet return side outputs in training unless told otherwise.
    extra = {"aux_logits": False} if pretrained is None and name in ("googlenet", "inception_v3") else {}
    with fetched(str(settings.weights)):
        model: nn.Module = torchvision.models.get_model(name, weights=pretrained, **extra)
    if hasattr(model, "aux_logits"):
        # A pretrained one keeps side heads and an input transform that a bundle, rebuilt without the enum, would lose.
        if pretrained is not None:
            raise ModelError(
                f"{name} with pretrained weights has side outputs and its own input transform",
                where="setting model.weights",
                expected="no weights for this architecture, or another architecture",
                action="set model.weights=null, or choose for example resnet50",
            )
        setattr(model, "aux_logits", False)  # noqa: B010
    _replace_head(model, num_classes)
    if settings.small_stem:
        _shrink_stem(model, name)
    return model


def head_of(model: nn.Module) -> tuple[str, nn.Module]:
    """Name and module of the layer that gives the logits: the last one that is linear, or SqueezeNet's convolution."""
    if isinstance(model, torchvision.models.SqueezeNet):
        return "classifier.1", model.classifier[1]
    return [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Linear)][-1]


def _replace_head(model: nn.Module, num_classes: int) -> None:
    name, layer = head_of(model)
    parent_name, _, child = name.rpartition(".")
    replacement: nn.Module
    if isinstance(layer, nn.Conv2d):
        replacement = nn.Conv2d(layer.in_channels, num_classes, 1)
    else:
        assert isinstance(layer, nn.Linear)
        replacement = nn.Linear(layer.in_features, num_classes)
    setattr(model.get_submodule(parent_name), child, replacement)


def _shrink_stem(model: nn.Module, name: str) -> None:
    if not isinstance(model, torchvision.models.ResNet):
        raise ModelError(
            f"{name} has no stem that could be made small",
            where="setting model.small_stem",
            expected="a ResNet, ResNeXt or Wide ResNet",
            action="set model.small_stem=false, or choose another architecture",
        )
    model.conv1 = nn.Conv2d(3, model.conv1.out_channels, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()


def _is_enum(weights: str) -> bool:
    return "_Weights." in weights


def _weights_enum(name: str, weights: str) -> object:
    enum = torchvision.models.get_model_weights(name)
    known = [str(member) for member in enum]
    if weights not in (*known, f"{enum.__name__}.DEFAULT"):
        raise ModelError(
            f"{name} has no weights {weights!r}",
            where="setting model.weights",
            expected=near_matches(weights, known),
            action="correct model.weights, or name a local state dict file",
        )
    return torchvision.models.get_weight(weights)
