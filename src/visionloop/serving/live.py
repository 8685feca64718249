"""A bundle that serves: loaded and verified, with its queue, from encoded images to answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np

from visionloop.artifact.deployment import Role, Variant
from visionloop.artifact.predictor import Predictor
from visionloop.core.cores import usable_cores
from visionloop.core.errors import ImageError
from visionloop.core.files import sha256_bytes
from visionloop.core.images import ImageArray, Placement, decode_image
from visionloop.monitoring.drift.features import ImageFeatures
from visionloop.serving.batching import Batcher, Served
from visionloop.serving.metrics import ModelMeters
from visionloop.serving.observing import Observer
from visionloop.serving.pixels import HELD_PIXELS, PixelBudget, shrunk
from visionloop.serving.problems import Problem
from visionloop.serving.settings import ServingSettings
from visionloop.task import Prediction

MIN_SIDE = 2
"""Images with a shorter side hold nothing to be recognised."""


class Job(NamedTuple):
    """One encoded image.

    Attributes:
        data: The file's bytes.
        name: What errors call it.
        picture_pixels: Pixels to which a larger image is scaled down for its `Answer.picture`; 0 leaves that out.
        observed: Whether the answer may be measured for drift.
    """

    data: bytes
    name: str
    picture_pixels: int = 0
    observed: bool = False


class Answer(NamedTuple):
    """What a model says of one image. The decoded image itself is not in it: it may take 200 MB.

    Attributes:
        prediction: In pixels of the upright image.
        input: uint8 [height,width,3], as the model saw it.
        placement: Where the upright image, whose size it knows, lies in `input`.
        picture: uint8 [H,W,3], upright: the whole image where it is small, a picture of it where the job asked
            for one, else None.
        data: The encoded image.
        decode_s: Seconds of decoding and bringing to size.
        sha256: Hex, of the encoded image.
        record: The prediction as JSON has it, at the operating point.
        top: The class that stands out with its score, or None. Like `record` and `embedding` it is made beside the
            event loop: NumPy gives the interpreter away for each conversion, and there the loop would wait for it.
        embedding: Bytes of float16 [D].
        features: What drift is seen by, where it was asked for and there was time for it.
    """

    prediction: Prediction
    input: ImageArray
    placement: Placement
    picture: ImageArray | None
    data: bytes
    decode_s: float
    sha256: str
    record: dict[str, Any]
    top: tuple[str, float] | None
    embedding: bytes
    features: dict[str, Any] | None = None

    @property
    def size(self) -> dict[str, int]:
        """Of the upright image, as answers tell it."""
        return {"width": self.placement.width, "height": self.placement.height}


class _Ready(NamedTuple):
    """An image that is ready for the model."""

    input: ImageArray
    placement: Placement
    picture: ImageArray | None
    features: ImageFeatures | None
    seconds: float


class LiveModel:
    """One bundle, loaded and verified, with its queue.

    Attributes:
        variant: Which one.
        role: What for.
        predictor: Answers.
        meters: Count what it answers.
    """

    def __init__(
        self,
        variant: Variant,
        role: Role,
        predictor: Predictor,
        settings: ServingSettings,
        executor: Executor,
        pixels: PixelBudget,
        observer: Observer,
    ) -> None:
        self.variant = variant
        self.role: Role = role
        self.predictor = predictor
        self.meters = ModelMeters(predictor.task.name, variant.version, role)
        self._max_pixels = settings.upload.max_pixels
        self._pixels = pixels
        self._observer = observer
        self._batcher = Batcher(self._work, settings.batching, executor, parallel=parallel_batches(settings))

    @property
    def waiting(self) -> int:
        """Images in its queue."""
        return self._batcher.waiting

    async def answer(self, jobs: Sequence[Job]) -> list[Served[Answer]]:
        """Answers in order.

        Raises:
            ImageError: one of the images is not accepted.
            Problem: overloaded, or too late.
        """
        return await self._batcher.submit(jobs)

    def _work(self, jobs: Sequence[Job]) -> list[Answer | Exception]:
        answers: list[Answer | Exception] = []
        ready: list[tuple[int, _Ready]] = []
        observed = self._observer.choose([index for index, job in enumerate(jobs) if job.observed])
        for index, job in enumerate(jobs):
            try:
                ready.append((index, self._prepare(job, observed=index in observed)))
                answers.append(_NEVER)
            except (ImageError, Problem) as error:
                answers.append(error)
        if ready:
            outputs = self.predictor.run(np.stack([image.input for _, image in ready]))
            placements = [image.placement for _, image in ready]
            predictions = self.predictor.task.finish(outputs, placements, self.predictor.operating_point)
            for (index, image), prediction in zip(ready, predictions, strict=True):
                data = jobs[index].data
                # Hashed here, off the event loop, which ten megabytes would hold up for milliseconds.
                answers[index] = Answer(
                    prediction,
                    image.input,
                    image.placement,
                    image.picture,
                    data,
                    image.seconds,
                    sha256_bytes(data),
                    prediction.to_record(self.predictor.classes),
                    prediction.top(self.predictor.classes),
                    prediction.embedding.astype(np.float16).tobytes(),
                    self._observer.record(self.predictor.task, image.features, prediction),
                )
        return answers

    def _prepare(self, job: Job, *, observed: bool) -> _Ready:
        """Decode an image and bring it to the model's size; nothing larger than a small picture outlives this.

        Args:
            job: The image.
            observed: Whether it is measured.

        Raises:
            ImageError: it is not accepted.
            Problem: 503, too many pixels are held already.
        """
        started = time.perf_counter()
        with self._pixels.share() as share:
            image = decode_image(job.data, where=job.name, max_pixels=self._max_pixels, admit=share.take)
            _require_sides(image, job.name)
            array, placement = self.predictor.recipe.apply(image)
            picture = None
            if job.picture_pixels or image.size <= 3 * HELD_PIXELS:
                picture = shrunk(image, max(job.picture_pixels, HELD_PIXELS))
            seconds = time.perf_counter() - started
            features = self._observer.measure(image) if observed else None
            del image
        return _Ready(array, placement, picture, features, seconds)


_NEVER = AssertionError("an image got no answer")


def _require_sides(image: ImageArray, name: str) -> None:
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise ImageError(
            f"the image is {width} x {height} pixels",
            code="too_small",
            where=name,
            expected=f"at least {MIN_SIDE} pixels each way",
            action="send the picture that is meant",
        )


def parallel_batches(settings: ServingSettings) -> int:
    """Batches at once: as set, else one a core; a GPU takes one after the other."""
    if settings.batching.parallel:
        return settings.batching.parallel
    if settings.runtime.device != "cpu":
        return 1
    return usable_cores()
