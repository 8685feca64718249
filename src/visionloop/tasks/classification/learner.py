"""The training side of classification."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from visionloop.core.images import ImageArray, Placement, Recipe
from visionloop.networks import normalise, require_input_size
from visionloop.task import Learner
from visionloop.tasks.classification.augment import Augmenter
from visionloop.tasks.classification.models import FastCnn, build_model, head_of
from visionloop.tasks.classification.task import ClassificationAugmentSettings, ClassificationModelSettings

if TYPE_CHECKING:
    from visionloop.data.samples import Sample

_WHITENING_IMAGES = 5000


class ClassificationLearner(Learner):
    """Cross entropy over one label an image."""

    def __init__(
        self,
        model: ClassificationModelSettings,
        augment: ClassificationAugmentSettings,
        num_classes: int,
        recipe: Recipe,
    ) -> None:
        self.module = build_model(model, num_classes).to(memory_format=torch.channels_last)
        self._smoothing, self._mirror = model.label_smoothing, model.mirror_average
        require_input_size(self.graph, recipe, model.architecture)
        self._shrink_until = augment.shrink_until
        self._small = round(augment.shrink_to * recipe.height), round(augment.shrink_to * recipe.width)
        if self._shrink_until:
            small = recipe.model_copy(update=dict(zip(("height", "width"), self._small, strict=True)))
            require_input_size(self.graph, small, model.architecture)
        self._augmenter = Augmenter(augment, recipe)
        self._has_weights = model.weights is not None

    def begin(self, inputs: Callable[[int], ImageArray]) -> None:
        """Whiten the first layer of `fast_cnn`, unless its weights came from a file."""
        if isinstance(self.module, FastCnn) and not self._has_weights:
            self.module.whiten(normalise(torch.from_numpy(inputs(_WHITENING_IMAGES))))

    def target(self, sample: Sample, placement: Placement) -> int:  # noqa: ARG002
        """The class id."""
        return sample.objects[0].class_id

    def augment(self, image: ImageArray, target: int, seed: int) -> tuple[ImageArray, int]:
        """A random view; the label stays."""
        return self._augmenter(image, seed), target

    def collate(self, targets: Sequence[int]) -> torch.Tensor:
        """int64 [N]."""
        return torch.tensor(targets, dtype=torch.int64)

    def losses(self, images: torch.Tensor, targets: Any, *, progress: float) -> dict[str, torch.Tensor]:
        """Cross entropy with label smoothing, in fp32."""
        inputs = normalise(images)
        if progress < self._shrink_until:
            inputs = functional.interpolate(inputs, self._small, mode="bilinear", antialias=True)
        logits = self.module(inputs)
        return {"loss": functional.cross_entropy(logits.float(), targets, label_smoothing=self._smoothing)}

    def graph(self) -> nn.Module:
        """uint8 [N,H,W,3] to logits [N,C] and embedding [N,D], the head's input."""
        return _Graph(self.module, mirror=self._mirror)


class _Graph(nn.Module):
    def __init__(self, network: nn.Module, *, mirror: bool) -> None:
        super().__init__()
        self.network = network
        self.mirror = mirror

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        inputs: list[torch.Tensor] = []
        # Every architecture has its own way to its head; what enters the head is the embedding for all.
        # One pass over both views, in a batch twice as long: the network is in the exported graph only once.
        views = torch.cat([images, images.flip(2)]) if self.mirror else images
        hook = head_of(self.network)[1].register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
        try:
            logits = self.network(normalise(views))
        finally:
            hook.remove()
        embedding = inputs[0]
        if self.mirror:
            logits, embedding = (part.unflatten(0, (2, -1)).mean(0) for part in (logits, embedding))
        # SqueezeNet's head is a convolution; its input still has two axes of space.
        return logits, embedding.mean(dim=(2, 3)) if embedding.ndim == 4 else embedding
