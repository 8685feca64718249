"""What a task is: the verbs by which everything else speaks of classification, detection and the next one.

A task lives in `visionloop/tasks/<name>/` and is found by its folder's name. `Task`, `Scorer` and
`Prediction` need numpy and Pillow only, because the service uses them. `Learner` is the training side
and needs torch, which is imported only when `Task.learner` is called.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from visionloop.core.errors import ConfigError, near_matches
from visionloop.core.images import ImageArray, Placement, Recipe
from visionloop.core.settings import Settings
from visionloop.core.tiles import Tile
from visionloop.data.requirements import Requirements

if TYPE_CHECKING:
    import torch
    from torch import nn

    from visionloop.data.samples import Sample

Outputs = Mapping[str, npt.NDArray[Any]]
"""A graph's outputs by name; the first axis of each is the batch."""


class Prediction(ABC):
    """What a model says of one image; a frozen value object checked on construction.

    Attributes:
        embedding: float32 [D], the pooled feature, for drift and search.
    """

    embedding: npt.NDArray[np.float32]

    @abstractmethod
    def to_record(
        self, classes: Sequence[str], *, top_k: int | None = None, threshold: float | None = None
    ) -> dict[str, Any]:
        """JSON-like answer: class names, ids, scores, boxes in image pixels.

        Args:
            classes: Names in the order of their ids.
            top_k: Most entries; the task's own default where None.
            threshold: Lowest score of an entry, in [0, 1]; the operating point's where None.
        """

    @abstractmethod
    def top(self, classes: Sequence[str]) -> tuple[str, float] | None:
        """Name and score of the class that stands out, or None where nothing was found; for counting and logs."""

    @abstractmethod
    def summary(self, classes: Sequence[str]) -> str:
        """One line for a table, such as `7 (98.2%)` or `2 RBC, 1 WBC`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The result of scoring predictions against the truth.

    Attributes:
        metrics: Name to value in [0, 1]; None where it is undefined (no ground truth of that kind).
            Holds the task's `primary_metric`.
        per_class: One row a class, in order of id: `class`, `support`, then metrics.
        tables: Further tables by file stem, each a list of rows with equal keys (written as CSV).
        per_image: Name to float64 [N], in the order in which samples were added. Under the name of a metric
            stand the contributions whose mean it is; paired tests between two models work on the primary
            metric's. Other names are for looking at.
        remarks: Clauses about what the numbers do not show at once, such as that nearly all answers are the same.
    """

    metrics: dict[str, float | None]
    per_class: list[dict[str, Any]]
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    per_image: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSummary:
    """One answer in a few numbers that can be compared over many images, without labels.

    Attributes:
        class_counts: How often the answer names each class, by class id; classes it does not name are absent.
        scalars: Name to a number, or None where this answer has none of that kind (the size of the boxes where
            nothing was found). The same names for every answer of a task.
        expected_score: The answer's own calibrated probability of being right, in [0, 1]; None for tasks whose
            primary metric is not the share of right answers.
    """

    class_counts: Mapping[int, int]
    scalars: Mapping[str, float | None]
    expected_score: float | None


