"""The client's part of checking predictions: what was answered, what people say of it, what waits to be labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import httpx

from visionloop.serving.client.options import Shape, params_of
from visionloop.serving.schema import FeedbackAnswer, StoredPrediction
from visionloop.serving.schema_review import PredictionsAnswer, QueueAnswer


class ReviewCalls:
    """A part of `Client`."""

    def _send(self, method: str, path: str, shape: type[Shape], **parts: Any) -> Shape:
        raise NotImplementedError

    def _request(self, method: str, path: str, **parts: Any) -> httpx.Response:
        raise NotImplementedError

    def feedback(
        self,
        prediction_id: str,
        verdict: Literal["right", "wrong", "corrected"],
        *,
        label: str | Sequence[Mapping[str, Any]] | None = None,
        note: str | None = None,
    ) -> FeedbackAnswer:
        """Say whether a prediction was right; again with the same key, it replaces what was said before.

        Args:
            prediction_id: From an answer.
            verdict: `corrected` comes with a label.
            label: The right class, or boxes as `{"class": ..., "box_xyxy": [x1, y1, x2, y2]}`.
            note: Anything else worth saying.
        """
        body = {"prediction_id": prediction_id, "verdict": verdict, "label": label, "note": note}
        sent = {name: value for name, value in body.items() if value is not None}
        return self._send("POST", "/v1/feedback", FeedbackAnswer, json=sent)

    def prediction(self, id_: str) -> StoredPrediction:
        """An earlier prediction with its feedback."""
        return self._send("GET", f"/v1/predictions/{id_}", StoredPrediction)

    def predictions(
        self,
        *,
        task: str | None = None,
        class_name: str | None = None,
        min_confidence: float | None = None,
        max_confidence: float | None = None,
        feedback: Literal["none", "any", "right", "wrong", "corrected"] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> PredictionsAnswer:
        """Earlier predictions that fit, newest first; `cursor` is the `next` of the page before."""
        options = {
            "task": task, "class": class_name, "min_confidence": min_confidence, "max_confidence": max_confidence,
            "feedback": feedback, "since": since and since.isoformat(), "until": until and until.isoformat(),
            "cursor": cursor, "limit": limit,
        }  # fmt: skip
        return self._send("GET", "/v1/predictions", PredictionsAnswer, params=params_of(options))

    def prediction_image(self, id_: str, *, size: int | None = None) -> bytes:
        """The kept image of a prediction, as PNG or JPEG; with `size`, a JPEG of at most that many pixels an edge."""
        return self._request("GET", f"/v1/predictions/{id_}/image", params=params_of({"size": size})).content

    def remove_feedback(self, prediction_id: str) -> None:
        """Take back what was said of a prediction with the same key."""
        self._request("DELETE", f"/v1/predictions/{prediction_id}/feedback")

    def queue(self, task: str, *, limit: int | None = None) -> QueueAnswer:
        """The predictions that were chosen to be labelled and wait for it."""
        return self._send("GET", "/v1/queue", QueueAnswer, params=params_of({"task": task, "limit": limit}))

    def fill_queue(self, task: str, *, limit: int | None = None) -> QueueAnswer:
        """As `queue`, and chooses those most useful to label until `limit` wait, within the day's budget."""
        return self._send("POST", "/v1/queue", QueueAnswer, params=params_of({"task": task, "limit": limit}))
