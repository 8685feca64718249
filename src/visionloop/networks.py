"""What the tasks' networks have in common: normalisation, blocks, weights from a file. Needs torch."""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

from visionloop.core.errors import ModelError
from visionloop.core.images import Recipe

_log = logging.getLogger(__name__)

# torchvision's own ImageNet statistics, in 0..255, so that pretrained weights fit.
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)

# Counters that torchvision's oldest files lack; nothing computes with them.
_COUNTER = "num_batches_tracked"


def normalise(images: torch.Tensor) -> torch.Tensor:
    """uint8 [N,H,W,3] to float32 [N,3,H,W] with ImageNet's mean and deviation; a view in channels-last order."""
    mean = torch.tensor(_MEAN, device=images.device)
    std = torch.tensor(_STD, device=images.device)
    return ((images.float() - mean) / std).permute(0, 3, 1, 2)


@contextlib.contextmanager
def fetched(weights: str) -> Iterator[None]:
    """Pretrained weights are fetched once, into torch's cache, which needs a network.

    Raises:
        ModelError: they cannot be fetched, or are not what their name promises.
    """
    try:
        yield
    # URLError is an OSError; a file with another hash is a RuntimeError of torch.hub.
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "hash" not in str(error):
            raise
        raise ModelError(
            f"the pretrained weights cannot be fetched ({error})",
            where=f"setting model.weights: {weights}",
            expected="access to download.pytorch.org the first time, or a local file",
            action="fetch the state dict on a machine with access and set model.weights to the file, or to null",
        ) from None


class ConvBlock(nn.Sequential):
    """3x3 convolution, batch norm, ReLU; with `pool`, halved by 2x2 maxima.

    Pooling comes right after the convolution: norm and ReLU (and their gradients) then touch a quarter of
    the pixels, which matters on a CPU, where they are bound by memory.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, pool: bool = False) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["conv"] = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        if pool:
            layers["pool"] = nn.MaxPool2d(2)
        layers["norm"] = nn.BatchNorm2d(outputs)
        layers["relu"] = nn.ReLU(inplace=True)
        super().__init__(layers)


class Residual(nn.Module):
    """Two blocks whose result is added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = ConvBlock(channels, channels), ConvBlock(channels, channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[N,C,H,W] to the same shape."""
        out: torch.Tensor = features + self.second(self.first(features))
        return out


def require_input_size(build_graph: Callable[[], nn.Module], recipe: Recipe, architecture: str) -> None:
    """Run one empty image through an inference graph, so that a size it cannot take is found before training.

    The network must be in training mode, to which it is returned.

    Raises:
        ModelError: the architecture does not take inputs of the recipe's size.
    """
    try:
        graph = build_graph()
        graph.eval()
        with torch.no_grad():
            graph(torch.zeros(1, recipe.height, recipe.width, 3, dtype=torch.uint8))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise ModelError(
            f"{architecture} does not take an input of {recipe.width} x {recipe.height} pixels ({reason})",
            where="setting recipe",
            expected="a size this architecture works with; most of torchvision's take 224 x 224",
            action="change recipe.width and recipe.height, or choose another model.architecture",
        ) from None
    graph.train()


def load_weights(model: nn.Module, path: Path, *, head: str) -> None:
    """Load a local state dict.

    Args:
        model: Takes the weights.
        path: A state dict saved by `torch.save`.
        head: Prefix of the parameters with an axis of classes. If the file's are for other classes, they are
            left as they were initialised, and that is logged.

    Raises:
        ModelError: no such file, not a state dict, or tensors of other names or shapes.
    """
    where = f"setting model.weights: {path}"
    wanted = {"where": where, "expected": "a state dict saved by torch.save (.pt, .pth)"}
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError("the weights file does not exist", **wanted, action="correct the path") from None
    except Exception as error:  # torch raises many kinds for a file that is none of its own
        reason = str(error).splitlines()[0][:200]
        raise ModelError(
            f"the weights cannot be read: {reason}", **wanted, action="save model.state_dict() with torch.save"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(
            "the file holds no state dict: names with tensors",
            **wanted,
            action="save model.state_dict() with torch.save",
        )
    adopt_weights(model, state, head=head, where=where)


def adopt_weights(model: nn.Module, state: dict[str, torch.Tensor], *, head: str, where: str) -> None:
    """`load_weights` for a state dict that is already in memory; `where` names it in errors."""
    own = model.state_dict()
    # Only the class axis, the first, may differ: a head for another embedding belongs to another architecture.
    foreign = {
        key
        for key, value in state.items()
        if key.startswith(head)
        and key in own
        and value.shape != own[key].shape
        and value.shape[1:] == own[key].shape[1:]
    }
    if foreign:
        _log.warning("%s: for other classes; the class head starts afresh", where)
    wrong = [
        f"{key}: {_shape(state.get(key))} instead of {_shape(own.get(key))}"
        for key in sorted((own.keys() | state.keys()) - foreign)
        if _shape(own.get(key)) != _shape(state.get(key)) and not (key.endswith(_COUNTER) and key not in state)
    ]
    if wrong:
        raise ModelError(
            f"{len(wrong)} tensors do not fit the architecture: " + "; ".join(wrong[:5]),
            where=where,
            expected=f"weights of this {type(model).__name__}",
            action="choose the architecture, width and stem the weights were trained with",
        )
    model.load_state_dict({key: value for key, value in state.items() if key not in foreign}, strict=False)


def _shape(value: torch.Tensor | None) -> str:
    return "absent" if value is None else str(list(value.shape))
