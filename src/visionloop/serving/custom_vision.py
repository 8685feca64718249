"""Azure Custom Vision's prediction API (v3.x) over our models: the vendor's clients work with another endpoint.

Paths, JSON names and error codes are those of the vendor's own Python client,
`azure-cognitiveservices-vision-customvision` 3.1.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from visionloop.serving.answering import Answering
from visionloop.serving.live import Job
from visionloop.serving.models import Fleet, LiveLineup
from visionloop.serving.options import PredictOptions
from visionloop.serving.problems import Problem
from visionloop.serving.refusals import bad_option
from visionloop.serving.settings import UploadSettings
from visionloop.serving.upload import read_upload

ROUTE = "/customvision/{path:path}"
"""The one route of it all; the vendor's paths ignore case, which a router's do not."""

CHAMPION = "champion"
"""The published name that always means whatever serves."""

_PATH = re.compile(
    r"v3\.\d+/prediction/(?P<project>[^/]+)/(?P<verb>classify|detect)/iterations/(?P<published>[^/]+)"
    r"/(?P<source>image|url)(?P<nostore>/nostore)?",
    re.IGNORECASE,
)
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:visionloop:custom-vision")

# The vendor's codes for ours; what is not named here goes by its status.
_VENDOR_CODES = {
    "unknown_iteration": "NotFoundIteration",
    "images_by_url": "BadRequestImageUrl",
    "unsupported_media_type": "UnsupportedMediaType",
    "image_unsupported_format": "BadRequestImageFormat",
    "image_animated": "BadRequestImageFormat",
    "image_truncated": "BadRequestImageFormat",
    "image_empty": "BadRequestImageStream",
    "empty_body": "BadRequestImageStream",
    "missing_image": "BadRequestImageStream",
    "malformed_multipart": "BadRequestImageStream",
    "body_timeout": "BadRequestImageStream",
    "too_many_images": "BadRequestImageExceededCount",
    "bad_option": "BadRequestPredictionInvalidQueryParameters",
    "not_deployed": "ErrorPredictionModelNotFound",
}
_VENDOR_CODES_BY_STATUS = {
    404: "NotFound",
    413: "BadRequestImageSizeBytes",
    422: "BadRequestImageDimensions",
    500: "ErrorUnknown",
    503: "ErrorPredictionServiceUnavailable",
    504: "ErrorPredictionServiceUnavailable",
}
# Under these keys a task's record lists what it found, best first.
_FOUND = ("ranked", "detections")


class CustomVision:
    """Answers the vendor's prediction routes with our models.

    Args:
        answering: Answers images as `/v1/<verb>` does.
        fleet: The models.
        tasks: Task's name by its verb, which is the one in the vendor's paths.
        upload: Limits of a request; here each has one image.
    """

    def __init__(self, answering: Answering, fleet: Fleet, tasks: Mapping[str, str], upload: UploadSettings) -> None:
        self._answering = answering
        self._fleet = fleet
        self._tasks = tasks
        self._upload = upload.model_copy(update={"max_images": 1})

    async def answer(self, request: Request) -> Response:
        """The prediction for the image of a request to `ROUTE`.

        Raises:
            Problem: refused; `refusal` makes the vendor's error of it.
            ImageError: the image is not accepted.
            ClientDisconnect: the client left.
        """
        path = _PATH.fullmatch(request.path_params["path"])
        task = self._tasks.get(path["verb"].lower()) if path else None
        if path is None or task is None:
            raise _unknown_path(request)
        if path["source"].lower() == "url":
            raise _by_url(path)
        lineup = _published(self._fleet.lineup(task), path["published"])
        _check_query(request)
        upload = await read_upload(request, self._upload, options=frozenset())
        jobs = [Job(image.data, image.name) for image in upload.images]
        # The vendor's answers leave nothing out.
        options = PredictOptions.everything(store=False if path["nostore"] else None)
        answer = await self._answering.answer(request, task, lineup, jobs, options)
        digest = next(live.variant.digest for live in lineup.models if live.role == answer["model"]["role"])
        return _json(_image_prediction(answer["predictions"][0], path["project"], digest))


def refusal(problem: Problem) -> Response:
    """A refusal as the vendor's error, `{"code": ..., "message": ...}`; the message holds the four facts."""
    code = _VENDOR_CODES.get(problem.code) or _VENDOR_CODES_BY_STATUS.get(problem.status, "BadRequest")
    message = f"{problem.where}: {problem.what}; expected: {problem.expected}; to do: {problem.action}"
    status = 400 if code.startswith("BadRequest") else problem.status
    retry_after = problem.retry_after
    headers = {} if retry_after is None else {"Retry-After": str(max(1, math.ceil(retry_after)))}
    return _json({"code": code, "message": message}, status, headers)


