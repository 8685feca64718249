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
from visionloop.monitoring.labelling.rounds import Asked, Model, left_today, to_label, waits
from visionloop.monitoring.labelling.space import Space
from visionloop.monitoring.settings import LabellingSettings
from visionloop.monitoring.store import PredictionStore
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
    """The routes, for people who label.

    Args:
        memory: Has the predictions and their images.
        fleet: The models, whose reference says what is novel.
        settings: Budget and shares.
    """

    def __init__(self, memory: Memory, fleet: Fleet, settings: LabellingSettings) -> None:
        self._memory, self._fleet, self._settings = memory, fleet, settings

    async def answer(self, request: Request) -> Response:
        """The predictions chosen to be labelled that nobody has judged; changes nothing.

        Raises:
            Problem: an option is wrong, or predictions are not kept.
            StoreError: the store cannot be read.
        """
        options = parse(_QueueOptions, request.query_params, _EXPECTED)
        return json_answer(await asyncio.to_thread(self._waiting, options.task, options.limit))

    async def fill(self, request: Request) -> Response:
        """As `answer`, and chooses more where these are too few, which takes of the day's budget.

        Raises:
            Problem: an option is wrong, or predictions are not kept.
            StoreError: the store cannot be read or written.
        """
        options = parse(_QueueOptions, request.query_params, _EXPECTED)
        return json_answer(await asyncio.to_thread(self._filled, options.task, options.limit))

    def _waiting(self, task: str, limit: int) -> dict[str, Any]:
        store, now = self._memory.require_store(), datetime.now(UTC)
        asked = waits(store, task, self._settings, limit=limit, has_image=self._has_image, now=now)
        return self._answer(store, task, asked, now)

    def _filled(self, task: str, limit: int) -> dict[str, Any]:
        store, now = self._memory.require_store(), datetime.now(UTC)
        asked = to_label(
            store, task, self._settings, self._model(task), limit=limit, has_image=self._has_image, now=now
        )
        return self._answer(store, task, asked, now)

    def _answer(self, store: PredictionStore, task: str, asked: list[Asked], now: datetime) -> dict[str, Any]:
        found = store.predictions([one.id for one in asked])
        items = [
            {"reason": one.reason, "usefulness": one.usefulness, "prediction": self._memory.listed(found[one.id])}
            for one in asked
            if one.id in found
        ]
        return {
            "items": items,
            "waiting": store.selections.num_unjudged_images(task=task, limit=self._settings.pool),
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
