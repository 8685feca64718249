"""Multipart bodies made by hand, and how they are read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.requests import Request

from visionloop.serving.problems import Problem
from visionloop.serving.settings import UploadSettings
from visionloop.serving.upload import Upload, read_upload

BOUNDARY = b"----boundary7MA4YWxkTrZu0gW"
FORM = f"multipart/form-data; boundary={BOUNDARY.decode()}"
OPTIONS = frozenset({"threshold", "model"})
SMALL = UploadSettings(max_image_mb=0.01, max_request_mb=0.05, max_images=3)
# Line ends and near-boundaries that a careless parser would cut at.
PICTURE = b"\xff\xd8\r\n--\r\n" + BOUNDARY[:10] + b"\r\n--" + BOUNDARY[:-1] + b"\r\n\r\n\x00\xff\xd9\r"


def part(disposition: bytes, value: bytes, *headers: bytes) -> bytes:
    lines = [b"Content-Disposition: form-data" + disposition, *headers]
    return b"--" + BOUNDARY + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + value + b"\r\n"


def file(value: bytes, field: bytes = b"image", filename: bytes = b"a.jpg") -> bytes:
    return part(b'; name="' + field + b'"; filename="' + filename + b'"', value, b"Content-Type: image/jpeg")


def text(field: bytes, value: bytes = b"1") -> bytes:
    return part(b'; name="' + field + b'"', value)


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


class Body:
    """A request body that arrives in the given chunks, each after `delay_s`."""

    def __init__(self, chunks: Iterable[bytes], *, delay_s: float = 0.0, disconnects: bool = False) -> None:
        self.chunks = iter(chunks)
        self.delay_s = delay_s
        self.disconnects = disconnects
        self.num_read = 0

    async def receive(self) -> dict[str, Any]:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        for chunk in self.chunks:
            self.num_read += len(chunk)
            return {"type": "http.request", "body": chunk, "more_body": True}
        if self.disconnects:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}


def read(
    body: bytes | Body,
    content_type: str | None = FORM,
    settings: UploadSettings = SMALL,
    options: frozenset[str] = OPTIONS,
    length: str | None = None,
) -> Upload:
    arriving = body if isinstance(body, Body) else Body([body])
    headers = [] if content_type is None else [(b"content-type", content_type.encode("latin-1"))]
    if length is not None:
        headers.append((b"content-length", length.encode()))
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    return asyncio.run(read_upload(Request(scope, arriving.receive), settings, options=options))


def refusal(*args: Any, **kwargs: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        read(*args, **kwargs)
    problem = caught.value
    assert problem.what and problem.where and problem.expected and problem.action
    json.dumps(problem.document(), ensure_ascii=False).encode("utf-8")
    return problem


def summary(problem: Problem) -> tuple[int, str]:
    return problem.status, problem.code