def _published(lineup: LiveLineup, name: str) -> LiveLineup:
    """What answers under a published name; one that names a version is not answered by a canary.

    Raises:
        Problem: 404 where nothing serves under that name.
    """
    variant = lineup.champion.variant
    exact = f"{variant.model}-{variant.version}"
    if name in (CHAMPION, variant.model):
        return lineup
    if name in (variant.version, exact):
        return LiveLineup(lineup.champion, shadow=lineup.shadow)
    raise Problem(
        404,
        "unknown_iteration",
        f"nothing is published as {name!r:.80}",
        where="published name",
        expected=f"one of {CHAMPION}, {variant.model}, {variant.version}, {exact}",
        action=f"publish under one of these; {CHAMPION} stays right when another version is promoted",
    )


def _check_query(request: Request) -> None:
    unknown = sorted(request.query_params.keys() - {"application"})
    if unknown:
        expected = "application, which is not used, or nothing; /v1 has options"
        raise bad_option(unknown[0], f"there is no parameter {unknown[0]!r:.80}", expected)


def _image_prediction(prediction: Mapping[str, Any], project: str, digest: str) -> dict[str, Any]:
    """The vendor's `ImagePrediction`.

    Args:
        prediction: One of the `predictions` of an answer of ours.
        project: The project asked for.
        digest: Of the bundle that answered.
    """
    iteration = uuid.uuid5(_NAMESPACE, digest)
    size = prediction["image"]
    found = next(prediction[key] for key in _FOUND if key in prediction)
    return {
        "id": str(uuid.UUID(prediction["id"])),
        "project": str(_project_id(project)),
        "iteration": str(iteration),
        "created": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "predictions": [_prediction(entry, iteration, size["width"], size["height"]) for entry in found],
    }


def _project_id(project: str) -> uuid.UUID:
    """There are no projects here: any id is right, and comes back; a name gets an id, for clients parse it."""
    try:
        return uuid.UUID(project)
    except ValueError:
        return uuid.uuid5(_NAMESPACE, project)


def _prediction(entry: Mapping[str, Any], iteration: uuid.UUID, width: int, height: int) -> dict[str, Any]:
    """The vendor's `Prediction` of a class or box in an image of that many pixels."""
    prediction = {
        "probability": entry["score"],
        "tagId": str(uuid.uuid5(iteration, entry["class"])),
        "tagName": entry["class"],
        "tagType": "Regular",
    }
    if "box_xyxy" in entry:
        left, top, right, bottom = entry["box_xyxy"]
        prediction["boundingBox"] = {
            "left": left / width,
            "top": top / height,
            "width": (right - left) / width,
            "height": (bottom - top) / height,
        }
    return prediction


def _by_url(path: re.Match[str]) -> Problem:
    route = path.string[: path.start("source")] + "image" + (path["nostore"] or "")
    return Problem(
        400,
        "images_by_url",
        "this service never fetches images by URL",
        where="route",
        expected="the image itself",
        action=f"fetch the image and POST its bytes to /customvision/{route:.300}",
    )


def _unknown_path(request: Request) -> Problem:
    return Problem(
        404,
        "no_such_route",
        f"POST {request.scope['path'][:200]} is not answered",
        where="request line",
        expected="/customvision/v3.1/Prediction/{projectId}/{classify or detect}/iterations/{publishedName}/image",
        action="correct the path; of the vendor's APIs only prediction is there",
    )


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    # The guard says no-store for /v1 only.
    sent = {"Cache-Control": "no-store", **(headers or {})}
    return Response(orjson.dumps(value), status, sent, media_type="application/json")
