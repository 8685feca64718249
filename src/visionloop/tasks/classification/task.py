"""The classification task without its training side: numpy and Pillow only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from pydantic import Field

from visionloop.core.drawing import fit_text
from visionloop.core.images import ImageArray, Placement, Recipe
from visionloop.core.settings import Settings
from visionloop.data.requirements import Requirements
from visionloop.task import Evaluation, Example, Figure, Learner, Outputs, OutputSummary, Prediction, Scorer, Task

if TYPE_CHECKING:
    from visionloop.data.samples import Sample

_TOP = 5


class ClassificationModelSettings(Settings):
    """Which network, and where its weights begin."""

    architecture: str = "small_cnn"
    """`small_cnn`, `fast_cnn` (learns in fewer, cheaper passes; from 24 pixels), or the name of a torchvision
    classification model such as `resnet18`."""
    width: int = Field(default=32, ge=4, le=512)
    """Channels of `small_cnn`'s stem and of `fast_cnn`'s first block; ignored by others."""
    small_stem: bool = False
    """Replace a torchvision ResNet's 7x7/2 convolution and pooling by a 3x3/1 convolution, for small images."""
    weights: str | None = None
    """A torchvision weights enum such as `ResNet18_Weights.IMAGENET1K_V1` (fetched), or a local state dict file."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target spread over all classes (Szegedy et al. 2016)."""
    mirror_average: bool = False
    """Average the logits of an image and its mirror image, in the exported model too: better, at twice the cost.
    Wrong, as `augment.flip` is, for digits, letters and signs."""


class ClassificationAugmentSettings(Settings):
    """Random views for training."""

    preset: Literal["none", "light", "standard", "strong"] = "light"
    """`light` shifts; `standard` also turns, scales and changes colours a little; `strong` does more of it."""
    flip: bool = False
    """Mirror left and right half of the time; wrong for digits, letters and signs."""
    shift: float = Field(default=0.125, ge=0, le=0.5)
    """Largest shift, as a share of the side."""
    cutout: float = Field(default=0.0, ge=0, le=0.9)
    """Side of a grey square laid on the image, as a share of the side (DeVries & Taylor 2017)."""
    shrink_until: float = Field(default=0.0, ge=0, lt=1)
    """Share of the training that sees images shrunk to `shrink_to`, at a fraction of the work (progressive resizing;
    Howard 2018). For networks that take more than one input size."""
    shrink_to: float = Field(default=0.75, gt=0.1, le=1)
    """Side of a shrunk image, as a share of the recipe's."""


class ClassificationOperatingPoint(Settings):
    """What turns logits into probabilities."""

    temperature: float = Field(default=1.0, gt=0)
    """Logits are divided by it (Guo et al. 2017); chosen on the validation split."""


@dataclass(frozen=True, slots=True, eq=False)
class Classification(Prediction):
    """Class probabilities of one image.

    Attributes:
        probabilities: float32 [C], in [0, 1], summing to 1.
        embedding: float32 [D].
    """

    probabilities: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.probabilities.ndim != 1 or self.embedding.ndim != 1:
            raise ValueError(
                f"expected probabilities [C] and embedding [D], got {self.probabilities.shape}, {self.embedding.shape}"
            )

    @property
    def class_id(self) -> int:
        """The most probable class."""
        return int(self.probabilities.argmax())

    def to_record(
        self, classes: Sequence[str], *, top_k: int | None = None, threshold: float | None = None
    ) -> dict[str, Any]:
        """The best class, and up to five (or `top_k`) with their probabilities, best first."""
        order = np.argsort(-self.probabilities, kind="stable")[: top_k or _TOP].tolist()
        entries = [{"class": classes[i], "class_id": i, "score": round(float(self.probabilities[i]), 6)} for i in order]
        return {**entries[0], "ranked": [entry for entry in entries if entry["score"] >= (threshold or 0.0)]}

    def top(self, classes: Sequence[str]) -> tuple[str, float]:
        """The best class and its probability."""
        class_id = self.class_id
        return classes[class_id], float(self.probabilities[class_id])

    def summary(self, classes: Sequence[str]) -> str:
        """The best class with its probability."""
        return f"{classes[self.class_id]} ({self.probabilities[self.class_id]:.1%})"


