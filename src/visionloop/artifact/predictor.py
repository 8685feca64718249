"""The one inference path: bytes in, predictions out. Loads no training stack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from visionloop.artifact.bundle import GOLDEN, Bundle
from visionloop.artifact.runtimes import Runtime, open_runtime
from visionloop.artifact.settings import RuntimeSettings
from visionloop.core.errors import BundleError
from visionloop.core.images import ImageArray, Placement, decode_image
from visionloop.core.settings import Settings, parse_settings
from visionloop.task import Outputs, Prediction, Task, load_task

GOLDEN_TOLERANCE = 1e-2
"""Relative to the golden output's largest value; engines and CPUs differ far less, wrong weights far more."""


class Predictor:
    """An opened bundle that answers.

    Attributes:
        bundle: What it answers from.
        task: The bundle's task.
        classes: Class names in the order of their ids.
        operating_point: Temperature or thresholds in force.
    """

    def __init__(self, bundle: Bundle, runtime: Runtime, settings: RuntimeSettings) -> None:
        self.bundle = bundle
        self.task: Task = load_task(bundle.manifest.task)
        self.classes: tuple[str, ...] = bundle.manifest.classes
        self.recipe = bundle.manifest.recipe
        self.operating_point: Settings = parse_settings(
            self.task.operating_point, bundle.manifest.operating_point, where=f"{bundle.root}: operating_point"
        )
        self.batch_size = settings.batch_size
        self._runtime = runtime
        self._prepared = settings.prepared_batch_sizes

    @classmethod
    def open(cls, root: Path, settings: RuntimeSettings | None = None) -> Self:
        """Open a bundle, verify its hashes, load its graph and replay the golden batch.

        Raises:
            BundleError: not a bundle, altered, or its golden batch gives other answers here.
            ConfigError: the engine is not available.
        """
        settings = settings or RuntimeSettings()
        bundle = Bundle.open(root)
        predictor = cls(bundle, open_runtime(bundle, settings), settings)
        predictor.check_golden()
        return predictor

    def predict(self, images: Sequence[bytes], *, names: Sequence[str] | None = None) -> list[Prediction]:
        """Predictions for encoded images, in order.

        Args:
            images: The files' bytes.
            names: Names for errors, of the same length.

        Raises:
            ImageError: bytes that are not an accepted image.
        """
        names = names or [f"image {index}" for index in range(len(images))]
        decoded = (decode_image(data, where=name) for data, name in zip(images, names, strict=True))
        return list(self.predict_stream(decoded))

    def predict_stream(self, images: Iterable[ImageArray]) -> Iterator[Prediction]:
        """Predictions for upright uint8 [H,W,3] images of any size, in order, a batch at a time."""
        source = iter(images)
        while batch := list(islice(source, self.batch_size)):
            inputs, placements = self.inputs(batch)
            yield from self.task.finish(self.run(inputs), placements, self.operating_point)

    def inputs(self, images: Sequence[ImageArray]) -> tuple[npt.NDArray[np.uint8], list[Placement]]:
        """The recipe applied: uint8 [N,height,width,3] and where each image lies."""
        applied = [self.recipe.apply(image) for image in images]
        return np.stack([array for array, _ in applied]), [placement for _, placement in applied]

    def run(self, inputs: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        """Raw graph outputs by name for uint8 [N,height,width,3]."""
        return self._runtime.run(inputs)

    def check_golden(self) -> None:
        """Replay the golden batch, and so warm up: on a GPU in every batch size that the engine is prepared for.

        Raises:
            BundleError: an output differs from the stored one by more than `GOLDEN_TOLERANCE`, or is not finite.
        """
        with np.load(self.bundle.root / GOLDEN, allow_pickle=False) as golden:
            images = golden["images"]
            expected = {name: golden[name] for name in self.bundle.manifest.outputs}
        for size in self._prepared or (len(images),):
            chosen = np.arange(size) % len(images)
            self._check(images[chosen], {name: value[chosen] for name, value in expected.items()})

    def _check(self, images: npt.NDArray[np.uint8], expected: Outputs) -> None:
        for name, error in relative_errors(expected, self.run(images)).items():
            if not error <= GOLDEN_TOLERANCE:
                raise BundleError(
                    f"output {name} of the golden batch differs by {error:.2g} of its range",
                    where=f"{self.bundle.root / GOLDEN}, batch of {len(images)}",
                    expected=f"at most {GOLDEN_TOLERANCE:g}",
                    action="do not serve this bundle here; try another runtime.engine or export it again",
                )


def relative_errors(expected: Outputs, found: Outputs) -> dict[str, float]:
    """Largest absolute difference per output over the largest absolute expected value; NaN where not finite."""
    errors = {}
    for name, reference in expected.items():
        scale = max(float(np.abs(reference).max(initial=0.0)), 1e-6)
        difference = np.abs(found[name].astype(np.float64) - reference.astype(np.float64))
        errors[name] = float(difference.max(initial=0.0)) / scale
    return errors
