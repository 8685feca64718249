"""`/v1/explain`: which parts of an image an answer rests on, worked out beside the predictions."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response

from visionloop.artifact.saliency import Floats, Saliency, overlay, saliency
from visionloop.core.errors import near_matches
from visionloop.serving import metrics
from visionloop.serving.live import Answer, Job, LiveModel
from visionloop.serving.models import Fleet, model_ref
from visionloop.serving.problems import json_answer
from visionloop.serving.refusals import bad_option, overloaded, too_late, too_many_images
from visionloop.serving.settings import ServingSettings
from visionloop.serving.upload import read_upload

_MAX_EXPLAINED = 3
"""Explanations at once in a worker: one in work, two waiting."""
_OPTIONS = frozenset({"task"})
_GRID_SIDE = 32
"""Longest side of the grid of numbers that stands for a heat in JSON."""
_SHOWN_PIXELS = 4_000_000
"""A larger image comes back scaled down: each step of colouring it is a copy."""


class Explainer:
    """Explanations of one worker, one at a time, in a thread of its own."""

    def __init__(self, fleet: Fleet, settings: ServingSettings) -> None:
        self._fleet = fleet
        self._settings = settings
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="explain")
        self._explaining = 0

    def close(self) -> None:
        """Begin no more; may be called twice."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def answer(self, request: Request) -> Response:
        """One image's picture, or its numbers.

        Raises:
            Problem, ImageError: refused.
        """
        upload = await read_upload(request, self._settings.upload, options=_OPTIONS)
        options = {**request.query_params, **upload.options}
        for name in options.keys() - _OPTIONS:
            raise bad_option(name, f"there is no option {name!r:.80}", near_matches(name, _OPTIONS))
        task = self._fleet.deployed_task(options.get("task"))
        if len(upload.images) > 1:
            raise too_many_images(
                f"the form has {len(upload.images)} images",
                "one image to explain",
                "send a request for each image",
            )
        champion = self._fleet.lineup(task).champion
        as_json = _prefers_json(request.headers.get("accept", ""))
        seconds, masks = self._settings.explain_timeout_s, self._settings.explain_masks
        abandoned = threading.Event()
        started = time.perf_counter()
        with self._room():
            try:
                async with asyncio.timeout(seconds):
                    # The queue decodes and refuses as it does for a prediction.
                    served = await champion.answer([Job(*upload.images[0], picture_pixels=_SHOWN_PIXELS)])
                    work = partial(_explained, champion, served[0].value, masks, as_json, abandoned)
                    response = await asyncio.get_running_loop().run_in_executor(self._executor, work)
            except TimeoutError:
                metrics.EXPLANATION_SECONDS.labels(task, "too_late").observe(time.perf_counter() - started)
                raise too_late(seconds, "try again when fewer explanations are asked for") from None
            finally:
                # Nobody waits any more: the thread stops before its next masks, or has not begun.
                abandoned.set()
        metrics.EXPLANATION_SECONDS.labels(task, "answered").observe(time.perf_counter() - started)
        return response

    @contextmanager
    def _room(self) -> Iterator[None]:
        if self._explaining >= _MAX_EXPLAINED:
            raise overloaded(
                f"{self._explaining} explanations are under way already",
                f"at most {_MAX_EXPLAINED - 1} explanations waiting",
                retry_after=5.0,
            )
        self._explaining += 1
        try:
            yield
        finally:
            self._explaining -= 1


class _AbandonedError(Exception):
    """Nobody waits for the explanation any more."""


def _explained(live: LiveModel, answer: Answer, masks: int, as_json: bool, abandoned: threading.Event) -> Response:
    def check() -> None:
        if abandoned.is_set():
            raise _AbandonedError

    predictor, picture = live.predictor, answer.picture
    assert picture is not None
    found = saliency(predictor, picture, masks=masks, check=check, prepared=(answer.input, answer.placement))
    if as_json:
        return json_answer(
            {
                "task": predictor.task.name,
                "model": model_ref(predictor.task.name, live),
                "prediction": found.reference.to_record(predictor.classes),
                "grid": _grid(found),
            }
        )
    buffer = io.BytesIO()
    # Photographs hardly get smaller by trying harder, only slower.
    overlay(picture, found.heat).save(buffer, "PNG", compress_level=1)
    return Response(buffer.getvalue(), media_type="image/png")


def _grid(found: Saliency) -> list[list[float]]:
    height, width = found.heat.shape
    factor = min(1.0, _GRID_SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    means: Floats = np.asarray(Image.fromarray(found.heat).resize(size, Image.Resampling.BOX))
    return [[round(value, 4) for value in row] for row in means.astype(np.float64).tolist()]


def _prefers_json(accept: str) -> bool:
    """Whether an Accept header (RFC 9110, section 12.5.1) ranks JSON above PNG, which is what we send else."""
    items = (item.split(";") for item in accept.split(","))
    ranges = [(kind.strip().lower(), parameters) for kind, *parameters in items]
    return _rank("application/json", ranges) > _rank("image/png", ranges)


def _rank(media_type: str, ranges: Sequence[tuple[str, list[str]]]) -> tuple[float, int]:
    """Quality and exactness of the most exact range that matches; (0, 0) where none does or it is refused."""
    names = ("*/*", media_type.partition("/")[0] + "/*", media_type)
    found = [(names.index(kind) + 1, _quality(parameters)) for kind, parameters in ranges if kind in names]
    exactness, quality = max(found, default=(0, 0.0))
    return (quality, exactness) if quality > 0 else (0.0, 0)


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
