"""The training side of detection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torchvision.models.detection.fcos import FCOS
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD

from visionloop.core.images import ImageArray, Placement, Recipe
from visionloop.networks import normalise, require_input_size
from visionloop.task import Learner
from visionloop.tasks.detection.augment import Augmenter, Target
from visionloop.tasks.detection.models import build_model
from visionloop.tasks.detection.task import DetectionAugmentSettings, DetectionModelSettings, truth_of

if TYPE_CHECKING:
    from visionloop.data.samples import Sample

_MIN_SIDE = 1.0


class DetectionLearner(Learner):
    """torchvision's own losses of a one-stage detector."""

    def __init__(
        self,
        model: DetectionModelSettings,
        augment: DetectionAugmentSettings,
        num_classes: int,
        recipe: Recipe,
    ) -> None:
        self.module = build_model(model, num_classes, recipe).to(memory_format=torch.channels_last)
        self._recipe = recipe
        require_input_size(self.graph, recipe, model.architecture)
        # SSD counts its classes from 1; 0 is the background.
        self._first_label = 1 if isinstance(self.module, SSD) else 0
        self._augmenter = Augmenter(augment)

    def target(self, sample: Sample, placement: Placement) -> Target:
        """Boxes in input pixels, inside the input, without crowds and what a crop leaves under a pixel."""
        truth = truth_of(sample)
        # A crowd's box spans many objects and is a bad example of one; a difficult object is a good one.
        single = np.array(["crowd" not in item.flags for item in sample.objects], bool)
        inside = np.clip(placement.to_input(truth.boxes[single]), 0, [self._recipe.width, self._recipe.height] * 2)
        return _without_slivers(Target(inside.astype(np.float32), truth.class_ids[single]))

    def augment(self, image: ImageArray, target: Target, seed: int) -> tuple[ImageArray, Target]:
        """A random view with its boxes."""
        view, moved = self._augmenter(image, target, seed)
        return view, _without_slivers(moved)

    def collate(self, targets: Sequence[Target]) -> list[dict[str, torch.Tensor]]:
        """Boxes float32 [n,4] and labels int64 [n] for each image, as torchvision names them."""
        return [
            {"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(class_ids) + self._first_label}
            for boxes, class_ids in targets
        ]

    def losses(self, images: torch.Tensor, targets: Any, *, progress: float) -> dict[str, torch.Tensor]:  # noqa: ARG002
        """The detector's loss terms, and their sum."""
        terms: dict[str, torch.Tensor] = self.module(images, targets)
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def graph(self) -> nn.Module:
        """uint8 [N,H,W,3] to boxes [N,A,4] in input pixels, scores [N,A,C], embedding [N,D]."""
        return _Graph(self.module, self._recipe)


def _without_slivers(target: Target) -> Target:
    whole = ((target.boxes[:, 2:] - target.boxes[:, :2]) >= _MIN_SIDE).all(axis=1)
    return Target(target.boxes[whole], target.class_ids[whole])


class _Graph(nn.Module):
    """The detector without what depends on the data: dense boxes and scores. `finish_detections` does the rest."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.network: Any = network
        self.anchors: torch.Tensor
        # The input's size is fixed, so the anchors are constants of the graph.
        self.register_buffer("anchors", _anchors(network, recipe), persistent=False)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        network = self.network
        # Not network.transform: its list of sizes would make the batch's length a constant of the graph.
        features = list(network.backbone(normalise(images)).values())
        outputs = network.head(features)
        count = images.shape[0]
        anchors = self.anchors.unsqueeze(0).expand(count, -1, -1).reshape(-1, 4)
        codes = outputs["bbox_regression"].reshape(-1, 4)
        decode = network.box_coder.decode if isinstance(network, FCOS) else network.box_coder.decode_single
        boxes = decode(codes, anchors).reshape(count, -1, 4)
        embedding = features[-1].float().mean(dim=(2, 3))
        return boxes, self._scores(outputs), embedding

    def _scores(self, outputs: dict[str, torch.Tensor]) -> torch.Tensor:
        logits = outputs["cls_logits"]
        if isinstance(self.network, SSD):
            return logits.softmax(dim=-1)[..., 1:]
        if isinstance(self.network, FCOS):
            # Classification and centre-ness by their geometric mean (Tian et al. 2019, as in torchvision).
            return (logits.sigmoid() * outputs["bbox_ctrness"].sigmoid()).sqrt()
        return logits.sigmoid()


def _anchors(network: Any, recipe: Recipe) -> torch.Tensor:
    modes = {module: module.training for module in network.modules()}
    device = next(network.parameters()).device
    network.eval()
    with torch.no_grad():
        batch, _ = network.transform(torch.zeros(1, recipe.height, recipe.width, 3, dtype=torch.uint8, device=device))
        features = list(network.backbone(batch.tensors).values())
        anchors: torch.Tensor = network.anchor_generator(ImageList(batch.tensors, batch.image_sizes), features)[0]
    for module, training in modes.items():
        module.training = training
    return anchors
