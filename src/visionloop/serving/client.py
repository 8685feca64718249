"""A typed client of the API.

with Client("http://127.0.0.1:3000") as client:
    answer = client.classify("photo.jpg")
    print(answer.predictions[0].class_name, answer.predictions[0].score)
    client.feedback(answer.predictions[0].id, "right")
"""

from __future__ import annotations

import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, TypeVar

import httpx
from pydantic import BaseModel

from visionloop.core.errors import VisionloopError
from visionloop.serving.schema import BatchAnswer, FeedbackAnswer, ModelsAnswer, PredictAnswer, TaskAnswer

Shape = TypeVar("Shape", bound=BaseModel)
ImageInput = bytes | str | Path
"""Encoded bytes, or a file's path."""


class ApiError(VisionloopError):
    """The service refused, or did not answer.

    Attributes:
        status: HTTP status; 0 where there was no answer.
        code: The problem document's stable code; `unreachable` where there was no answer.
        retry_after: Seconds to wait before trying again, or None.
    """

    def __init__(
        self, status: int, code: str, what: str, *, where: str, expected: str, action: str, retry_after: float | None
    ) -> None:
        super().__init__(what, where=where, expected=expected, action=action)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class Client:
    """Connections to one service; close it, or use it in a `with`."""

    def __init__(
        self, url: str, *, key: str | None = None, session: str | None = None, timeout_s: float = 30.0
    ) -> None:
        """Prepare a client.

        Args:
            url: The service, such as `http://127.0.0.1:3000`.
            key: An API key, where the service asks for one.
            session: A name by which a canary always gives this client the same model.
            timeout_s: Seconds to wait for an answer.
        """
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if session:
            headers["X-Session-ID"] = session
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def classify(self, *images: ImageInput, **options: Any) -> TaskAnswer:
        """The deployed classifier's answer; options are `top_k`, `threshold`, `store`.

        Raises:
            ApiError: refused or unreachable.
        """
        return self.ask("classify", images, **options)

    def detect(self, *images: ImageInput, **options: Any) -> TaskAnswer:
        """The deployed detector's answer; as `classify`."""
        return self.ask("detect", images, **options)

    def ask(self, verb: str, images: Sequence[ImageInput], **options: Any) -> TaskAnswer:
        """Any task's answer, by its verb."""
        return self._post_images(f"/v1/{verb}", images, options, TaskAnswer)

    def predict(self, *images: ImageInput, **options: Any) -> PredictAnswer:
        """The answers of every deployed task."""
        return self._post_images("/v1/predict", images, options, PredictAnswer)

    def explain(self, image: ImageInput, task: str | None = None) -> bytes:
        """A PNG of the image, as large, with the parts coloured that the task's answer rests on.

        Args:
            image: One image.
            task: Whose answer, such as `detection`; needed where several tasks are deployed.

        Raises:
            ApiError: refused or unreachable.
        """
        files = [("image", ("image", _encoded(image)))]
        params = {"task": task} if task else {}
        return self._request("POST", "/v1/explain", files=files, params=params, headers={"Accept": "image/png"}).content

    def models(self) -> ModelsAnswer:
        """What serves."""
        return self._send("GET", "/v1/models", ModelsAnswer)

    def prediction(self, id_: str) -> dict[str, Any]:
        """An earlier prediction with its feedback."""
        found: dict[str, Any] = self._request("GET", f"/v1/predictions/{id_}").json()
        return found

    def feedback(
        self,
        prediction_id: str,
        verdict: Literal["right", "wrong", "corrected"],
        *,
        label: str | Sequence[dict[str, Any]] | None = None,
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

    def submit_batch(
        self, path_or_paths: str | Path | Sequence[str | Path], *, task: str | None = None, **options: Any
    ) -> BatchAnswer:
        """Have many images asked about in the background.

        Args:
            path_or_paths: A zip archive, a folder of images, or images.
            task: Whose model answers; needed where several are deployed.
            options: `top_k`, `threshold`, `store`.

        Raises:
            ApiError: refused or unreachable.
            VisionloopError: a file cannot be read.
        """
        params = {name: _text(value) for name, value in {"task": task, **options}.items() if value is not None}
        with _archive(path_or_paths) as file:
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
            time.sleep(poll_s)
        return batch

    def batch_result(self, id_: str, form: Literal["csv", "json", "coco"] = "csv") -> str:
        """A batch's rows: a table, a line of JSON an image, or COCO results where the model finds boxes."""
        return self._request("GET", f"/v1/batches/{id_}/result", params={"form": form}).text

    def cancel_batch(self, id_: str) -> None:
        """Cancel a batch, or remove a finished one."""
        self._request("DELETE", f"/v1/batches/{id_}")

    def _post_images(
        self, path: str, images: Sequence[ImageInput], options: dict[str, Any], shape: type[Shape]
    ) -> Shape:
        files = [("image", ("image", _encoded(image))) for image in images]
        params = {name: _text(value) for name, value in options.items() if value is not None}
        return self._send("POST", path, shape, files=files, params=params)

    def _send(self, method: str, path: str, shape: type[Shape], **parts: Any) -> Shape:
        return shape.model_validate(self._request(method, path, **parts).json())

    def _request(self, method: str, path: str, **parts: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **parts)
        except httpx.HTTPError as error:
            raise ApiError(
                0,
                "unreachable",
                f"no answer ({type(error).__name__})",
                where=str(self._http.base_url),
                expected="a visionloop service",
                action="start it with `visionloop serve`, or correct the address",
                retry_after=None,
            ) from None
        if response.is_error:
            raise _refused(response)
        return response


@contextmanager
def _archive(source: str | Path | Sequence[str | Path]) -> Iterator[IO[bytes]]:
    """An open archive: the file itself, or a temporary one of the images."""
    paths = [Path(source)] if isinstance(source, str | Path) else [Path(path) for path in source]
    try:
        if len(paths) == 1 and zipfile.is_zipfile(paths[0]):
            with paths[0].open("rb") as file:
                yield file
            return
        with tempfile.TemporaryFile() as file:
            with zipfile.ZipFile(file, "w", strict_timestamps=False) as archive:
                for path, name in _named(paths):
                    archive.write(path, name)
            file.seek(0)
            yield file
    except OSError as error:
        raise VisionloopError(
            f"a file cannot be read ({error.strerror})",
            where=str(error.filename or paths[0]),
            expected="a zip archive, a folder of images, or images",
            action="correct the path",
        ) from None


def _named(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Files with the names they get in the result: below a folder relative to it, else without folders."""
    for path in paths:
        if path.is_dir():
            yield from ((file, file.relative_to(path).as_posix()) for file in sorted(path.rglob("*")) if file.is_file())
        else:
            yield path, path.name


def _encoded(image: ImageInput) -> bytes:
    if isinstance(image, bytes):
        return image
    try:
        return Path(image).read_bytes()
    except OSError as error:
        raise VisionloopError(
            f"the file cannot be read ({error.strerror})",
            where=str(image),
            expected="an image file",
            action="correct the path",
        ) from None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _refused(response: httpx.Response) -> ApiError:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    problem = problem if isinstance(problem, dict) else {}
    retry = response.headers.get("retry-after", "")
    return ApiError(
        response.status_code,
        problem.get("code", "unknown"),
        problem.get("detail", response.reason_phrase),
        where=problem.get("where", str(response.request.url)),
        expected=problem.get("expected", "an answer"),
        action=problem.get("action", "see the service's log"),
        retry_after=float(retry) if retry.isdigit() else None,
    )
