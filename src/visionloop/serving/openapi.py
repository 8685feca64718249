"""The OpenAPI 3.1 document of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from visionloop import __version__
from visionloop.serving import schema
from visionloop.serving.problems import MEDIA_TYPE

_TYPES = (
    schema.TaskAnswer,
    schema.PredictAnswer,
    schema.ModelsAnswer,
    schema.FeedbackBody,
    schema.FeedbackAnswer,
    schema.BatchAnswer,
    schema.ProblemBody,
)
_REF = "#/components/schemas/{model}"

_OPTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("top_k", {"type": "integer", "minimum": 1, "maximum": 1000}, "Most classes or boxes in an answer."),
    (
        "threshold",
        {"type": "number", "minimum": 0, "maximum": 1},
        "Lowest score in an answer; by default the model's operating point.",
    ),
    ("store", {"type": "boolean"}, "Whether the images are kept for review and retraining."),
]

_IMAGE = {"type": "string", "format": "binary"}

_IMAGE_REFUSALS = (400, 401, 403, 408, 413, 415, 422, 429, 503, 504)
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}

_REFUSALS = {
    400: "Malformed: no image, damaged image, unknown option.",
    401: "No key, or an unknown one.",
    403: "The key's role does not allow this.",
    404: "Unknown id.",
    408: "The body came too slowly.",
    409: "The batch is not done.",
    413: "Too large.",
    415: "Not an accepted format.",
    422: "Readable and refused: animated, too many pixels, contradictory.",
    429: "Too many requests; see Retry-After.",
    503: "Overloaded or nothing deployed; see Retry-After.",
    504: "No answer in time; see Retry-After.",
    507: "No room on the service's disk.",
}


def openapi_document(verbs: Mapping[str, str]) -> dict[str, Any]:
    """The document.

    Args:
        verbs: Task by verb; each verb is a route.
    """
    _, definitions = models_json_schema([(cls, "serialization") for cls in _TYPES], ref_template=_REF)
    paths: dict[str, Any] = {
        "/livez": {"get": _text("Whether the process lives.")},
        "/readyz": {"get": _text("Whether a model serves: loaded, hashes checked, golden batch replayed.", 503)},
        "/metrics": {"get": {**_text("Prometheus metrics.", 401, 403), "security": [{"bearer": []}, {}]}},
        "/v1/models": {"get": _operation("models", "What serves.", "ModelsAnswer", (401, 403, 429))},
        "/v1/predict": {"post": _images("predict", "Ask every deployed task.", "PredictAnswer")},
        "/v1/explain": {"post": _explain()},
        **{
            f"/v1/{verb}": {"post": _images(verb, f"Ask the {task} model.", "TaskAnswer")}
            for verb, task in verbs.items()
        },
        "/v1/predictions/{id}": {
            "get": {
                **_operation("prediction", "An earlier answer with its feedback.", None, (401, 403, 404, 429, 503)),
                "parameters": [_ID],
            }
        },
        "/v1/feedback": {"post": _feedback()},
        "/v1/batches": {"post": _batch_submission()},
        "/v1/batches/{id}": {
            "get": _batch("batch", "How a batch stands.", (401, 403, 404, 429)),
            "delete": _batch_removal(),
        },
        "/v1/batches/{id}/result": {"get": _batch_result()},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "visionloop",
            "version": __version__,
            "summary": "The promoted models behind one endpoint.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}, {}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _text(summary: str, *refusals: int) -> dict[str, Any]:
    return {
        "summary": summary,
        "security": [],
        "responses": {"200": {"description": "Yes."}, **_problems(refusals)},
    }


def _operation(name: str, summary: str, answer: str | None, refusals: tuple[int, ...]) -> dict[str, Any]:
    body = {"$ref": _REF.format(model=answer)} if answer else {"type": "object"}
    return {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": "The answer.", "content": {"application/json": {"schema": body}}},
            **_problems(refusals),
        },
    }


def _images(name: str, summary: str, answer: str) -> dict[str, Any]:
    image = {"type": "array", "items": _IMAGE, "description": "One file or several."}
    return {
        **_operation(name, summary, answer, _IMAGE_REFUSALS),
        **_upload(image, _OPTIONS),
    }


def _explain() -> dict[str, Any]:
    row = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "maxItems": 32}
    body = {
        "type": "object",
        "required": ["task", "model", "prediction", "grid"],
        "properties": {
            "task": {"type": "string"},
            "model": {"$ref": _REF.format(model="ModelRef")},
            "prediction": {"type": "object", "description": "The answer, as the task's own route gives it."},
            "grid": {
                "type": "array",
                "items": row,
                "maxItems": 32,
                "description": "Heat of the upright image, rows from the top, from 0 (nothing) to 1 (most).",
            },
        },
    }
    task = ("task", {"type": "string"}, "Whose answer; needed where several tasks are deployed.")
    operation = _operation("explain", "Show which parts of an image an answer rests on.", None, _IMAGE_REFUSALS)
    operation["responses"]["200"] = {
        "description": "The image with its heat, as large as the upright image; numbers where Accept prefers JSON.",
        "content": {"image/png": {"schema": _IMAGE}, "application/json": {"schema": body}},
    }
    return {**operation, **_upload({**_IMAGE, "description": "One file."}, [task])}


def _upload(image: dict[str, Any], options: Sequence[tuple[str, dict[str, Any], str]]) -> dict[str, Any]:
    """Parameters and body of a route that takes images."""
    fields = {option: {**kind, "description": text} for option, kind, text in options}
    raw = {"schema": _IMAGE}
    return {
        "parameters": [
            {"name": option, "in": "query", "schema": kind, "description": text} for option, kind, text in options
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {"type": "object", "properties": {"image": image, **fields}, "required": ["image"]},
                },
                "image/jpeg": raw,
                "image/png": raw,
                "image/webp": raw,
                "image/bmp": raw,
                "application/octet-stream": raw,
            },
        },
    }


def _feedback() -> dict[str, Any]:
    examples = {
        "right": {"value": {"prediction_id": "0f8fad5bd9cb469fa16570867728950e", "verdict": "right"}},
        "class": {"value": {"prediction_id": "0f8fad5bd9cb469fa16570867728950e", "verdict": "corrected", "label": "7"}},
        "boxes": {
            "value": {
                "prediction_id": "0f8fad5bd9cb469fa16570867728950e",
                "verdict": "corrected",
                "label": [{"class": "7", "box_xyxy": [10, 12, 40, 51]}],
            }
        },
    }
    return {
        **_operation(
            "feedback",
            "Say whether a prediction was right. Sent again, it replaces what was said before.",
            "FeedbackAnswer",
            (400, 401, 403, 404, 413, 415, 422, 429, 503),
        ),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": _REF.format(model="FeedbackBody")}, "examples": examples}
            },
        },
    }


def _batch(name: str, summary: str, refusals: tuple[int, ...]) -> dict[str, Any]:
    return {**_operation(name, summary, "BatchAnswer", refusals), "parameters": [_ID]}


def _batch_removal() -> dict[str, Any]:
    operation = _batch("cancel_batch", "Cancel a batch, or remove a finished one.", (401, 403, 404, 429))
    operation["responses"]["204"] = {"description": "It was finished, and is removed."}
    return operation


def _batch_submission() -> dict[str, Any]:
    binary = {"type": "string", "format": "binary"}
    options = [("task", {"type": "string"}, "Whose model answers; needed where several are deployed."), *_OPTIONS]
    properties: dict[str, Any] = {"image": {"type": "array", "items": binary}}
    properties |= {name: {**kind, "description": text} for name, kind, text in options}
    operation = _operation(
        "submit_batch",
        "Ask about many images in the background.",
        "BatchAnswer",
        (400, 401, 403, 408, 413, 415, 429, 503, 507),
    )
    location = {"Location": {"description": "The batch's URL.", "schema": {"type": "string"}}}
    responses = operation["responses"]
    responses["202"] = {**responses.pop("200"), "headers": location}
    return {
        **operation,
        "parameters": [
            {"name": name, "in": "query", "schema": kind, "description": text} for name, kind, text in options
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/zip": {"schema": binary},
                "multipart/form-data": {
                    "schema": {"type": "object", "properties": properties, "required": ["image"]},
                },
            },
        },
    }


def _batch_result() -> dict[str, Any]:
    operation = _operation("batch_result", "The rows of a batch that is done.", None, (400, 401, 403, 404, 409, 429))
    text = {"schema": {"type": "string"}}
    operation["responses"]["200"]["content"] = {
        "text/csv": text,
        "application/x-ndjson": text,
        "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
    }
    form = {"type": "string", "enum": ["csv", "json", "coco"], "default": "csv"}
    about = "A table, a line of JSON an image, or COCO results where the model finds boxes."
    return {**operation, "parameters": [_ID, {"name": "form", "in": "query", "schema": form, "description": about}]}


def _problems(statuses: tuple[int, ...]) -> dict[str, Any]:
    body = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="ProblemBody")}}}
    return {str(status): {"description": _REFUSALS[status], "content": body} for status in statuses}
