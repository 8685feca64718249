"""What the service remembers of its answers: rows in the prediction store, images, and what people say about them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from visionloop.monitoring.store import FeedbackRow, PredictionRow, PredictionStore, StoreError
from visionloop.serving import metrics
from visionloop.serving.batching import Served
from visionloop.serving.caller import Caller, caller_of
from visionloop.serving.images import ImageKeeper
from visionloop.serving.json_body import read_json
from visionloop.serving.live import Answer, LiveModel
from visionloop.serving.pixels import PixelBudget
from visionloop.serving.problems import Problem, json_answer
from visionloop.serving.settings import ServingSettings

if TYPE_CHECKING:
    from visionloop.serving.schema import FeedbackBody


class Memory:
    """The prediction store and the kept images, as the routes use them.

    Attributes:
        store: Where predictions and feedback go; None where that is switched off, or not open yet.
    """

    def __init__(
        self,
        settings: ServingSettings,
        state: Path,
        store: PredictionStore | None,
        pixels: PixelBudget,
        classes: Callable[[str], Collection[str] | None],
    ) -> None:
        """Open nothing yet.

        Args:
            settings: What is kept.
            state: Folder of what the service writes.
            store: Where predictions and feedback go.
            pixels: Bounds what is decoded to be kept.
            classes: The names a task's champion knows; None where none serves.
        """
        self.store = store
        self._classes = classes
        self._keeps_images = settings.images.keep
        self._keeps_embeddings = settings.observe.embedding
        self._body_timeout_s = settings.upload.body_timeout_s
        self._half_full = max(1, settings.store.max_pending // 2)
        self._rows = {fate: metrics.LOG_ROWS.labels(fate) for fate in ("written", "dropped", "pending")}
        self._keeper = ImageKeeper(settings, state, pixels)

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
            results: What the model says of each image at its operating point, with its `id`; whatever the request
                asked for, so that rows can be compared.
            seconds: How long the answer took.
            keep_images: Whether the images are kept as well, as the service is configured where None. With False
                nothing is kept that was made of an image but the answer.
        """
        if self.store is None:
            return
        keep_embeddings = self._keeps_embeddings and keep_images is not False
        if keep_images is None:
            keep_images = self._keeps_images
        now = datetime.now(UTC)
        for served, result in zip(answers, results, strict=True):
            if keep_images:
                picture = served.value.picture
                self._keeper.keep(served.value.sha256, served.value.data if picture is None else picture)
            row = _row(caller, live, served.value, result, now, seconds)
            self.store.log(row if keep_embeddings else replace(row, embedding=None))

    def report(self) -> None:
        """Bring the metrics of the store's rows up to date; called now and then, for it costs more than a count."""
        if self.store is not None:
            for fate, gauge in self._rows.items():
                gauge.set(getattr(self.store, fate))

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
            feedback = await asyncio.to_thread(_parse_feedback, body)
        except ValidationError as error:
            raise _bad_feedback(error, body) from None
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
        store = self.require_store()
        if not await asyncio.to_thread(store.add_feedback, row):
            raise unknown_prediction(feedback.prediction_id)
        remark = None
        if label is not None:
            about = await asyncio.to_thread(store.prediction, feedback.prediction_id)
            remark = None if about is None else _unusable(label, about["result"], self._classes(about["task"]))
        return json_answer({"prediction_id": feedback.prediction_id, "verdict": feedback.verdict, "remark": remark})

    async def prediction(self, request: Request) -> Response:
        """An earlier answer with its feedback.

        Raises:
            Problem: 404, or 503 where predictions are not kept.
            StoreError: the store cannot be read.
        """
        id_ = request.path_params["id"]
        store = self.require_store()
        # Not every database takes the character NUL, and no id has it.
        found = None if "\0" in id_ else await asyncio.to_thread(store.prediction, id_)
        if found is None:
            raise unknown_prediction(id_)
        del found["embedding"]  # bytes, for drift; no JSON has a place for them
        return json_answer(found)

    def image_path(self, sha256: str) -> Path | None:
        """The kept image of that hash, or None."""
        return self._keeper.path(sha256)

    def listed(self, row: dict[str, Any]) -> dict[str, Any]:
        """A stored prediction as a list shows it: without its embedding, and whether its image is kept."""
        plain = {name: value for name, value in row.items() if name != "embedding"}
        return plain | {"has_image": self.image_path(row["image_sha256"]) is not None}

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


def _unusable(label: Any, result: Mapping[str, Any], classes: Collection[str] | None) -> str | None:
    """Why retraining will not learn from a label, or None. It is kept all the same: a new class may begin so."""
    has_boxes = "detections" in result
    if has_boxes != isinstance(label, list):
        return f"retraining will not use it: the answer has {'boxes' if has_boxes else 'one class'}, the label has not"
    names = {item["class"] for item in label} if has_boxes else {label}
    unknown = sorted(names - set(classes)) if classes is not None else []
    if unknown:
        return f"retraining will not use it: the model has no class {unknown[0]!r:.80}"
    return None


def _parse_feedback(body: Any) -> FeedbackBody:
    # Types of all answers come with it; who predicts needs none of them.
    from visionloop.serving.schema import FeedbackBody

    return FeedbackBody.model_validate(body)


def _row(
    caller: Caller, live: LiveModel, answer: Answer, result: dict[str, Any], now: datetime, seconds: float
) -> PredictionRow:
    variant, predictor = live.variant, live.predictor
    top = answer.top
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
        width=answer.placement.width,
        height=answer.placement.height,
        image_bytes=len(answer.data),
        result=result,
        top_class=top[0] if top else None,
        confidence=top[1] if top else None,
        features=answer.features,
        embedding=answer.embedding,
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


def _bad_feedback(error: ValidationError, body: Any) -> Problem:
    found = error.errors()
    if found[0]["loc"][:1] == ("label",):
        # A label may be of two kinds, and each complains of what is the other; what matters is the one sent.
        is_list = isinstance(body["label"], list)
        of_label = [one for one in found if one["loc"][0] == "label"]
        found = [one for one in of_label if str(one["loc"][1]).startswith("list") == is_list]
    first = found[0]
    where = [str(part) for part in first["loc"]]
    what = first["msg"].removeprefix("Value error, ")
    if where[:1] == ["label"]:
        del where[1]  # the kind's name in Python
        what = what if isinstance(body["label"], str | list) else "a label is a class name or a list of boxes"
    return Problem(
        422,
        "bad_feedback",
        what,
        where=".".join(where) or "body",
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
