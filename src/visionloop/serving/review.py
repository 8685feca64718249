"""Looking back at predictions: page by page, with their images."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from PIL import Image
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from visionloop.monitoring.store import FeedbackState, PredictionFilter
from visionloop.serving.caller import caller_of
from visionloop.serving.memory import Memory, unknown_prediction
from visionloop.serving.options import parse
from visionloop.serving.problems import Problem, json_answer
from visionloop.serving.refusals import bad_option

_FRESH_S = 10.0
_PATIENCE_S = 0.4
"""Images are written behind the answer's back: one of a fresh prediction is looked for twice, this far apart."""

_MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}
_QUALITY = 85

_NUL = "\0"
"""Not every database takes it, and nothing of ours has it."""
_WITHOUT_NUL = r"^[^\x00]*$"


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)


# Pydantic alone takes a number for the seconds since 1970.
_Moment = Annotated[AwareDatetime, BeforeValidator(datetime.fromisoformat)]


class _PageOptions(_Options):
    task: str | None = Field(default=None, max_length=100, pattern=_WITHOUT_NUL)
    top_class: str | None = Field(default=None, alias="class", max_length=200, pattern=_WITHOUT_NUL)
    min_confidence: float | None = Field(default=None, ge=0, le=1)
    max_confidence: float | None = Field(default=None, ge=0, le=1)
    feedback: FeedbackState | None = None
    since: _Moment | None = None
    until: _Moment | None = None
    cursor: str | None = Field(default=None, max_length=500)
    limit: int = Field(default=50, ge=1, le=200)


class _ImageOptions(_Options):
    size: int | None = Field(default=None, ge=16, le=4096)


_SHARE = "a number from 0 to 1"
_MOMENT = "a time with its zone (ISO 8601), such as 2026-11-21T13:45:00Z; a + is written %2B"
_EXPECTED = {
    "task": "a task's name, such as classification",
    "class": "a class's name",
    "min_confidence": _SHARE,
    "max_confidence": _SHARE,
    "feedback": "one of none, any, right, wrong, corrected",
    "since": _MOMENT,
    "until": _MOMENT,
    "cursor": "the `next` of the page before",
    "limit": "a whole number from 1 to 200",
    "size": "a whole number from 16 to 4096",
}


class Review:
    """Routes for people who check predictions."""

    def __init__(self, memory: Memory) -> None:
        """`memory` has the predictions and their images."""
        self._memory = memory

    async def page(self, request: Request) -> Response:
        """Predictions that fit, newest first.

        Raises:
            Problem: an option is wrong, or predictions are not kept.
            StoreError: the store cannot be read.
        """
        options = parse(_PageOptions, request.query_params, _only(_PageOptions))
        wanted = PredictionFilter(**options.model_dump(exclude={"cursor", "limit"}))
        after = None if options.cursor is None else _read_cursor(options.cursor)
        store = self._memory.require_store()
        # One more than asked for tells whether there is another page.
        rows = await asyncio.to_thread(store.page, wanted, after=after, limit=options.limit + 1)
        shown = rows[: options.limit]
        following = _cursor(shown[-1]) if len(rows) > len(shown) else None
        answer = await asyncio.to_thread(lambda: [self._memory.listed(row) for row in shown])
        return json_answer({"predictions": answer, "next": following})

    async def image(self, request: Request) -> Response:
        """The kept image of a prediction, whole or so large that it fits a square of `size` pixels.

        Raises:
            Problem: unknown, not kept, or an option is wrong.
            StoreError: the store cannot be read.
        """
        options = parse(_ImageOptions, request.query_params, _only(_ImageOptions))
        id_ = request.path_params["id"]
        store = self._memory.require_store()
        found = None if _NUL in id_ else await asyncio.to_thread(store.prediction, id_)
        if found is None:
            raise unknown_prediction(id_)
        path = self._memory.image_path(found["image_sha256"])
        if path is None and (datetime.now(UTC) - found["created_at"]).total_seconds() < _FRESH_S:
            await asyncio.sleep(_PATIENCE_S)
            path = self._memory.image_path(found["image_sha256"])
        if path is None:
            raise _image_not_kept()
        return await asyncio.to_thread(_picture, path, options.size)

    async def take_back(self, request: Request) -> Response:
        """Remove what the caller said of a prediction; 204 also where there was nothing.

        Raises:
            Problem: predictions are not kept.
            StoreError: the store cannot be written.
        """
        remove = self._memory.require_store().remove_feedback
        id_ = request.path_params["id"]
        if _NUL not in id_:
            await asyncio.to_thread(remove, id_, caller_of(request).key_id or None)
        return Response(status_code=204)


def _only(cls: type[BaseModel]) -> dict[str, str]:
    return {field.alias or name: _EXPECTED[field.alias or name] for name, field in cls.model_fields.items()}


def _cursor(row: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([row["created_at"].isoformat(), row["id"]]).encode()).decode()


def _read_cursor(text: str) -> tuple[datetime, str]:
    try:
        moment, id_ = json.loads(base64.urlsafe_b64decode(text))
        place = datetime.fromisoformat(moment), str(id_)
        if place[0].tzinfo is not None and _NUL not in place[1]:
            return place
    except (binascii.Error, ValueError, TypeError):
        pass
    raise bad_option("cursor", "the cursor is none of this service's", _EXPECTED["cursor"])


def _picture(path: Path, size: int | None) -> Response:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise _image_not_kept() from None
    if size is None:
        return Response(data, media_type=_MEDIA_TYPES[path.suffix])
    with Image.open(io.BytesIO(data)) as picture:
        picture.draft("RGB", (size, size))
        picture.thumbnail((size, size))
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "JPEG", quality=_QUALITY)
    return Response(buffer.getvalue(), media_type="image/jpeg")


def _image_not_kept() -> Problem:
    return Problem(
        404,
        "image_not_kept",
        "the image of this prediction is not kept",
        where="prediction id",
        expected="a prediction whose image was kept (option `store`, setting serving.images)",
        action="look at another; images are kept up to `serving.images.max_gb`",
    )
