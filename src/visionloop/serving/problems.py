"""Answers of the API as JSON, and refusals as problem documents (RFC 9457) with the four facts of our errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import JSONResponse, Response

from visionloop.core.errors import ImageError
from visionloop.serving.refused import Refusal

MEDIA_TYPE = "application/problem+json"

# Status and code of each code of `ImageError`: not readable, not this format, or readable and refused.
_IMAGE_PROBLEMS = {
    "empty": (400, "image_empty"),
    "truncated": (400, "image_truncated"),
    "unsupported_format": (415, "image_unsupported_format"),
    "animated": (422, "image_animated"),
    "too_large": (422, "image_too_many_pixels"),
    "too_small": (422, "image_too_small"),
}


class Problem(Refusal):
    """A refusal of the service's."""

    def document(self) -> dict[str, Any]:
        """The RFC 9457 document; `where`, `expected` and `action` are its extension members."""
        return {
            "type": f"urn:visionloop:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.what,
            "code": self.code,
            "where": self.where,
            "expected": self.expected,
            "action": self.action,
        }


def image_problem(error: ImageError) -> Problem:
    """The problem for bytes that are not an accepted image."""
    status, code = _IMAGE_PROBLEMS[error.code]
    return Problem(status, code, error.what, where=error.where, expected=error.expected, action=error.action)


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The problem as a response."""
    sent = dict(headers or {})
    if problem.retry_after is not None:
        sent["Retry-After"] = str(max(1, math.ceil(problem.retry_after)))
    return JSONResponse(problem.document(), problem.status, sent, media_type=MEDIA_TYPE)


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as a JSON response."""
    return Response(orjson.dumps(value), status, headers, media_type="application/json")
