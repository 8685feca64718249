"""Detection in the drill: scenes of digits, as they are, and with digits that lean over in a warm light."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from pipelines.drill.subject import Answered, Photo, Place, Subject, deal
from visionloop.data.digits import Scene, compose_scene, write_scenes
from visionloop.data.overlay import TrueObject
from visionloop.data.samples import LabelledObject, Sample

_LOWEST = 0.05
"""Score from which boxes are asked for: mAP is made of unsure ones too."""


_UPRIGHT = (-12.0, 12.0)
_LEANING = (30.0, 40.0)
"""Degrees, counter-clockwise."""
_LAMP = (0.95, 0.75, 0.45)
"""Of red, green and blue that is left. A leaning digit alone moves an embedding whose scenes have any colour too little
for a critical alarm, which is what asks for a retraining."""


class Scenes(Subject):
    """Scenes composed of scikit-learn's scans, which are dealt out once."""

    task = "detection"
    metric = "mAP"
    verb = "detect"
    options: ClassVar[dict[str, Any]] = {"threshold": _LOWEST}
    sight = "the digits of the scenes lean over, and a warm lamp is on"
    fall, relative = 0.5, True
    recovery = 0.9

    def __init__(
        self, *, train: int = 480, epochs: int = 9, again: int = 2, traffic: int = 440, labels: int = 280
    ) -> None:
        """Read the scans.

        Args:
            train: Scenes that the first model learns from.
            epochs: Of the first training.
            again: Epochs of retrainings, from the champion's weights.
            traffic: Scenes in each burst.
            labels: Answers that are labelled.
        """
        from sklearn.datasets import load_digits

        bunch: Any = load_digits()
        self._scans, self._labels = bunch.images / 16.0, bunch.target
        self._places = deal([str(label) for label in bunch.target])
        self._train, self._epochs, self._again, self._traffic = train, epochs, again, traffic
        self.labels = labels

    def settings(self) -> dict[str, Any]:
        """Of the task's block in `conf/`."""
        return {
            # Half the work of the demo's network.
            "model": {"width": 12, "neck": 32, "head_convs": 1},
            "training": {
                "max_epochs": self._epochs,
                # Small batches and a short average: 540 steps must do.
                "batch_size": 8,
                "ema_decay": 0.98,
                "learning_rate": 0.003,
                "validate_every": max(1, self._epochs // 2),
            },
            # Fewer passes than the demo's, for time: what is asked here is whether the loop closes.
            "gate": {"floors": {"map": 0.25, "map_50": 0.4}},
        }

    def relearning(self) -> list[str]:
        """Fewer passes, from the champion's weights."""
        return [f"detection.training.max_epochs={self._again}"]

    def spoiling(self) -> list[str]:
        """A small network learns nothing in a fraction of the time."""
        return [*super().spoiling(), "model.width=8"]

    def write_source(self, root: Path) -> None:
        """Write Pascal VOC."""
        for number, (split, count) in enumerate((("train", self._train), ("val", 100), ("test", 120))):
            rng = np.random.default_rng((1, number))
            write_scenes(root, split, self._scenes(split, count, rng))  # type: ignore[arg-type]

    def normal(self, rng: np.random.Generator) -> list[Photo]:
        """Scenes as they are."""
        return [_photo(scene) for scene in self._scenes("field", self._traffic, rng)]

    def decayed(self, rng: np.random.Generator) -> list[Photo]:
        """Scenes whose digits lean over in a warm light."""
        return [_photo(scene, _LAMP) for scene in self._scenes("field", self._traffic, rng, _LEANING)]

    def unseen(self, rng: np.random.Generator) -> list[Photo]:
        """The same of later scans."""
        return [_photo(scene, _LAMP) for scene in self._scenes("later", self._traffic // 2, rng, _LEANING)]

    def score(self, answers: Sequence[Answered]) -> float:
        """COCO's mAP over overlaps of .50 to .95, over all boxes from a score of 0.05 on."""
        from visionloop.tasks.detection.task import Detections, DetectionTask

        if not answers:
            return 0.0
        names = [str(digit) for digit in range(10)]
        scorer = DetectionTask().scorer(names)
        for number, answer in enumerate(answers):
            boxes = answer.said.detections or []
            objects = [LabelledObject(class_id=names.index(item.name), box_xyxy=item.box_xyxy) for item in answer.truth]
            sample = Sample(
                id=str(number), path=f"{number}.png", sha256="", width=answer.said.image.width,
                height=answer.said.image.height, group=str(number), split="test", objects=tuple(objects),
            )  # fmt: skip
            scorer.add(
                sample,
                Detections(
                    boxes_xyxy=np.array([box.box_xyxy for box in boxes], np.float32).reshape(-1, 4),
                    scores=np.array([box.score for box in boxes], np.float32),
                    class_ids=np.array([names.index(box.class_name) for box in boxes], np.int64),
                    confident=np.ones(len(boxes), bool),
                    embedding=np.zeros(1, np.float32),
                ),
            )
        return scorer.evaluate().metrics["map"] or 0.0

    def sure(self, answer: Answered) -> float:
        """The best boxes' mean score, as many as a scene has at least; 0 where nothing was found."""
        scores = [box.score for box in answer.said.detections or []][:2]
        return float(np.mean(scores)) if scores else 0.0

    def feedback(self, answer: Answered) -> dict[str, Any]:
        """All true boxes, drawn anew: an answer's own are never right to the pixel."""
        label = [{"class": item.name, "box_xyxy": item.box_xyxy} for item in answer.truth]
        return {"verdict": "corrected", "label": label}

    def _scenes(
        self, place: Place, count: int, rng: np.random.Generator, tilt: tuple[float, float] = _UPRIGHT
    ) -> list[Scene]:
        members = self._places[place]
        return [compose_scene(rng, self._scans[members], self._labels[members], tilt=tilt) for _ in range(count)]


def _photo(scene: Scene, light: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Photo:
    picture, objects = scene
    buffer = io.BytesIO()
    Image.fromarray((picture * light).round().astype(np.uint8)).save(buffer, "PNG")
    return Photo(buffer.getvalue(), tuple(TrueObject(name=name, box_xyxy=box) for name, box in objects))
