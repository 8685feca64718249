"""Live frames over a WebSocket: answered in order, the oldest dropped when the model is behind."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, NamedTuple

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from visionloop.core.errors import ImageError
from visionloop.serving.caller import session_of
from visionloop.serving.live import Job
from visionloop.serving.models import Fleet, model_ref
from visionloop.serving.options import PredictOptions, parse_options
from visionloop.serving.problems import Problem, image_problem
from visionloop.serving.settings import ServingSettings

_WAITING = 2
"""Frames that wait while one is answered: enough to keep the model busy, few enough to stay live."""


class _Frame(NamedTuple):
    number: int
    data: bytes


class FrameQueue:
    """The latest frames; an older one gives way.

    Attributes:
        dropped: Frames given up so far.
    """

    def __init__(self, size: int = _WAITING) -> None:
        self._frames: deque[_Frame] = deque()
        self._size = size
        self._filled = asyncio.Event()
        self._count = 0
        self._closed = False
        self.dropped = 0

    def put(self, data: bytes) -> None:
        """Take a frame; its number is its place in the stream, from 1."""
        self._count += 1
        if len(self._frames) == self._size:
            self._frames.popleft()
            self.dropped += 1
        self._frames.append(_Frame(self._count, data))
        self._filled.set()

    def close(self) -> None:
        """No more frames come; those that wait are still given out."""
        self._closed = True
        self._filled.set()

    async def get(self) -> _Frame | None:
        """The oldest frame that waits, or None after the last."""
        while not self._frames:
            if self._closed:
                return None
            self._filled.clear()
            await self._filled.wait()
        return self._frames.popleft()


class Stream:
    """The route `/v1/stream?task=...`.

    A client sends encoded images as binary messages. For each frame that is not dropped it gets a text message:
    `frame` (its number), `dropped` (frames given up so far), and `model` with `prediction`, or `problem`.
    Frames are not kept in the prediction store.
    """

    def __init__(self, fleet: Fleet, settings: ServingSettings) -> None:
        self._fleet = fleet
        self._limit = int(settings.upload.max_image_mb * 1e6)

    async def serve(self, socket: WebSocket) -> None:
        """One connection, until either side ends it."""
        await socket.accept()
        try:
            task, options = self._asked(socket)
        except Problem as problem:
            await socket.send_text(_text({"problem": problem.document()}))
            await socket.close(1008, problem.code)
            return
        queue = FrameQueue()
        reader = asyncio.create_task(self._read(socket, queue))
        try:
            while (frame := await queue.get()) is not None:
                answer = await self._answer(task, frame, options, session_of(socket))
                await socket.send_text(_text({"frame": frame.number, "dropped": queue.dropped, **answer}))
        except (WebSocketDisconnect, RuntimeError):
            pass  # gone in mid-answer; nobody is left to be told
        finally:
            reader.cancel()
        if socket.application_state is WebSocketState.CONNECTED and socket.client_state is WebSocketState.CONNECTED:
            await socket.close()

    def _asked(self, socket: WebSocket) -> tuple[str, PredictOptions]:
        query = dict(socket.query_params)
        task = query.pop("task", None)
        return self._fleet.deployed_task(task), parse_options(query, {})

    async def _read(self, socket: WebSocket, queue: FrameQueue) -> None:
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                data = message.get("bytes")
                # Text is no image; the decoder would say so, and so does an empty frame's answer.
                queue.put(data if data is not None and len(data) <= self._limit else b"")
        finally:
            queue.close()

    async def _answer(self, task: str, frame: _Frame, options: PredictOptions, session: str) -> dict[str, Any]:
        try:
            live = self._fleet.lineup(task).choose(session)
            (served,) = await live.answer([Job(frame.data, f"frame {frame.number}")])
        except ImageError as error:
            return {"problem": image_problem(error).document()}
        except Problem as problem:
            return {"problem": problem.document()}
        live.meters.images.inc()
        record = served.value.prediction.to_record(
            live.predictor.classes, top_k=options.top_k, threshold=options.threshold
        )
        return {
            "model": model_ref(task, live),
            "prediction": {"image": served.value.size, **record},
            "ms": round(1000 * (served.queue_s + served.work_s), 3),
        }


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
