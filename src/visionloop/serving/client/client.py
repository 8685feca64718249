"""The client of the HTTP API."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from visionloop.serving.client.errors import ApiError, read_refusal, refused, unreachable
from visionloop.serving.client.files import ImageInput, encoded, open_archive
from visionloop.serving.client.monitoring import MonitoringCalls
from visionloop.serving.client.options import Shape, params_of
from visionloop.serving.client.review import ReviewCalls
from visionloop.serving.schema import (
    BatchAnswer,
    ExplainAnswer,
    FrameAnswer,
    ModelsAnswer,
    PredictAnswer,
    TaskAnswer,
)
from visionloop.serving.schema_report import ReportAnswer
from visionloop.serving.schema_review import ChangeAnswer, HistoryAnswer

_WORTH_RETRYING = frozenset({429, 503})


class Client(ReviewCalls, MonitoringCalls):
    """Connections to one service; close it, or use it in a `with`. Threads may share one.

    Every method raises `ApiError` where the service refuses or does not answer.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        session: str | None = None,
        timeout_s: float = 30.0,
        retries: int = 2,
        max_wait_s: float = 10.0,
        verify: bool | ssl.SSLContext = True,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare a client; nothing is asked yet.

        Args:
            url: The service, such as `http://127.0.0.1:3000`.
            key: An API key, where the service asks for one.
            session: A name by which a canary always gives this client the same model.
            timeout_s: Seconds to wait for an answer.
            retries: Times a request is sent again that was refused as too many (429) or too early (503) with a
                `Retry-After`, which is waited for. Other refusals, and lost connections, are never retried.
            max_wait_s: Longest `Retry-After` that is waited for; beyond it the refusal is raised at once.
            verify: Whether and how a certificate is checked; `ssl.create_default_context(cafile=...)` trusts your own.
            transport: Another way to the service than a socket, for tests and proxies.
            sleep: Waits that many seconds.
        """
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if session:
            headers["X-Session-ID"] = session
        self._timeout_s, self._retries, self._max_wait_s, self._sleep = timeout_s, retries, max_wait_s, sleep
        self._http = httpx.Client(
            base_url=url,
            headers=headers,
            timeout=timeout_s,
            verify=verify,
            transport=transport,
            event_hooks={"response": [read_refusal]},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # -- predictions

    def classify(
        self, *images: ImageInput, top_k: int | None = None, threshold: float | None = None, store: bool | None = None
    ) -> TaskAnswer:
        """The deployed classifier's answer.

        Args:
            images: Encoded bytes, or files' paths; one prediction comes back for each, in order.
            top_k: Most classes in a prediction, 1 to 1000.
            threshold: Lowest score of a class, 0 to 1.
            store: Whether the images are kept; by default as the service is configured.

        Raises:
            ApiError: refused or unreachable.
            VisionloopError: a file cannot be read.
        """
        return self.ask("classify", images, top_k=top_k, threshold=threshold, store=store)

    def detect(
        self, *images: ImageInput, top_k: int | None = None, threshold: float | None = None, store: bool | None = None
    ) -> TaskAnswer:
        """The deployed detector's answer; as `classify`, of boxes. `threshold` is by default the operating point."""
        return self.ask("detect", images, top_k=top_k, threshold=threshold, store=store)

    def ask(
        self,
        verb: str,
        images: Sequence[ImageInput],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        store: bool | None = None,
    ) -> TaskAnswer:
        """Any task's answer, by its verb; as `classify`."""
        options = {"top_k": top_k, "threshold": threshold, "store": store}
        return self._send("POST", f"/v1/{verb}", TaskAnswer, files=_files(images), params=params_of(options))

    def predict(
        self, *images: ImageInput, top_k: int | None = None, threshold: float | None = None, store: bool | None = None
    ) -> PredictAnswer:
        """The answers of every deployed task; as `classify`."""
        options = {"top_k": top_k, "threshold": threshold, "store": store}
        return self._send("POST", "/v1/predict", PredictAnswer, files=_files(images), params=params_of(options))

    def explain(self, image: ImageInput, task: str | None = None) -> bytes:
        """A PNG of the image, as large (at most 4 megapixels), its parts coloured that the task's answer rests on.

        Args:
            image: One image.
            task: Whose answer, such as `detection`; needed where several tasks are deployed.

        Raises:
            ApiError: refused or unreachable.
        """
        return self._explain(image, task, "image/png").content

    def explain_grid(self, image: ImageInput, task: str | None = None) -> ExplainAnswer:
        """As `explain`, in numbers: a grid of heat from 0 to 1, with the prediction."""
        return ExplainAnswer.model_validate(self._explain(image, task, "application/json").json())

    def stream(
        self,
        frames: Iterable[bytes],
        *,
        task: str | None = None,
        top_k: int | None = None,
        threshold: float | None = None,
    ) -> Iterator[FrameAnswer]:
        """Answers to live frames, in order, while they are sent.

        Frames are taken and sent as fast as they come. When the service is behind it drops the oldest that wait, so
        that an answer is never of long ago; `dropped` counts them. For images that all need an answer use `classify`,
        `detect` or `submit_batch`.

        Args:
            frames: Encoded images; the stream ends with the answer to the last. Taken in a thread of its own.
            task: Whose model; needed where several tasks are deployed.
            top_k: As in a request.
            threshold: As in a request.

        Raises:
            ApiError: refused or unreachable; a frame that is refused is an answer with its `problem`.
        """
        from visionloop.serving.client.frames import stream

        options = {"task": task, "top_k": top_k, "threshold": threshold}
        return stream(self._http, frames, params_of(options), timeout_s=self._timeout_s)

    # -- batches

    def submit_batch(
        self,
        path_or_paths: str | Path | Sequence[str | Path],
        *,
        task: str | None = None,
        top_k: int | None = None,
        threshold: float | None = None,
        store: bool | None = None,
    ) -> BatchAnswer:
        """Have many images asked about in the background.

        Args:
            path_or_paths: A zip archive, a folder of images, or images.
            task: Whose model answers; needed where several are deployed.
            top_k: As in a request.
            threshold: As in a request.
            store: As in a request.

        Raises:
            ApiError: refused or unreachable.
            VisionloopError: a file cannot be read.
        """
        params = params_of({"task": task, "top_k": top_k, "threshold": threshold, "store": store})
        with open_archive(path_or_paths) as file:
            headers = {"Content-Type": "application/zip"}
            return self._send("POST", "/v1/batches", BatchAnswer, content=file, params=params, headers=headers)

    def batch(self, id_: str) -> BatchAnswer:
        """How a batch stands."""
        return self._send("GET", f"/v1/batches/{id_}", BatchAnswer)

    def wait_batch(self, id_: str, *, timeout_s: float | None = None, poll_s: float = 1.0) -> BatchAnswer:
        """The batch once it is done, failed or cancelled.

        Args:
            id_: From `submit_batch`.
            timeout_s: Seconds to wait at most; for ever where None.
            poll_s: Seconds between questions.

        Raises:
            TimeoutError: it is not finished by then; it goes on.
        """
        limit = None if timeout_s is None else time.monotonic() + timeout_s
        while (batch := self.batch(id_)).status in ("waiting", "running"):
            if limit is not None and time.monotonic() >= limit:
                raise TimeoutError(f"batch {id_} is {batch.status} after {timeout_s:g} s")
            self._sleep(poll_s)
        return batch

    def batch_result(self, id_: str, form: Literal["csv", "json", "coco"] = "csv") -> str:
        """A batch's rows: a table, a line of JSON an image, or COCO results where the model finds boxes."""
        return self._request("GET", f"/v1/batches/{id_}/result", params={"form": form}).text

    def cancel_batch(self, id_: str) -> None:
        """Cancel a batch, or remove a finished one."""
        self._request("DELETE", f"/v1/batches/{id_}")

    # -- service

    def model_history(self) -> HistoryAnswer:
        """Every registered version with its numbers, and every change of a champion."""
        return self._send("GET", "/v1/models/history", HistoryAnswer)

    def model_report(self, id_: str) -> ReportAnswer:
        """A version's evaluation and model card; `model_history` has the ids."""
        return self._send("GET", f"/v1/models/reports/{id_}", ReportAnswer)

    def model_report_picture(self, id_: str, name: str) -> bytes:
        """The picture of an example in a report, as PNG or JPEG."""
        return self._request("GET", f"/v1/models/reports/{id_}/examples/{name}").content

    def change_models(
        self,
        action: Literal["promote", "rollback", "canary", "shadow", "stop"],
        model: str,
        *,
        version: str | None = None,
        share: float | None = None,
        why: str | None = None,
        force: bool | None = None,
    ) -> ChangeAnswer:
        """Decide what serves; needs the role admin where keys are asked for, and takes seconds.

        Args:
            action: As `visionloop promote`, `rollback` and `deploy`.
            model: Registered name.
            version: Of `promote`, `canary` and `shadow`; by default the challenger.
            share: Of the sessions, in [0, 1], that a canary answers.
            why: Reason, for the audit.
            force: Promote against the gate.
        """
        body = {"action": action, "model": model, "version": version, "share": share, "why": why, "force": force}
        sent = {name: value for name, value in body.items() if value is not None}
        return self._send("POST", "/v1/models/change", ChangeAnswer, json=sent, timeout=max(self._timeout_s, 200.0))

    def models(self) -> ModelsAnswer:
        """What serves."""
        return self._send("GET", "/v1/models", ModelsAnswer)

    def ready(self) -> bool:
        """Whether the service is there and a model serves; False also where nobody answers."""
        try:
            self._once("GET", "/readyz", {})
        except ApiError as error:
            if error.status in (0, 503):
                return False
            raise
        return True

    def wait_ready(self, timeout_s: float = 60.0, *, poll_s: float = 0.2) -> None:
        """Wait until a model serves.

        Args:
            timeout_s: Seconds to wait at most.
            poll_s: Seconds between questions.

        Raises:
            TimeoutError: none does by then.
        """
        limit = time.monotonic() + timeout_s
        while not self.ready():
            if time.monotonic() >= limit:
                raise TimeoutError(f"{self._http.base_url} is not ready after {timeout_s:g} s")
            self._sleep(poll_s)

    def metrics(self) -> str:
        """Prometheus' text; needs the role admin where keys are asked for."""
        return self._request("GET", "/metrics").text

    # -- plumbing

    def _explain(self, image: ImageInput, task: str | None, accept: str) -> httpx.Response:
        params = params_of({"task": task})
        return self._request("POST", "/v1/explain", files=_files([image]), params=params, headers={"Accept": accept})

    def _send(self, method: str, path: str, shape: type[Shape], **parts: Any) -> Shape:
        return shape.model_validate(self._request(method, path, **parts).json())

    def _request(self, method: str, path: str, **parts: Any) -> httpx.Response:
        left = self._retries
        while True:
            try:
                return self._once(method, path, parts)
            except ApiError as error:
                wait_s = error.retry_after
                if left == 0 or error.status not in _WORTH_RETRYING or wait_s is None or wait_s > self._max_wait_s:
                    raise
            left -= 1
            self._sleep(wait_s)

    def _once(self, method: str, path: str, parts: Mapping[str, Any]) -> httpx.Response:
        body = parts.get("content")
        if body is not None:
            body.seek(0)  # it may have been sent before
        try:
            response = self._http.request(method, path, **parts)
        except httpx.HTTPError as error:
            raise unreachable(str(self._http.base_url), error) from None
        if response.is_error:
            raise refused(response)
        return response


def _files(images: Sequence[ImageInput]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("image", ("image", encoded(image))) for image in images]
