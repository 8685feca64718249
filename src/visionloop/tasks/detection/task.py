"""The detection task without its training side: numpy and Pillow only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from pydantic import Field

from visionloop.core.drawing import fit_text, text_color_on
from visionloop.core.images import ImageArray, Placement, Recipe
from visionloop.core.plots import class_color
from visionloop.core.settings import Settings
from visionloop.data.requirements import Requirements
from visionloop.task import Evaluation, Example, Figure, Learner, Outputs, OutputSummary, Prediction, Scorer, Task
from visionloop.tasks.detection.boxes import Boxes, Truth, finish_detections, iou_matrix, judge, match

if TYPE_CHECKING:
    from visionloop.data.samples import Sample

_DEFAULT_THRESHOLD = 0.5
_IGNORED = frozenset({"crowd", "difficult"})


class DetectionModelSettings(Settings):
    """Which network, and where its weights begin."""

    architecture: str = "light_fcos"
    """`light_fcos`, or one of torchvision's one-stage detectors such as `retinanet_resnet50_fpn`."""
    width: int = Field(default=32, ge=8, le=256)
    """Channels of `light_fcos`'s first stage; ignored by others."""
    neck: int = Field(default=64, ge=32, le=512, multiple_of=32)
    """Channels of `light_fcos`'s pyramid and head."""
    head_convs: int = Field(default=2, ge=1, le=4)
    """Convolutions of `light_fcos`'s head before its outputs."""
    first_stride: Literal[4, 8] = 8
    """Pixels per cell of the finest level of `light_fcos`'s pyramid; 4 finds smaller things and costs more."""
    weights: str | None = None
    """A torchvision weights enum (fetched), or a local state dict file."""
    weights_backbone: str | None = None
    """A torchvision backbone weights enum (fetched), for torchvision's detectors."""


class DetectionAugmentSettings(Settings):
    """Random views for training; boxes follow."""

    preset: Literal["none", "light", "standard", "strong"] = "standard"
    """`light` changes colours; `standard` also scales and shifts; `strong` does more of both, and blurs."""
    flip: bool = False
    """Mirror left and right half of the time; wrong for digits, letters and signs."""
    flip_vertical: bool = False
    """Turn upside down half of the time; right where there is no up, as under a microscope."""


class DetectionOperatingPoint(Settings):
    """From which score on a detection counts."""

    thresholds: tuple[float, ...] = ()
    """Score per class, chosen on the validation split for the best F1; empty means 0.5 for all."""
    score_floor: float = Field(default=0.01, ge=0, le=1)
    """Below this a detection is not kept at all; low, because average precision looks at the whole curve."""
    nms_iou: float = Field(default=0.5, gt=0, le=1)
    """Overlap above which the weaker of two detections of one class is dropped."""
    max_detections: int = Field(default=100, ge=1, le=1000)
    """Most detections per image."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections(Prediction):
    """What was found in one image, best first.

    Attributes:
        boxes_xyxy: float32 [n,4], in pixels of the upright image.
        scores: float32 [n], in [0, 1], falling.
        class_ids: int64 [n].
        confident: bool [n], whether the score reaches the class's threshold.
        embedding: float32 [D].
    """

    boxes_xyxy: Boxes
    scores: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]
    confident: npt.NDArray[np.bool_]
    embedding: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        shapes = (self.boxes_xyxy.shape, self.scores.shape, self.class_ids.shape, self.confident.shape)
        count = len(self.scores)
        if shapes != ((count, 4), (count,), (count,), (count,)):
            raise ValueError(f"expected boxes [n,4], scores, class ids and confident [n], got {shapes}")

    def to_record(
        self, classes: Sequence[str], *, top_k: int | None = None, threshold: float | None = None
    ) -> dict[str, Any]:
        """The confident detections (or those from `threshold` on), best first: class, id, score, box."""
        kept = np.flatnonzero(self.confident if threshold is None else self.scores >= threshold)[:top_k]
        boxes = np.round(self.boxes_xyxy[kept].astype(np.float64), 2).tolist()
        scores = np.round(self.scores[kept].astype(np.float64), 6).tolist()
        return {
            "detections": [
                {"class": classes[class_id], "class_id": class_id, "score": score, "box_xyxy": box}
                for class_id, score, box in zip(self.class_ids[kept].tolist(), scores, boxes, strict=True)
            ]
        }

    def top(self, classes: Sequence[str]) -> tuple[str, float] | None:
        """The best confident detection."""
        kept = np.flatnonzero(self.confident)
        return (classes[self.class_ids[kept[0]]], float(self.scores[kept[0]])) if kept.size else None

    def summary(self, classes: Sequence[str]) -> str:
        """Counts by class, such as `2 RBC, 1 WBC`."""
        counts = Counter(self.class_ids[self.confident].tolist())
        return ", ".join(f"{count} {classes[class_id]}" for class_id, count in sorted(counts.items())) or "nothing"


class DetectionTask(Task):
    """Boxes with classes."""

    name = "detection"
    verb = "detect"
    primary_metric = "map"
    headline_metrics = ("map", "map_50", "precision", "recall", "f1")
    plot_tables = ("pr_curve",)
    outputs = ("boxes_xyxy", "scores", "embedding")
    requirements = Requirements(min_classes=1, boxes=True, one_label=False)
    model_settings = DetectionModelSettings
    augment_settings = DetectionAugmentSettings
    operating_point = DetectionOperatingPoint

    def finish(self, outputs: Outputs, placements: Sequence[Placement], operating_point: Settings) -> list[Prediction]:
        """Dense boxes [N,A,4] and scores [N,A,C] to detections in image pixels."""
        assert isinstance(operating_point, DetectionOperatingPoint)
        num_classes = outputs["scores"].shape[2]
        thresholds = np.array(operating_point.thresholds or [_DEFAULT_THRESHOLD] * num_classes, np.float32)
        predictions: list[Prediction] = []
        for boxes, scores, embedding, placement in zip(
            outputs["boxes_xyxy"], outputs["scores"], outputs["embedding"], placements, strict=True
        ):
            found, values, class_ids = finish_detections(
                boxes,
                scores,
                placement,
                score_floor=operating_point.score_floor,
                nms_iou=operating_point.nms_iou,
                max_detections=operating_point.max_detections,
            )
            predictions.append(Detections(found, values, class_ids, values >= thresholds[class_ids], embedding))
        return predictions

    def fit_operating_point(
        self, samples: Sequence[Sample], outputs: Outputs, placements: Sequence[Placement], num_classes: int
    ) -> DetectionOperatingPoint:
        """Per class the score threshold of the best F1 on the validation split."""
        from visionloop.tasks.detection.metrics import best_thresholds

        start = DetectionOperatingPoint()
        predictions = self.finish(outputs, placements, start)
        return start.model_copy(update={"thresholds": best_thresholds(samples, predictions, num_classes)})

    def scorer(self, classes: Sequence[str]) -> Scorer:
        """COCO's numbers, and precision, recall and F1 at the operating point."""
        from visionloop.tasks.detection.metrics import DetectionScorer

        return DetectionScorer(classes)

    def draw(self, image: ImageArray, prediction: Prediction, classes: Sequence[str]) -> Image.Image:
        """The image with the confident boxes; tiny images are enlarged to be looked at."""
        assert isinstance(prediction, Detections)
        picture = Image.fromarray(image)
        factor = max(1, -(-384 // max(picture.size)))
        picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.BICUBIC)
        pen = ImageDraw.Draw(picture)
        line = max(2, round(max(picture.size) / 320))
        font = ImageFont.load_default(size=max(12, line * 6))
        # The best is drawn last, on top of the others.
        for index in np.flatnonzero(prediction.confident)[::-1]:
            colour = class_color(int(prediction.class_ids[index]))
            x1, y1, x2, y2 = (prediction.boxes_xyxy[index] * factor).tolist()
            pen.rectangle((x1, y1, x2, y2), outline=colour, width=line)
            text = f"{classes[prediction.class_ids[index]]} {prediction.scores[index]:.0%}"
            text = fit_text(text, font, picture.width - 2 * line)
            # Above the box where there is room, else inside it; moved left where it would leave the picture.
            x = min(x1, picture.width - font.getlength(text) - line)
            left, top, right, bottom = pen.textbbox((x, y1), text, font)
            shift = (bottom - y1) + line if y1 - (bottom - y1) - line >= 0 else -line
            pen.rectangle((left - 1, top - shift - 1, right + 2, bottom - shift + 2), fill=colour)
            pen.text((x, y1 - shift), text, text_color_on(colour), font)
        return picture

    def figures(self, evaluation: Evaluation, examples: Sequence[Example], classes: Sequence[str]) -> list[Figure]:
        """Precision-recall curves, AP by class, worst images."""
        from visionloop.tasks.detection.figures import all_figures

        return all_figures(evaluation, examples, classes)

    def agreement(self, one: Prediction, other: Prediction) -> float:
        """F1 of the confident boxes of one against the other's, at IoU 0.5; 1 where both found nothing."""
        assert isinstance(one, Detections)
        assert isinstance(other, Detections)
        a, b = one.confident, other.confident
        total = int(a.sum() + b.sum())
        partner = match(one.boxes_xyxy[a], one.class_ids[a], other.boxes_xyxy[b], other.class_ids[b])
        return 2.0 * int((partner >= 0).sum()) / total if total else 1.0

    def support(self, reference: Prediction, other: Prediction) -> float:
        """Mean over the confident boxes (the best one if none is) of the largest IoU x score in `other`.

        Every box of the same class counts in `other`, confident or not. The similarity is that of D-RISE
        (Petsiuk et al. 2021, https://arxiv.org/abs/2006.03204). 0 where `reference` found nothing.
        """
        assert isinstance(reference, Detections)
        assert isinstance(other, Detections)
        asked = reference.confident if reference.confident.any() else slice(1)
        boxes, class_ids = reference.boxes_xyxy[asked], reference.class_ids[asked]
        if not len(boxes):
            return 0.0
        similarity = iou_matrix(boxes, other.boxes_xyxy) * other.scores
        similarity[class_ids[:, None] != other.class_ids[None, :]] = 0.0
        return float(similarity.max(axis=1, initial=0.0).mean())

    def output_summary(self, prediction: Prediction, *, width: int, height: int) -> OutputSummary:
        """Confident boxes: counts by class, number, mean score and its binary entropy in bits, median size.

        A box's size is the square root of its share of the image, its shape log2(width / height).
        """
        assert isinstance(prediction, Detections)
        kept = prediction.confident
        scores = prediction.scores[kept].astype(np.float64)
        x1, y1, x2, y2 = prediction.boxes_xyxy[kept].astype(np.float64).T
        wide, high = np.maximum(x2 - x1, 1e-6), np.maximum(y2 - y1, 1e-6)
        clipped = np.clip(scores, 1e-12, 1 - 1e-12)
        entropy = -(clipped * np.log2(clipped) + (1 - clipped) * np.log2(1 - clipped))
        found = len(scores) > 0
        return OutputSummary(
            class_counts=dict(sorted(Counter(prediction.class_ids[kept].tolist()).items())),
            scalars={
                "confidence": float(scores.mean()) if found else None,
                "entropy": float(entropy.mean()) if found else None,
                "detections": float(len(scores)),
                "box_size": float(np.median(np.sqrt(wide * high / (width * height)))) if found else None,
                "box_shape": float(np.median(np.log2(wide / high))) if found else None,
            },
            expected_score=None,
        )

    def example_rank(self, sample: Sample, prediction: Prediction) -> float:
        """Missed objects plus false detections at the operating point."""
        assert isinstance(prediction, Detections)
        kept = prediction.confident
        truth = truth_of(sample)
        hit, counted = judge(prediction.boxes_xyxy[kept], prediction.class_ids[kept], truth)
        return float((~truth.ignored).sum() + counted.sum() - 2 * hit.sum())

    def learner(self, model: Settings, augment: Settings, *, num_classes: int, recipe: Recipe) -> Learner:
        """The training side."""
        from visionloop.tasks.detection.learner import DetectionLearner

        assert isinstance(model, DetectionModelSettings)
        assert isinstance(augment, DetectionAugmentSettings)
        return DetectionLearner(model, augment, num_classes, recipe)


def truth_of(sample: Sample) -> Truth:
    """A sample's objects in image pixels; crowds and difficult ones are ignored by every metric, as in COCO and VOC."""
    return Truth(
        boxes=np.array([item.box_xyxy for item in sample.objects], np.float32).reshape(-1, 4),
        class_ids=np.array([item.class_id for item in sample.objects], np.int64),
        ignored=np.array([not _IGNORED.isdisjoint(item.flags) for item in sample.objects], bool),
    )
