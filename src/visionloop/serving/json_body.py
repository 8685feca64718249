"""A request's body as JSON."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.requests import Request

from visionloop.serving.bodies import held_body
from visionloop.serving.problems import Problem
from visionloop.serving.refusals import body_too_large, body_too_slow, unsupported_media_type

_MAX_BYTES = 256 * 1024


async def read_json(request: Request, timeout_s: float, *, max_bytes: int = _MAX_BYTES) -> Any:
    """The body, parsed.

    Args:
        request: Whose.
        timeout_s: Seconds within which the body must have arrived.
        max_bytes: It may have; 256 KiB by default.

    Raises:
        Problem: another media type, too large, too slow, too many others at once, or not JSON.
    """
    try:
        async with asyncio.timeout(timeout_s):
            body = await _read(request, max_bytes)
    except TimeoutError:
        raise body_too_slow(timeout_s, "try again over a faster connection") from None
    try:
        # A large one would hold the event loop up.
        return json.loads(body) if len(body) <= _MAX_BYTES else await asyncio.to_thread(json.loads, body)
    except (ValueError, RecursionError):
        raise Problem(
            400,
            "malformed_json",
            "the body is not JSON",
            where="request body",
            expected="a JSON object in UTF-8",
            action="correct the body",
        ) from None


async def _read(request: Request, max_bytes: int) -> bytes:
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise unsupported_media_type(media_type, "application/json", "send the body as JSON")
    body, held = bytearray(), held_body(request)
    async for chunk in request.stream():
        held.take(len(chunk))
        body += chunk
        if len(body) > max_bytes:
            raise body_too_large(max_bytes, "request", "send less")
    return bytes(body)