class ClassificationTask(Task):
    """One label an image."""

    name = "classification"
    verb = "classify"
    primary_metric = "accuracy"
    headline_metrics = ("accuracy", "precision_macro", "recall_macro", "f1_macro")
    plot_tables = ("confusion",)
    outputs = ("logits", "embedding")
    requirements = Requirements(min_classes=2, boxes=False, one_label=True)
    model_settings = ClassificationModelSettings
    augment_settings = ClassificationAugmentSettings
    operating_point = ClassificationOperatingPoint

    def finish(
        self,
        outputs: Outputs,
        placements: Sequence[Placement],  # noqa: ARG002
        operating_point: Settings,
    ) -> list[Prediction]:
        """Softmax of logits [N,C] over the temperature."""
        assert isinstance(operating_point, ClassificationOperatingPoint)
        probabilities = softmax(outputs["logits"] / operating_point.temperature)
        return [
            Classification(row, embedding) for row, embedding in zip(probabilities, outputs["embedding"], strict=True)
        ]

    def fit_operating_point(
        self,
        samples: Sequence[Sample],
        outputs: Outputs,
        placements: Sequence[Placement],  # noqa: ARG002
        num_classes: int,  # noqa: ARG002
    ) -> ClassificationOperatingPoint:
        """The temperature of the smallest log loss on the validation split."""
        from visionloop.tasks.classification.metrics import fit_temperature

        truth = np.array([sample.objects[0].class_id for sample in samples])
        return ClassificationOperatingPoint(temperature=fit_temperature(outputs["logits"], truth))

    def scorer(self, classes: Sequence[str]) -> Scorer:
        """Accuracy, F1 and calibration."""
        from visionloop.tasks.classification.metrics import ClassificationScorer

        return ClassificationScorer(classes)

    def draw(self, image: ImageArray, prediction: Prediction, classes: Sequence[str]) -> Image.Image:
        """The image with a bar below it that names the class; tiny images are enlarged to be looked at."""
        picture = Image.fromarray(image)
        factor = max(1, -(-224 // max(picture.size)))
        picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
        bar = max(24, picture.height // 10)
        canvas = Image.new("RGB", (picture.width, picture.height + bar), (17, 24, 39))
        canvas.paste(picture)
        font = ImageFont.load_default(size=bar * 0.6)
        text = fit_text(prediction.summary(classes), font, canvas.width - bar * 0.4)
        ImageDraw.Draw(canvas).text((bar * 0.2, picture.height + bar * 0.12), text, "white", font)
        return canvas

    def figures(self, evaluation: Evaluation, examples: Sequence[Example], classes: Sequence[str]) -> list[Figure]:
        """Confusion matrix, F1 by class, reliability, worst mistakes."""
        from visionloop.tasks.classification.figures import all_figures

        return all_figures(evaluation, examples, classes)

    def agreement(self, one: Prediction, other: Prediction) -> float:
        """1 for the same class, else 0."""
        assert isinstance(one, Classification)
        assert isinstance(other, Classification)
        return float(one.class_id == other.class_id)

    def support(self, reference: Prediction, other: Prediction) -> float:
        """The probability that `other` gives the best class of `reference`."""
        assert isinstance(reference, Classification)
        assert isinstance(other, Classification)
        return float(other.probabilities[reference.class_id])

    def output_summary(self, prediction: Prediction, *, width: int, height: int) -> OutputSummary:  # noqa: ARG002
        """The class; the top probability, and the entropy in nats over its largest possible value, log C."""
        assert isinstance(prediction, Classification)
        probabilities = prediction.probabilities.astype(np.float64)
        confidence = float(probabilities.max())
        entropy = float(-(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum())
        entropy /= max(float(np.log(len(probabilities))), 1e-12)
        return OutputSummary(
            class_counts={prediction.class_id: 1},
            scalars={"confidence": confidence, "entropy": entropy},
            expected_score=confidence,
        )

    def example_rank(self, sample: Sample, prediction: Prediction) -> float:
        """Minus the probability of the true class, plus one for a mistake."""
        assert isinstance(prediction, Classification)
        truth = sample.objects[0].class_id
        return float(prediction.class_id != truth) - float(prediction.probabilities[truth])

    def learner(self, model: Settings, augment: Settings, *, num_classes: int, recipe: Recipe) -> Learner:
        """The training side."""
        from visionloop.tasks.classification.learner import ClassificationLearner

        assert isinstance(model, ClassificationModelSettings)
        assert isinstance(augment, ClassificationAugmentSettings)
        return ClassificationLearner(model, augment, num_classes, recipe)


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Probabilities [N,C] of logits [N,C], without overflow."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: npt.NDArray[np.float32] = (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities
