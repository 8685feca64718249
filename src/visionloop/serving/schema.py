"""The API's answers and bodies as types: for the OpenAPI document, for the client, for the tests.

The service builds plain dictionaries of these shapes, which costs less than building the types.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, field_validator


class Shape(BaseModel):
    """Base of answers: they may get more fields."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)


class ProblemBody(Shape):
    """A refusal (RFC 9457)."""

    type: str
    """`urn:visionloop:problem:` and the code."""
    title: str
    """The status in words."""
    status: int
    """HTTP status."""
    detail: str
    """What was wrong."""
    code: str
    """Stable reason."""
    where: str
    """Part of the request concerned."""
    expected: str
    """What would have been accepted."""
    action: str
    """What to do."""


class Scored(Shape):
    """A class with its score."""

    class_name: str = Field(alias="class")
    """Name."""
    class_id: int
    """Position among the model's classes, from 0."""
    score: float
    """Calibrated probability (classification) or score (detection), in [0, 1]."""


class Box(Scored):
    """A found object."""

    box_xyxy: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the upright image."""


class ImageSize(Shape):
    """Size of the upright image."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""


class PredictionBody(Shape):
    """What the model says of one image. A classifier fills `class`, `class_id`, `score`, `ranked`; a detector
    fills `detections`."""

    id: str
    """By which the prediction is found again, and feedback is given."""
    image: ImageSize
    """The image as it was read."""
    class_name: str | None = Field(default=None, alias="class")
    """Most probable class."""
    class_id: int | None = None
    """Its position among the model's classes."""
    score: float | None = None
    """Its calibrated probability."""
    ranked: list[Scored] | None = None
    """Classes, most probable first."""
    detections: list[Box] | None = None
    """Objects, best first."""


class ModelRef(Shape):
    """The model that answered."""

    task: str
    """The task."""
    name: str
    """Registered name."""
    version: str
    """Registered version."""
    role: Literal["champion", "canary"]
    """What it answered as."""


class Timings(Shape):
    """Milliseconds; of the slowest image where there are several."""

    decode: float
    """Decoding and bringing to size."""
    queue: float
    """Waiting for the model."""
    inference: float
    """The batch it shared: decoding, graph, finishing."""
    total: float
    """From the request's head to the answer."""


class TaskAnswer(Shape):
    """Answer of `/v1/classify` and `/v1/detect`."""

    model: ModelRef
    """Who answered."""
    predictions: list[PredictionBody]
    """One an image, in the order sent."""
    timings_ms: Timings
    """How long it took."""
    request_id: str
    """As in the header X-Request-ID and the logs."""


class PredictAnswer(Shape):
    """Answer of `/v1/predict`."""

    results: dict[str, TaskAnswer]
    """By the task's name."""
    request_id: str
    """As in the header X-Request-ID and the logs."""


class ModelBody(Shape):
    """A model that serves."""

    task: str
    """The task."""
    role: Literal["champion", "canary", "shadow"]
    """What for."""
    share: float
    """Share of the sessions it answers."""
    name: str
    """Registered name."""
    version: str
    """Registered version."""
    digest: str
    """The bundle's identity."""
    classes: list[str]
    """Class names in the order of their ids."""
    input: ImageSize
    """What images are brought to."""
    operating_point: dict[str, Any]
    """Temperature or thresholds."""
    metrics: dict[str, float]
    """On its test split."""
    stopped: str | None = None
    """Why the service took a canary's share away."""


class ModelsAnswer(Shape):
    """Answer of `/v1/models`."""

    models: list[ModelBody]
    """Everything that serves."""
    failures: dict[str, str]
    """What the deployment pointer names and is not served, with the reason."""
    max_image_bytes: int
    """An encoded image may have this many."""


def _storable(text: str) -> str:
    if re.search(_UNSTORABLE, text):
        raise ValueError("the text has the character NUL or half a surrogate pair, which databases do not take")
    return text


_UNSTORABLE = r"[\u0000\ud800-\udfff]"
Text = Annotated[str, AfterValidator(_storable), Field(json_schema_extra={"pattern": r"^[^\u0000]*$"})]
"""Text that any database takes."""