class Scorer(ABC):
    """Gathers predictions with their samples and computes the task's metrics."""

    @abstractmethod
    def add(self, sample: Sample, prediction: Prediction) -> None:
        """Take one sample (the truth, in image pixels) with the prediction for it."""

    @abstractmethod
    def evaluate(self) -> Evaluation:
        """Metrics over everything added so far.

        Raises:
            ValueError: nothing was added.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture for a report: file stem, title that says what is seen, caption, PNG bytes.

    Of a gallery, `tiles` holds its pictures one by one, for where they can be laid out as there is room.
    """

    name: str
    title: str
    caption: str
    png: bytes
    tiles: Sequence[Tile] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One scored image kept for a report's gallery.

    Attributes:
        sample: The truth.
        image: uint8 [H,W,3], upright, as large as the original.
        prediction: What the model said.
    """

    sample: Sample
    image: ImageArray
    prediction: Prediction


class Task(ABC):
    """One kind of question put to an image. Stateless; one instance per task, `TASK` in its package."""

    name: ClassVar[str]
    """The folder's name below `visionloop/tasks`."""
    verb: ClassVar[str]
    """What one asks it to do; `/v1/<verb>` is its route."""
    primary_metric: ClassVar[str]
    """Key of `Evaluation.metrics` that early stopping and the gate compare; higher is better."""
    headline_metrics: ClassVar[tuple[str, ...]]
    """The few metrics a summary shows, in order."""
    plot_tables: ClassVar[tuple[str, ...]]
    """Names of `Evaluation.tables` that DVC plots."""
    outputs: ClassVar[tuple[str, ...]]
    """Names of the graph's outputs in order; `embedding` is one of them."""
    requirements: ClassVar[Requirements]
    """What a dataset must have."""
    model_settings: ClassVar[type[Settings]]
    """Schema of `<task>.model`: architecture, its knobs, where weights come from."""
    augment_settings: ClassVar[type[Settings]]
    """Schema of `<task>.augment`: preset and its knobs."""
    operating_point: ClassVar[type[Settings]]
    """Schema of the operating point (temperature, thresholds) that the bundle carries."""

    @abstractmethod
    def finish(self, outputs: Outputs, placements: Sequence[Placement], operating_point: Settings) -> list[Prediction]:
        """Turn a batch of graph outputs into predictions in image pixels.

        The only post-processing there is: validation, evaluation, gate and service all call it.

        Args:
            outputs: By the names of `outputs`, first axis the batch of size N.
            placements: Length N, from `Recipe.apply`.
            operating_point: An instance of `self.operating_point`.
        """

    @abstractmethod
    def fit_operating_point(
        self, samples: Sequence[Sample], outputs: Outputs, placements: Sequence[Placement], num_classes: int
    ) -> Settings:
        """Choose temperature or thresholds on the validation split.

        Args:
            samples: Length N, the truth.
            outputs: Graph outputs for them, first axis N.
            placements: Length N.
            num_classes: Number of classes of the dataset.
        """

    @abstractmethod
    def scorer(self, classes: Sequence[str]) -> Scorer:
        """A fresh scorer for a dataset with these classes."""

    @abstractmethod
    def draw(self, image: ImageArray, prediction: Prediction, classes: Sequence[str]) -> Image.Image:
        """The image with label or boxes drawn on it (Pillow only)."""

    @abstractmethod
    def figures(self, evaluation: Evaluation, examples: Sequence[Example], classes: Sequence[str]) -> list[Figure]:
        """Pictures of an evaluation for its report; `examples` are the scored images kept for galleries."""

    @abstractmethod
    def agreement(self, one: Prediction, other: Prediction) -> float:
        """How far two answers to one image say the same at their operating points, in [0, 1]."""

    @abstractmethod
    def support(self, reference: Prediction, other: Prediction) -> float:
        """How far `other` still says what `reference` said, in [0, 1]; asked of images with parts hidden.

        Not symmetric: whatever else `other` says does not count, and how sure it is does.
        """

    @abstractmethod
    def output_summary(self, prediction: Prediction, *, width: int, height: int) -> OutputSummary:
        """The answer in the numbers that monitoring compares; cheap, it is asked of every prediction.

        Args:
            prediction: The answer at the operating point.
            width: Of the upright image, in pixels.
            height: Of the upright image, in pixels.
        """

    @abstractmethod
    def example_rank(self, sample: Sample, prediction: Prediction) -> float:
        """How much an image deserves a place in the report's gallery of mistakes; higher is worse."""

    @abstractmethod
    def learner(self, model: Settings, augment: Settings, *, num_classes: int, recipe: Recipe) -> Learner:
        """The training side. Imports torch.

        Args:
            model: An instance of `self.model_settings`.
            augment: An instance of `self.augment_settings`.
            num_classes: Number of classes.
            recipe: The model's input.

        Raises:
            ModelError: unknown architecture, or weights that do not fit.
        """


class Learner(ABC):
    """The training side of a task: what the generic loop asks, and nothing else.

    Attributes:
        module: The trainable network; its whole state dict is the checkpoint's weights.
    """

    module: nn.Module

    def begin(self, inputs: Callable[[int], ImageArray]) -> None:  # noqa: B027
        """Initialise what depends on the data, before the first step of a fresh training; nothing, unless overridden.

        Args:
            inputs: Gives up to that many training inputs, not augmented, as uint8 [N,H,W,3].
        """

    @abstractmethod
    def target(self, sample: Sample, placement: Placement) -> Any:
        """The sample's annotations in input pixels, as numpy or plain values."""

    @abstractmethod
    def augment(self, image: ImageArray, target: Any, seed: int) -> tuple[ImageArray, Any]:
        """One random view of an input; the same seed gives the same view.

        Args:
            image: uint8 [recipe.height, recipe.width, 3]; must not be changed in place.
            target: From `target`; must not be changed in place.
            seed: Non-negative, below 2**32.

        Returns:
            A view of the same size, and its target.
        """

    @abstractmethod
    def collate(self, targets: Sequence[Any]) -> Any:
        """Targets of a batch as tensors, in a form that `move` understands: tensors, or lists or dicts of them."""

    @abstractmethod
    def losses(self, images: torch.Tensor, targets: Any, *, progress: float) -> dict[str, torch.Tensor]:
        """Loss terms of a training batch; the total is under `loss`.

        Args:
            images: uint8 [N,H,W,3] on the module's device.
            targets: From `collate`, on the same device.
            progress: Share of the training's steps that are done, in [0, 1).
        """

    @abstractmethod
    def graph(self) -> nn.Module:
        """The inference network, sharing parameters with `module`.

        Its forward takes uint8 [N,H,W,3], normalises inside, and returns a tuple of float32 tensors in
        the order of `Task.outputs`. It goes through `torch.onnx.export(dynamo=True)` with a free batch axis.
        """


def task_names() -> list[str]:
    """Names of the tasks there are: the folders below `visionloop/tasks`."""
    import visionloop

    folder = Path(visionloop.__file__).parent / "tasks"
    return sorted(module.name for module in pkgutil.iter_modules([str(folder)]) if module.ispkg)


def load_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigError: there is no such task.
    """
    if name not in task_names():
        raise ConfigError(
            f"there is no task {name!r}",
            where="setting task",
            expected=near_matches(name, task_names()),
            action="correct the task's name",
        )
    task = importlib.import_module(f"visionloop.tasks.{name}").TASK
    assert isinstance(task, Task)
    return task
