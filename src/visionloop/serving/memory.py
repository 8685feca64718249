"""What the service remembers of its answers: rows in the prediction store, images, and what people say about them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from visionloop.monitoring.store import FeedbackRow, PredictionRow, PredictionStore, StoreError
from visionloop.serving import metrics
from visionloop.serving.batching import Served
from visionloop.serving.caller import Caller, caller_of
from visionloop.serving.images import ImageKeeper
from visionloop.serving.json_body import read_json
from visionloop.serving.models import Answer, LiveModel
from visionloop.serving.problems import Problem, json_answer
from visionloop.serving.schema import FeedbackBody
from visionloop.serving.settings import ServingSettings


class Memory:
    """The prediction store and the kept images, as the routes use them.

    Attributes:
        store: Where predictions and feedback go; None where that is switched off, or not open yet.
    """

    def __init__(self, settings: ServingSettings, state: Path, store: PredictionStore | None) -> None:
        """`state` is the folder of what the service writes."""
        self.store = store
        self._keeps_images = settings.images.keep
        self._body_timeout_s = settings.upload.body_timeout_s
        self._half_full = max(1, settings.store.max_pending // 2)
        self._keeper = ImageKeeper(settings.images, state)

    def close(self) -> None:
        """Write what is pending; may be called twice."""
        self._keeper.close()
        if self.store is not None:
            self.store.close()

    def remember(
        self,
        caller: Caller,
        live: LiveModel,
        answers: Sequence[Served[Answer]],
        results: Sequence[dict[str, Any]],
        *,
        seconds: float,
        keep_images: bool | None,
    ) -> None:
        """Have answers written; returns at once, and drops and counts what cannot be kept up with.

        Args:
            caller: Who asked.
            live: Who answered.
            answers: One an image.
            results: What was said of each image, with its `id`.
            seconds: How long the answer took.
            keep_images: Whether the images are kept as well; as the service is configured where None.
        """
        if self.store is None:
            return
        if keep_images is None:
            keep_images = self._keeps_images
        now = datetime.now(UTC)
        for served, result in zip(answers, results, strict=True):
            if keep_images:
                self._keeper.keep(served.value.sha256, served.value.image)
            self.store.log(_row(caller, live, served.value, result, now, seconds))
        for fate in ("written", "dropped", "pending"):
            metrics.LOG_ROWS.labels(fate).set(getattr(self.store, fate))

    def has_room(self) -> bool:
        """Whether less than half of what may wait to be written waits; the rest is left to those in a hurry.

        Work in the background asks before each of its answers, and waits for the writers, so that neither its own
        rows and images nor those of requests are dropped.
        """
        if self.store is not None and self.store.pending >= self._half_full:
            return False
        return self._keeper.has_room

    async def feedback(self, request: Request) -> Response:
        """Take what somebody says of a prediction.

        Raises:
            Problem: refused.
            StoreError: it cannot be kept.
        """
        body = await read_json(request, self._body_timeout_s)
        try:
            feedback = FeedbackBody.model_validate(body)
        except ValidationError as error:
            raise _bad_feedback(error) from None
        if (feedback.verdict == "corrected") != (feedback.label is not None):
            raise Problem(
                422,
                "bad_feedback",
                "a correction needs the right label, and only a correction has one",
                where="label",
                expected='verdict "corrected" with a label, or "right" or "wrong" without',
                action="send both or neither",
            )
        label = feedback.model_dump(mode="json", by_alias=True)["label"]
        row = FeedbackRow(
            prediction_id=feedback.prediction_id,
            created_at=datetime.now(UTC),
            verdict=feedback.verdict,
            label=label,
            note=feedback.note,
            key_id=caller_of(request).key_id or None,
        )
        if not await asyncio.to_thread(self.require_store().add_feedback, row):
            raise unknown_prediction(feedback.prediction_id)
        return json_answer({"prediction_id": feedback.prediction_id, "verdict": feedback.verdict})

    async def prediction(self, request: Request) -> Response:
        """An earlier answer with its feedback.

        Raises:
            Problem: 404, or 503 where predictions are not kept.
            StoreError: the store cannot be read.
        """
        id_ = request.path_params["id"]
        found = await asyncio.to_thread(self.require_store().prediction, id_)
        if found is None:
            raise unknown_prediction(id_)
        del found["embedding"]  # bytes, for drift; no JSON has a place for them
        return json_answer(found)

    def image_path(self, sha256: str) -> Path | None:
        """The kept image of that hash, or None."""
        return self._keeper.path(sha256)

    def require_store(self) -> PredictionStore:
        """The store.

        Raises:
            Problem: 503 where predictions are not kept.
        """
        if self.store is None:
            raise Problem(
                503,
                "store_off",
                "predictions are not kept",
                where="setting serving.store",
                expected="a prediction store",
                action="ask the operator to switch it on",
            )
        return self.store


def _row(
    caller: Caller, live: LiveModel, answer: Answer, result: dict[str, Any], now: datetime, seconds: float
) -> PredictionRow:
    variant, predictor = live.variant, live.predictor
    top = answer.prediction.top(predictor.classes)
    return PredictionRow(
        id=result["id"],
        created_at=now,
        task=predictor.task.name,
        model=variant.model,
        version=variant.version,
        digest=variant.digest,
        variant=live.role,
        request_id=caller.request_id,
        key_id=caller.key_id or None,
        image_sha256=answer.sha256,
        width=answer.image.shape[1],
        height=answer.image.shape[0],
        image_bytes=answer.num_bytes,
        result=result,
        top_class=top[0] if top else None,
        confidence=top[1] if top else None,
        features=None,
        embedding=answer.prediction.embedding.astype(np.float16).tobytes(),
        latency_ms=1000 * seconds,
    )


def unknown_prediction(id_: str) -> Problem:
    """404."""
    return Problem(
        404,
        "unknown_prediction",
        f"there is no prediction {id_[:64]!r}",
        where="prediction id",
        expected="the id of an answer of this service",
        action="correct the id; predictions are kept for a limited time",
    )


def _bad_feedback(error: ValidationError) -> Problem:
    first = error.errors()[0]
    return Problem(
        422,
        "bad_feedback",
        first["msg"],
        where=".".join(map(str, first["loc"])) or "body",
        expected="see FeedbackBody in /openapi.json",
        action="correct the field",
    )


def store_problem(error: StoreError) -> Problem:
    """503, for a database that does not answer."""
    return Problem(
        503,
        "store_unavailable",
        error.what,
        where=error.where,
        expected=error.expected,
        action="try again; predictions are served meanwhile",
        retry_after=5.0,
    )
