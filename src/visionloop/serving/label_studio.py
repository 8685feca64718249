"""What Label Studio asks of an ML backend: `health`, `setup`, `predict`, as its own client calls them.

An image is never fetched by URL: it comes as a data URI, or it is one the service has kept, named by the id of its
prediction as `visionloop label export` does. Answers are not recorded: a labeller's look is no traffic.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from visionloop.monitoring.exchange.label_studio import Control, read_config, results
from visionloop.serving.json_body import read_json
from visionloop.serving.live import Job, LiveModel
from visionloop.serving.memory import Memory, unknown_prediction
from visionloop.serving.models import Fleet
from visionloop.serving.problems import Problem, json_answer
from visionloop.serving.refusals import image_too_many_bytes, nothing_serves
from visionloop.serving.schema_label_studio import LabelStudioPredictBody, LabelStudioSetupBody
from visionloop.serving.settings import ServingSettings

_Body = TypeVar("_Body", bound=BaseModel)


class _Fit(NamedTuple):
    """A control of the project, and the model that answers it."""

    control: Control
    live: LiveModel

    @property
    def version(self) -> str:
        return f"{self.live.variant.model} {self.live.variant.version}"


class LabelStudio:
    """The routes.

    Args:
        memory: Has the kept images.
        fleet: The models; champions answer.
        settings: Limits of a request.
    """

    def __init__(self, memory: Memory, fleet: Fleet, settings: ServingSettings) -> None:
        self._memory, self._fleet, self._settings = memory, fleet, settings

    async def health(self, _: Request) -> Response:
        """That the service is there."""
        return json_answer({"status": "UP", "model_class": "visionloop"})

    async def setup(self, request: Request) -> Response:
        """The model that fits a project.

        Raises:
            Problem: the project's labelling configuration fits none, or the body is another.
        """
        body = await self._read(request, LabelStudioSetupBody)
        return json_answer({"model_version": self._fit(body.label_config).version})

    async def predict(self, request: Request) -> Response:
        """Pre-annotations of tasks.

        Raises:
            Problem, ImageError: one of them cannot be answered; none is then.
            StoreError: the store cannot be read.
        """
        body = await self._read(request, LabelStudioPredictBody)
        fit = self._fit(body.label_config)
        found: list[dict[str, Any]] = []
        size = self._settings.batching.max_batch
        for start in range(0, len(body.tasks), size):
            # In groups, so that a long list of tasks neither fills the queue nor lies in memory decoded.
            group = list(enumerate(body.tasks[start : start + size], start + 1))
            jobs = [await self._job(_place(task, place), task.data, fit.control.value) for place, task in group]
            found += await self._answer(fit, jobs)
        return json_answer({"results": found, "model_version": fit.version})

    async def _answer(self, fit: _Fit, jobs: list[Job]) -> list[dict[str, Any]]:
        answers = []
        for served in await fit.live.answer(jobs):
            size, record = served.value.size, served.value.record
            result, score = results(
                record, size["width"], size["height"], from_name=fit.control.from_name, to_name=fit.control.to_name,
                classes=fit.control.classes,
            )  # fmt: skip
            answers.append({"result": result, "score": score, "model_version": fit.version})
        return answers

    async def _read(self, request: Request, cls: type[_Body]) -> _Body:
        upload = self._settings.upload
        body = await read_json(request, upload.body_timeout_s, max_bytes=int(upload.max_request_mb * 1e6))
        try:
            return await asyncio.to_thread(cls.model_validate, body)
        except ValidationError as error:
            first = error.errors()[0]
            raise Problem(
                422,
                "bad_task",
                first["msg"],
                where=".".join(map(str, first["loc"])) or "body",
                expected=f"see {cls.__name__} in /openapi.json: what Label Studio sends",
                action="connect Label Studio's ML backend to /label-studio",
            ) from None

    def _fit(self, label_config: str) -> _Fit:
        try:
            controls = read_config(label_config)
        except ValueError as error:
            raise _unfit(str(error), "the project's labelling configuration in XML") from None
        if not self._fleet.lineups:
            raise nothing_serves("deployment", dict(self._fleet.failures))
        models = [lineup.champion for _, lineup in sorted(self._fleet.lineups.items())]
        wanted = []
        for live in models:
            predictor = live.predictor
            for control in controls:
                # The project that was made for this task shares its classes; any of them is enough to be of help.
                shared = len(set(control.classes) & set(predictor.classes))
                if control.boxes == predictor.task.requirements.boxes and shared:
                    wanted.append((shared, _Fit(control, live)))
        if not wanted:
            known = "; ".join(
                f"{'RectangleLabels' if live.predictor.task.requirements.boxes else 'Choices'} with "
                + ", ".join(live.predictor.classes[:10])
                for live in models
            )
            raise _unfit("no control of an Image asks what a deployed model answers", known)
        return max(wanted, key=lambda found: found[0])[1]

    # -- images

    async def _job(self, place: str, data: Mapping[str, Any], key: str) -> Job:
        id_ = data.get("prediction_id")
        if isinstance(id_, str) and "\0" not in id_:
            return Job(await asyncio.to_thread(self._kept, place, id_, data.get("image_sha256")), place)
        value = data.get(key)
        if isinstance(value, str) and value.startswith("data:"):
            return Job(_decoded(place, value, self._settings.upload.max_image_mb), place)
        raise Problem(
            422,
            "images_by_url",
            f"the task's {key!r:.60} is no image; this service never fetches one by URL",
            where=place,
            expected="a task of `visionloop label export` (data.prediction_id), or a data URI",
            action="import tasks that `visionloop label export` wrote, or embed the images",
        )

    def _kept(self, place: str, id_: str, sha256: Any) -> bytes:
        found = self._memory.require_store().prediction(id_)
        if found is None or sha256 not in (None, found["image_sha256"]):
            raise unknown_prediction(id_)
        path = self._memory.image_path(found["image_sha256"])
        try:
            if path is not None:
                return path.read_bytes()
        except FileNotFoundError:
            pass  # removed since
        raise Problem(
            404,
            "image_not_kept",
            "the image of this task's prediction is not kept",
            where=place,
            expected="a prediction whose image is kept",
            action="leave the task out, or import it with its image embedded and without prediction_id",
        )


def _decoded(place: str, uri: str, max_mb: float) -> bytes:
    head, _, text = uri.partition(",")
    if len(text) * 3 / 4 > max_mb * 1e6 + 4:
        raise image_too_many_bytes(max_mb, place)
    try:
        if not head.endswith(";base64"):
            raise ValueError("it is not in base64")
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(
            422,
            "bad_task",
            f"the data URI cannot be read ({error})",
            where=place,
            expected="data:image/png;base64,...",
            action="embed the image anew",
        ) from None


def _place(task: BaseModel, number: int) -> str:
    id_ = (task.model_extra or {}).get("id")
    return f"task {id_ if isinstance(id_, int) else f'number {number}'}"


def _unfit(what: str, expected: str) -> Problem:
    return Problem(
        422,
        "unfit_label_config",
        what,
        where="labelling configuration",
        expected=expected,
        action="take the labelling.xml that `visionloop label export` writes",
    )
