"""The client's side of `/v1/stream`: frames go out in a thread of their own while answers come in."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Mapping

import httpx
import httpx_ws
from wsproto.utilities import LocalProtocolError

from visionloop.serving.client.errors import from_problem, refused, unreachable
from visionloop.serving.schema import FrameAnswer

_LOOK_S = 0.05
"""Seconds between looks at whether the last frame has been sent."""


class _Sender(threading.Thread):
    """Sends frames until there are no more, or nobody listens.

    Attributes:
        sent: Frames sent so far.
        since: When the latest was, by the monotonic clock.
        finished: Whether no more will be.
        error: What the frames raised.
        cut: Whether the connection had ended; what is received says why.
    """

    def __init__(self, socket: httpx_ws.WebSocketSession, frames: Iterable[bytes]) -> None:
        # A daemon: frames of a camera may never end.
        super().__init__(name="frames", daemon=True)
        self._socket, self._frames = socket, frames
        self._ended = threading.Event()
        self.sent, self.since, self.finished = 0, time.monotonic(), False
        self.error: Exception | None = None
        self.cut = False

    def stop(self) -> None:
        """Send no more."""
        self._ended.set()

    def run(self) -> None:
        """Send."""
        try:
            for frame in self._frames:
                if self._ended.is_set():
                    break
                self._socket.send_bytes(frame)
                self.since = time.monotonic()
                self.sent += 1
        except (httpx_ws.HTTPXWSException, LocalProtocolError):
            self.cut = True
        except Exception as error:
            self.error = error
        finally:
            self.finished = True


def stream(
    client: httpx.Client, frames: Iterable[bytes], params: Mapping[str, str], *, timeout_s: float
) -> Iterator[FrameAnswer]:
    """Answers to the frames, in order, until that to the last.

    Args:
        client: Knows the service's address and key; reads refusals when they come (`read_refusal`).
        frames: Encoded images.
        params: Task and options.
        timeout_s: Seconds to wait for an answer while one is owed.

    Raises:
        ApiError: the service refuses the stream, or is not there any more.
        Exception: what `frames` raised.
    """
    where = str(client.base_url.join("/v1/stream"))
    socket: httpx_ws.WebSocketSession
    try:
        with httpx_ws.connect_ws("/v1/stream", client, params=dict(params)) as socket:
            sender = _Sender(socket, frames)
            sender.start()
            try:
                yield from _answers(socket, sender, timeout_s, where)
            finally:
                sender.stop()
    except httpx_ws.WebSocketUpgradeError as error:
        raise refused(error.response) from None
    except (httpx.HTTPError, httpx_ws.HTTPXWSException) as error:
        raise unreachable(where, error) from None


def _answers(socket: httpx_ws.WebSocketSession, sender: _Sender, timeout_s: float, where: str) -> Iterator[FrameAnswer]:
    answered, heard = 0, time.monotonic()
    # The last frame is never dropped, so that its answer is the last.
    while sender.cut or not (sender.finished and answered >= sender.sent):
        try:
            message = json.loads(socket.receive_text(timeout=_LOOK_S))
        except queue.Empty:
            if (sender.cut or answered < sender.sent) and time.monotonic() - max(heard, sender.since) > timeout_s:
                raise unreachable(where, TimeoutError()) from None
            continue
        heard = time.monotonic()
        if "frame" not in message:
            raise from_problem(message.get("problem", {}), status=503, what="refused", where=where)
        answer = FrameAnswer.model_validate(message)
        yield answer
        answered, heard = answer.frame, time.monotonic()
    if sender.error is not None:
        raise sender.error
