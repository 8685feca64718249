"""`/v1/queue`: which predictions people are asked to look at, and why."""

from __future__ import annotations

import asyncio
import functools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from visionloop.artifact.bundle import Bundle
from visionloop.core.errors import BundleError
from visionloop.monitoring.drift.profile import Profile
from visionloop.monitoring.labelling.rounds import Model, left_today, to_label
from visionloop.monitoring.labelling.space import Space
from visionloop.monitoring.settings import LabellingSettings
from visionloop.serving.memory import Memory
from visionloop.serving.models import Fleet
from visionloop.serving.options import parse
from visionloop.serving.problems import json_answer


class _QueueOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str = Field(max_length=100, pattern=r"^[^\x00]*$")
    limit: int = Field(default=20, ge=1, le=100)


_EXPECTED = {"task": "a task's name, such as classification", "limit": "a whole number from 1 to 100"}


class Queue:
    """The route, for people who label.

    Args:
        memory: Has the predictions and their images.
        fleet: The models, whose reference says what is novel.
        settings: Budget and shares.
    """

    def __init__(self, memory: Memory, fleet: Fleet, settings: LabellingSettings) -> None:
        self._memory, self._fleet, self._settings = memory, fleet, settings

    async def answer(self, request: Request) -> Response:
        """The predictions chosen to be labelled that nobody has judged; chooses more where these are too few.

        Raises:
            Problem: an option is wrong, or predictions are not kept.
            StoreError: the store cannot be read or written.
        """
        options = parse(_QueueOptions, request.query_params, _EXPECTED)
        return json_answer(await asyncio.to_thread(self._queue, options.task, options.limit))

    def _queue(self, task: str, limit: int) -> dict[str, Any]:
        store, now = self._memory.require_store(), datetime.now(UTC)
        asked = to_label(
            store, task, self._settings, self._model(task), limit=limit, has_image=self._has_image, now=now
        )
        items = []
        for one in asked:
            found = store.prediction(one.id)
            if found is not None:
                about = {"reason": one.reason, "usefulness": one.usefulness}
                items.append(about | {"prediction": self._memory.listed(found)})
        unjudged = store.selections.unjudged_images(task=task, limit=self._settings.pool)
        return {
            "items": items,
            "waiting": sum(map(self._has_image, unjudged)),
            "left_today": left_today(store, task, self._settings, now),
        }

    def _has_image(self, sha256: str) -> bool:
        return self._memory.image_path(sha256) is not None

    def _model(self, task: str) -> Model | None:
        lineup = self._fleet.lineups.get(task)
        if lineup is None:
            return None
        bundle = lineup.champion.predictor.bundle
        space = reference_space(bundle.root, bundle.digest)
        return Model(digest=bundle.digest, num_classes=len(bundle.manifest.classes), space=space)


@functools.lru_cache(maxsize=8)
def reference_space(root: Path, digest: str) -> Space | None:  # noqa: ARG001  another digest is another bundle
    """The space of a bundle's reference profile; None where it has no usable one."""
    try:
        # Its hashes were checked when it was loaded to serve.
        profile = Profile.open(Bundle.open(root, verify=False))
    except BundleError:
        return None
    return Space.of(profile.observations.embeddings)
