"""A task whose model calls an image light when its mean lies above a threshold: tiny, exact, and as bad as wanted."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from visionloop.artifact.bundle import GOLDEN, GRAPH, MODEL_CARD, Bundle, ParityReport, write_manifest
from visionloop.artifact.runtimes import OnnxGraph
from visionloop.artifact.settings import RuntimeSettings
from visionloop.core.files import sha256_bytes
from visionloop.core.images import Recipe
from visionloop.core.settings import Settings
from visionloop.data.requirements import Requirements
from visionloop.data.samples import LabelledObject, Sample, Split, classes_hash, write_dataset
from visionloop.task import Evaluation, Example, Figure, OutputSummary, Prediction, Scorer, Task

CLASSES = ("dark", "light")
OUTPUTS = ("logits", "embedding")
SIDE = 8
TRUE_THRESHOLD = 128.0


@dataclass(frozen=True, eq=False)
class Answer(Prediction):
    class_id: int
    embedding: Any

    def to_record(self, classes: Sequence[str], **options: Any) -> dict[str, Any]:
        return {"class": classes[self.class_id]}

    def top(self, classes: Sequence[str]) -> tuple[str, float]:
        return classes[self.class_id], 1.0

    def summary(self, classes: Sequence[str]) -> str:
        return classes[self.class_id]


class Accuracy(Scorer):
    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._pairs: list[tuple[int, int]] = []

    def add(self, sample: Sample, prediction: Prediction) -> None:
        assert isinstance(prediction, Answer)
        self._pairs.append((sample.objects[0].class_id, prediction.class_id))

    def evaluate(self) -> Evaluation:
        pairs = np.array(self._pairs)
        correct = (pairs[:, 0] == pairs[:, 1]).astype(np.float64)
        rows = []
        for index, name in enumerate(self._classes):
            mine = pairs[:, 0] == index
            f1 = 2 * (correct * mine).sum() / (mine.sum() + (pairs[:, 1] == index).sum())
            rows.append({"class": name, "support": int(mine.sum()), "f1": float(f1)})
        table = [{"actual": self._classes[a], "predicted": self._classes[p]} for a, p in self._pairs]
        metrics: dict[str, float | None] = {"accuracy": float(correct.mean()), "macro_f1": None}
        return Evaluation(metrics=metrics, per_class=rows, tables={"confusion": table}, per_image={"accuracy": correct})


class Brightness(Task):
    name = "brightness"
    verb = "look"
    primary_metric = "accuracy"
    outputs = OUTPUTS
    requirements = Requirements(min_classes=2, boxes=False, one_label=True)
    model_settings = Settings
    augment_settings = Settings
    operating_point = Settings

    def finish(self, outputs: Any, placements: Any, operating_point: Settings) -> list[Prediction]:
        pairs = zip(outputs["logits"].argmax(axis=1), outputs["embedding"], strict=True)
        return [Answer(int(class_id), embedding) for class_id, embedding in pairs]

    def fit_operating_point(self, *args: Any, **kwargs: Any) -> Settings:
        return Settings()

    def scorer(self, classes: Sequence[str]) -> Scorer:
        return Accuracy(classes)

    def draw(self, image: Any, prediction: Prediction, classes: Sequence[str]) -> Image.Image:
        return Image.fromarray(image)

    def figures(self, evaluation: Evaluation, examples: Sequence[Example], classes: Sequence[str]) -> list[Figure]:
        width = SIDE * max(1, len(examples))
        gallery = np.zeros((SIDE, width, 3), np.uint8)
        for index, example in enumerate(examples):
            gallery[:, index * SIDE : (index + 1) * SIDE] = example.image
        names = ", ".join(example.sample.id for example in examples)
        return [Figure(name="mistakes", title="Worst mistakes", caption=names, png=to_png(gallery))]

    def agreement(self, one: Prediction, other: Prediction) -> float:
        assert isinstance(one, Answer)
        assert isinstance(other, Answer)
        return float(one.class_id == other.class_id)

    def support(self, reference: Prediction, other: Prediction) -> float:
        return self.agreement(reference, other)

    def output_summary(self, prediction: Prediction, *, width: int, height: int) -> OutputSummary:
        assert isinstance(prediction, Answer)
        return OutputSummary(class_counts={prediction.class_id: 1}, scalars={}, expected_score=None)

    def example_rank(self, sample: Sample, prediction: Prediction) -> float:
        """Distance of the image's brightness from the true threshold where it was mistaken, else 0."""
        assert isinstance(prediction, Answer)
        wrong = sample.objects[0].class_id != prediction.class_id
        return abs(float(prediction.embedding[0]) - TRUE_THRESHOLD) if wrong else 0.0

    def learner(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


def to_png(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def make_dataset(
    root: Path,
    *,
    brightness: Sequence[int] = tuple(range(0, 256, 4)),
    split: Split = "test",
    classes: tuple[str, ...] = CLASSES,
    name: str = "greys",
) -> Path:
    """A dataset of grey images, all in one split, named by their number."""
    (root / "images").mkdir(parents=True)
    samples = []
    for index, value in enumerate(brightness):
        data = to_png(np.full((SIDE, SIDE, 3), value, np.uint8))
        path = f"images/{index:04d}.png"
        (root / path).write_bytes(data)
        samples.append(
            Sample(
                id=f"{index:04d}",
                path=path,
                sha256=sha256_bytes(data),
                width=SIDE,
                height=SIDE,
                group=f"{index:04d}",
                split=split,
                objects=(LabelledObject(class_id=int(value >= TRUE_THRESHOLD)),),
            )
        )
    write_dataset(root, name=name, classes=classes, samples=samples, licence="CC0", provenance={})
    return root


def make_bundle(
    root: Path,
    *,
    threshold: float = TRUE_THRESHOLD - 0.5,
    classes: tuple[str, ...] = CLASSES,
    train_key: str = "",
    dataset: str = "greys",
    parity_passed: bool = True,
) -> Path:
    """A real bundle; the further `threshold` is from the true one, the worse it is."""
    root.mkdir(parents=True)
    onnx.save(_graph(threshold), root / GRAPH)
    images = np.stack([np.full((SIDE, SIDE, 3), value, np.uint8) for value in (10, 240)])
    outputs = OnnxGraph(root / GRAPH, OUTPUTS, RuntimeSettings(threads=1)).run(images)
    np.savez_compressed(root / GOLDEN, images=images, **outputs)
    (root / MODEL_CARD).write_text("# A threshold\n")
    write_manifest(
        root,
        task="brightness",
        classes=classes,
        classes_hash=classes_hash(classes),
        recipe=Recipe(height=SIDE, width=SIDE),
        outputs=OUTPUTS,
        operating_point={},
        model={"threshold": threshold},
        dataset={"name": dataset, "content_hash": "0" * 64, "split_counts": {"train": 1}, "licence": ""},
        training={"key": train_key} if train_key else {},
        parity=ParityReport(
            num_images=2,
            max_relative_error={"logits": 1e-6},
            tolerance={"logits": 1e-3},
            metric="accuracy",
            metric_framework=1.0,
            metric_bundle=1.0,
            max_metric_drop=0.001,
            passed=parity_passed,
        ),
        versions={"visionloop": "0"},
    )
    Bundle.open(root)
    return root


def _graph(threshold: float) -> onnx.ModelProto:
    """embedding = mean over height and width, logits = (threshold - mean, mean - threshold)."""
    constants = {
        "axes": np.array([1, 2], np.int64),
        "weight": np.array([[-1, 1], [-1, 1], [-1, 1]], np.float32) / 3,
        "bias": np.array([threshold, -threshold], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["embedding"], keepdims=0),
        helper.make_node("MatMul", ["embedding", "weight"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 3]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
