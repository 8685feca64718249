from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from visionloop.artifact.export import export_graph
from visionloop.core.errors import ModelError
from visionloop.core.images import Recipe
from visionloop.data.samples import LabelledObject, Sample
from visionloop.tasks.detection import TASK
from visionloop.tasks.detection.augment import Augmenter, Target
from visionloop.tasks.detection.task import DetectionAugmentSettings, DetectionModelSettings


def test_two_stage_detectors_are_refused_with_the_reason() -> None:
    model = DetectionModelSettings(architecture="fasterrcnn_resnet50_fpn")
    with pytest.raises(ModelError, match="works in two stages") as error:
        TASK.learner(model, DetectionAugmentSettings(), num_classes=2, recipe=Recipe(height=64, width=64))
    assert "light_fcos" in error.value.expected


def test_an_input_that_does_not_fit_the_pyramid() -> None:
    with pytest.raises(ModelError, match="an input of 100 x 64 pixels"):
        TASK.learner(
            DetectionModelSettings(), DetectionAugmentSettings(), num_classes=2, recipe=Recipe(height=64, width=100)
        )


@pytest.mark.slow
def test_ssdlite_of_torchvision_trains_and_exports(tmp_path: Path) -> None:
    recipe = Recipe(height=96, width=96)
    model = DetectionModelSettings(architecture="ssdlite320_mobilenet_v3_large")
    learner = TASK.learner(model, DetectionAugmentSettings(), num_classes=2, recipe=recipe)
    target = Target(np.array([[10, 10, 60, 60]], np.float32), np.array([1], np.int64))
    images = torch.randint(0, 255, (2, 96, 96, 3), dtype=torch.uint8)
    loss = learner.losses(images, learner.collate([target, target]), progress=0.0)["loss"]
    assert torch.isfinite(loss)
    graph = learner.graph().eval()
    export_graph(graph, tmp_path / "m.onnx", recipe, TASK.outputs)
    session = ort.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = graph(images[:1])
    boxes, scores, _ = session.run(list(TASK.outputs), {"images": images[:1].numpy()})
    assert scores.shape[2] == 2
    assert np.allclose(boxes, expected[0].numpy(), atol=0.05)
    assert np.allclose(scores, expected[1].numpy(), atol=1e-4)


@pytest.mark.parametrize("preset", ["light", "standard", "strong"])
def test_boxes_follow_their_pixels(preset: str) -> None:
    augmenter = Augmenter(DetectionAugmentSettings(preset=preset, flip=True, flip_vertical=True))  # type: ignore[arg-type]
    image = np.zeros((96, 96, 3), np.uint8)
    image[30:60, 20:50] = 255
    target = Target(np.array([[20, 30, 50, 60]], np.float32), np.array([2], np.int64))
    for seed in range(25):
        view, moved = augmenter(image, target, seed)
        assert view.shape == image.shape
        for x1, y1, x2, y2 in moved.boxes:
            rows, columns = np.nonzero(view.min(axis=2) > 0.75 * view.max())
            assert abs(columns.min() - x1) <= 3
            assert abs(rows.min() - y1) <= 3
            assert abs(columns.max() + 1 - x2) <= 3
            assert abs(rows.max() + 1 - y2) <= 3
        assert len(moved.boxes) == len(moved.class_ids)


def test_an_image_without_boxes_stays_one() -> None:
    empty = Target(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    _, moved = Augmenter(DetectionAugmentSettings(preset="strong"))(np.zeros((64, 64, 3), np.uint8), empty, 1)
    assert moved.boxes.shape == (0, 4)


def test_weights_by_name_for_the_detector_that_has_none() -> None:
    model = DetectionModelSettings(weights="FCOS_ResNet50_FPN_Weights.COCO_V1")
    with pytest.raises(ModelError, match="light_fcos is not one of torchvision's"):
        TASK.learner(model, DetectionAugmentSettings(), num_classes=2, recipe=Recipe(height=64, width=64))


def test_a_crowd_is_no_example_of_an_object_and_a_difficult_one_is() -> None:
    recipe = Recipe(height=64, width=64)
    learner = TASK.learner(DetectionModelSettings(width=8), DetectionAugmentSettings(), num_classes=2, recipe=recipe)
    objects = tuple(
        LabelledObject(class_id=1, box_xyxy=(8.0, 8.0, 40.0, 40.0), flags=flags)
        for flags in ((), ("difficult",), ("crowd",))
    )
    truth = Sample(id="1", path="", sha256="", width=64, height=64, group="", split="train", objects=objects)
    assert len(learner.target(truth, recipe.place(64, 64)).boxes) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "side"),
    [("fcos_resnet50_fpn", 96), ("retinanet_resnet50_fpn", 96), ("ssd300_vgg16", 300)],
)
def test_torchvisions_larger_detectors_export(architecture: str, side: int, tmp_path: Path) -> None:
    recipe = Recipe(height=side, width=side)
    model = DetectionModelSettings(architecture=architecture)
    graph = TASK.learner(model, DetectionAugmentSettings(), num_classes=2, recipe=recipe).graph().eval()
    export_graph(graph, tmp_path / "m.onnx", recipe, TASK.outputs)
    session = ort.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    images = torch.randint(0, 255, (2, side, side, 3), dtype=torch.uint8)
    with torch.inference_mode():
        expected = graph(images)
    boxes, scores, _ = session.run(list(TASK.outputs), {"images": images.numpy()})
    assert np.allclose(boxes, expected[0].numpy(), atol=0.05)
    assert np.allclose(scores, expected[1].numpy(), atol=1e-4)
