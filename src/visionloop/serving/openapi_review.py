"""The part of the OpenAPI document about checking predictions, and about deciding what serves."""

from __future__ import annotations

from typing import Any

from visionloop.serving import codes
from visionloop.serving import openapi_parts as parts
from visionloop.serving.examples_review import CHANGE_BODIES
from visionloop.serving.openapi_parts import Option

_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_MOMENT = {"type": "string", "format": "date-time"}
_QUEUE_OPTIONS = (
    parts.OF_TASK,
    Option("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "Most predictions."),
)


def review_paths() -> dict[str, Any]:
    """Operations by path."""
    return {
        "/v1/predictions": {"get": _page()},
        "/v1/predictions/{id}/image": {"get": _image()},
        "/v1/predictions/{id}/feedback": {"delete": _removal()},
        "/v1/queue": {"post": _filled_queue(), "get": _queue()},
        "/v1/models/history": {
            "get": parts.look(
                "history",
                "Service",
                "predict",
                "See every registered version, and every change of a champion",
                "HistoryAnswer",
                description="As of the registry's latest change; empty before the first. What serves: `/v1/models`.",
            )
        },
        "/v1/models/reports/{id}": {
            "get": parts.look(
                "model_report",
                "Service",
                "predict",
                "Read a version's evaluation and model card",
                "ReportAnswer",
                codes.REPORT,
                description="It never changes.",
                path=[parts.ID],
            )
        },
        "/v1/models/reports/{id}/examples/{name}": {"get": _report_picture()},
        "/v1/models/change": {"post": _change()},
    }


def _page() -> dict[str, Any]:
    states = ["none", "any", "right", "wrong", "corrected"]
    return parts.look(
        "predictions",
        "Feedback",
        "feedback",
        "Look through earlier predictions",
        "PredictionsAnswer",
        codes.OPTION,
        codes.KEPT,
        options=[
            Option("task", parts.TEXT, "Of this task."),
            Option("class", parts.TEXT, "With this most confident class."),
            Option("min_confidence", _SHARE, "Least confidence; leaves out what found nothing, as does the next."),
            Option("max_confidence", _SHARE, "Highest confidence."),
            Option("feedback", {"type": "string", "enum": states}, "What was said of it."),
            Option("since", _MOMENT, "Earliest (ISO 8601 with a zone), included."),
            Option("until", _MOMENT, "Latest, excluded."),
            Option("cursor", parts.TEXT, "The `next` of the page before."),
            Option("limit", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}, "Most on a page."),
        ],
    )


def _image() -> dict[str, Any]:
    operation = parts.operation(
        "prediction_image",
        "Feedback",
        "feedback",
        "Fetch the kept image of a prediction",
        {"image/png": {"schema": parts.BINARY}, "image/jpeg": {"schema": parts.BINARY}},
        codes.OPTION,
        codes.STORE,
        codes.PICTURE,
    )
    size = {"type": "integer", "minimum": 16, "maximum": 4096}
    options = [Option("size", size, "Longest edge of a smaller one, in pixels; by default as it was kept.")]
    return {**operation, "parameters": [parts.ID, *parts.parameters(options)]}


def _removal() -> dict[str, Any]:
    operation = parts.operation(
        "remove_feedback", "Feedback", "feedback", "Take back what was said with the same key", {}, codes.KEPT
    )
    del operation["responses"]["200"]
    gone = {"description": "Nothing is said of it with this key (any more)."}
    operation["responses"] = {"204": gone, **operation["responses"]}
    return {**operation, "parameters": [parts.ID]}


def _queue() -> dict[str, Any]:
    return parts.look(
        "queue",
        "Feedback",
        "feedback",
        "See which predictions wait to be labelled",
        "QueueAnswer",
        codes.OPTION,
        codes.KEPT,
        description="What was chosen and not judged yet, the earliest first. Nothing is chosen; `POST` does.",
        options=_QUEUE_OPTIONS,
    )


def _filled_queue() -> dict[str, Any]:
    return parts.look(
        "fill_queue",
        "Feedback",
        "feedback",
        "Choose which predictions are most useful to label",
        "QueueAnswer",
        codes.OPTION,
        codes.KEPT,
        description=(
            "Where fewer than `limit` wait, a further round is chosen, at most `serving.labelling.per_day` a day, "
            "among the latest predictions without feedback whose image is kept. The reasons take turns: the model is "
            "unsure, the image is unlike all that is known, another model answered otherwise, the class has few "
            "labels. Near duplicates are thinned. A fifth is drawn by chance among all images since the last draw: it "
            "finds what the model is sure of and wrong about, and alone tells how good it is. What was chosen stays in "
            "the queue until it is judged, or for a week."
        ),
        options=_QUEUE_OPTIONS,
    )


def _report_picture() -> dict[str, Any]:
    operation = parts.operation(
        "model_report_picture",
        "Service",
        "feedback",
        "Fetch the picture of an example in a report",
        {"image/png": {"schema": parts.BINARY}, "image/jpeg": {"schema": parts.BINARY}},
        codes.REPORT,
    )
    return {**operation, "parameters": [parts.ID, {**parts.ID, "name": "name"}]}


def _change() -> dict[str, Any]:
    operation = parts.operation(
        "change_models",
        "Service",
        "admin",
        "Promote, roll back, or try a version",
        parts.answer("ChangeAnswer", "change_models"),
        codes.JSON_BODY,
        codes.CHANGE,
    )
    body = {"schema": {"$ref": parts.REF.format(model="ChangeBody")}, "examples": CHANGE_BODIES}
    return {
        **operation,
        "description": (
            "As `visionloop promote`, `rollback` and `deploy`, with the same checks and audit; answered when it is "
            "done, which takes seconds. Needs the registry beside the service. Workers follow within `serving.poll_s`."
        ),
        "requestBody": {"required": True, "description": "What shall serve.", "content": {parts.JSON: body}},
    }
