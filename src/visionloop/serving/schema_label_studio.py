"""Types of the routes that Label Studio calls; see `schema`. It sends more than is used, and may send more to come."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from visionloop.serving.schema import Shape


class LabelStudioTask(BaseModel):
    """A task, as Label Studio sends it."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    data: dict[str, Any]
    """With `prediction_id`, where `visionloop label export` made the task; else with a data URI under the image's key.
    """


class LabelStudioPredictBody(BaseModel):
    """A request for pre-annotations."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    tasks: list[LabelStudioTask] = Field(min_length=1, max_length=1000)
    """What is to be pre-annotated."""
    label_config: str = Field(max_length=1_000_000)
    """The project's labelling configuration (XML)."""


class LabelStudioSetupBody(BaseModel):
    """A project that wants to use the service."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    label_config: str = Field(alias="schema", max_length=1_000_000)
    """The project's labelling configuration (XML)."""


class LabelStudioPrediction(Shape):
    """A task's pre-annotation."""

    result: list[dict[str, Any]]
    """Label Studio's results, of the type `choices` or `rectanglelabels`; empty where nothing was found."""
    score: float | None
    """The class's probability, or the mean of the boxes'."""
    model_version: str
    """Name and version of the model."""


class LabelStudioPredictAnswer(Shape):
    """Answer of `/label-studio/predict`."""

    results: list[LabelStudioPrediction]
    """One a task, in order."""
    model_version: str
    """Name and version of the model."""


class LabelStudioSetupAnswer(Shape):
    """Answer of `/label-studio/setup`."""

    model_version: str
    """Name and version of the model that fits the project."""


class LabelStudioHealthAnswer(Shape):
    """Answer of `/label-studio/health`."""

    status: str
    """`UP`."""
    model_class: str
    """What answers."""