class LabelledBox(BaseModel):
    """A true object."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    class_name: Text = Field(alias="class", min_length=1, max_length=200)
    """Name."""
    box_xyxy: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    """Left, top, right, bottom in pixels of the upright image; right of left, and below top."""

    @field_validator("box_xyxy")
    @classmethod
    def _has_area(cls, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        left, top, right, bottom = box
        if left >= right or top >= bottom:
            raise ValueError(f"the box from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) has no area")
        return box


class FeedbackBody(BaseModel):
    """What a person says of a prediction. Sent again with the same key, it replaces what was said before."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    prediction_id: Text = Field(min_length=1, max_length=64)
    """The prediction's id."""
    verdict: Literal["right", "wrong", "corrected"]
    """`corrected` comes with the label."""
    label: (
        Annotated[Text, Field(min_length=1, max_length=1000)]
        | Annotated[list[LabelledBox], Field(max_length=1000)]
        | None
    ) = None
    """The right class, or the right boxes."""
    note: Text | None = Field(default=None, max_length=2000)
    """Anything else worth saying."""


class FeedbackAnswer(Shape):
    """Answer of `/v1/feedback`."""

    prediction_id: str
    """As sent."""
    verdict: str
    """As sent."""


class StoredFeedback(Shape):
    """What was said of a stored prediction."""

    id: int
    """Its place in the store."""
    prediction_id: str
    """Of the prediction."""
    verdict: Literal["right", "wrong", "corrected"]
    """As sent."""
    label: str | list[LabelledBox] | None
    """The right class or boxes, of a correction."""
    note: str | None
    """As sent."""
    key_id: str | None
    """Whose key said it."""
    created_at: datetime
    """When."""


class StoredPrediction(Shape):
    """Answer of `/v1/predictions/{id}`."""

    id: str
    """As in the answer it came with."""
    created_at: datetime
    """When it was answered."""
    task: str
    """The task."""
    model: str
    """Registered name of the model that answered."""
    version: str
    """Its registered version."""
    digest: str
    """Its bundle's identity."""
    variant: Literal["champion", "canary", "shadow"]
    """What it answered as."""
    request_id: str
    """Of the request, which may have had several images."""
    key_id: str | None
    """Whose key asked."""
    image_sha256: str
    """Of the encoded image."""
    width: int
    """Pixels of the upright image."""
    height: int
    """Pixels of the upright image."""
    image_bytes: int
    """Size of the encoded image."""
    result: PredictionBody
    """The prediction at the model's operating point, whatever the request asked for."""
    top_class: str | None
    """The class with the highest score; null where nothing was found."""
    confidence: float | None
    """Its score."""
    features: dict[str, Any] | None
    """Figures of the image by which drift is seen."""
    latency_ms: float
    """Milliseconds the answer took."""
    feedback: list[StoredFeedback]
    """Oldest first; one for each key."""


class ExplainAnswer(Shape):
    """Answer of `/v1/explain` where `Accept` prefers JSON."""

    task: str
    """The task."""
    model: ModelRef
    """Whose answer is explained."""
    prediction: dict[str, Any]
    """The prediction that is explained, as the task's own route gives it."""
    grid: list[list[float]] = Field(max_length=32)
    """Heat of the upright image from 0 (nothing rests on it) to 1 (most does), rows from the top; at most 32 x 32."""


class FrameAnswer(Shape):
    """A message of `/v1/stream`: the answer to one frame, with `prediction` or `problem`."""

    frame: int
    """The frame's place in the stream, from 1."""
    dropped: int
    """Frames given up so far, because newer ones came before there was time for them."""
    model: ModelRef | None = None
    """The model that answered."""
    prediction: dict[str, Any] | None = None
    """As in a request's answer, without `id`: frames are not kept."""
    ms: float | None = None
    """Milliseconds in the queue and the model."""
    problem: ProblemBody | None = None
    """Why this frame has no prediction."""


class BatchAnswer(Shape):
    """A batch job, of `/v1/batches`."""

    id: str
    """By which it is asked about."""
    task: str
    """Whose model answers."""
    status: Literal["waiting", "running", "done", "failed", "cancelled"]
    """How it stands."""
    total: int
    """Images."""
    done: int
    """Images that have a row in the result."""
    failures: int
    """Of these, images without a prediction."""
    skipped: int
    """Files of the archive that are no images by their suffix."""
    created_at: float
    """Seconds since 1970, as the two below."""
    started_at: float | None = None
    """When the first image was asked about."""
    finished_at: float | None = None
    """When nothing was left to do."""
    images_per_s: float | None = None
    """Since a worker took it, or took it over."""
    eta_s: float | None = None
    """Seconds it will take at this rate, while it runs."""
    models: list[str] = []
    """Name and version of every model that answered."""
    error: str | None = None
    """Why it failed."""
    url: str
    """Where it is asked about, relative to the service."""
