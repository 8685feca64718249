"""The OpenAPI 3.1 document of the API; `docs/api.md` is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from visionloop import __version__
from visionloop.serving import codes, schema, schema_label_studio, schema_report, schema_review
from visionloop.serving import openapi_parts as parts
from visionloop.serving.examples import ANSWERS, FEEDBACK_BODIES, PROBLEM
from visionloop.serving.openapi_label_studio import label_studio_paths
from visionloop.serving.openapi_monitoring import MONITORING_TYPES, TAG, monitoring_paths
from visionloop.serving.openapi_review import review_paths
from visionloop.serving.settings import BatchJobSettings, UploadSettings

_TYPES = (
    schema.TaskAnswer,
    schema.PredictAnswer,
    schema.ExplainAnswer,
    schema.ModelsAnswer,
    schema.StoredPrediction,
    schema.FeedbackBody,
    schema.FeedbackAnswer,
    schema.BatchAnswer,
    schema.FrameAnswer,
    schema.ProblemBody,
    schema_review.PredictionsAnswer,
    schema_review.QueueAnswer,
    schema_review.HistoryAnswer,
    schema_report.ReportAnswer,
    schema_review.ChangeBody,
    schema_review.ChangeAnswer,
    *MONITORING_TYPES,
    schema_label_studio.LabelStudioPredictBody,
    schema_label_studio.LabelStudioPredictAnswer,
    schema_label_studio.LabelStudioSetupBody,
    schema_label_studio.LabelStudioSetupAnswer,
    schema_label_studio.LabelStudioHealthAnswer,
)
_TOP_K = parts.Option(
    "top_k", {"type": "integer", "minimum": 1, "maximum": 1000}, "Most classes or boxes in an answer."
)
_THRESHOLD = parts.Option(
    "threshold",
    {"type": "number", "minimum": 0, "maximum": 1},
    "Lowest score in an answer; by default the model's operating point.",
)
_STORE = parts.Option(
    "store",
    {"type": "boolean"},
    "Whether the images are kept for review and retraining; by default as `serving.images.keep` says.",
)
_TAGS = {
    "Predictions": "What the deployed models say of images.",
    "Batches": "Many images in the background.",
    "Feedback": "Whether the models were right.",
    TAG: "How it fared over time, and what changed.",
    "Label Studio": "The service as an ML backend of Label Studio.",
    "Service": "What serves, and how it fares.",
}

_ABOUT = """\
The promoted models behind one endpoint. Without keys it listens on this machine only, on `http://127.0.0.1:3000`.

**Keys.** Requests from other machines need one: `Authorization: Bearer vl_…`, or `X-API-Key`, or `Prediction-Key`.
A role may do what the roles before it may: `predict`, `feedback`, `admin`.

**Images** are JPEG, PNG, WebP or BMP, at most {image_mb:g} MB each; send up to {images} as a form's files named
`image`, or the bytes of one as the body. What a file is called, and which type it claims, does not matter. EXIF
orientation is applied first: sizes and boxes are in pixels of the upright image.

**Options** are query parameters, or text fields of the form.

**Headers.** `X-Request-ID` comes with every answer, and is yours if you send one (letters, digits, `._-`, up to 64).
`X-Session-ID` names a session: while a canary is tried, a session stays with one model.

**Refusals** are problem documents (RFC 9457) with a stable `code`. Where waiting helps there is a `Retry-After`.\
"""


def openapi_document(verbs: Mapping[str, str]) -> dict[str, Any]:
    """The document.

    Beside the standard's fields it has `x-role` (of operations), `x-codes` (of responses: the codes a problem may
    have), `x-code-table` (what each means), `x-codeSamples` and `x-websockets`, which OpenAPI has no words for.

    Args:
        verbs: Task by verb; each verb is a route.
    """
    _, definitions = models_json_schema([(cls, "serialization") for cls in _TYPES], ref_template=parts.REF)
    schemas = definitions["$defs"]
    schemas["ProblemBody"]["properties"]["code"]["enum"] = sorted(codes.CODES)
    schemas["ProblemBody"]["examples"] = [PROBLEM]
    upload = UploadSettings()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "visionloop",
            "version": __version__,
            "summary": "The promoted models behind one endpoint.",
            "description": _ABOUT.format(image_mb=upload.max_image_mb, images=upload.max_images),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The service that gave this document."}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "security": [{"bearer": []}, {"apiKey": []}, {"predictionKey": []}, {}],
        "paths": _paths(verbs),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "`visionloop keys create` makes one."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "predictionKey": {"type": "apiKey", "in": "header", "name": "Prediction-Key"},
            },
        },
        "x-websockets": {"/v1/stream": _stream()},
        "x-code-table": {code: about._asdict() for code, about in sorted(codes.CODES.items())},
    }


def _paths(verbs: Mapping[str, str]) -> dict[str, Any]:
    return {
        **{
            f"/v1/{verb}": {"post": _images(verb, f"Ask the {task} model about images", "TaskAnswer")}
            for verb, task in verbs.items()
        },
        "/v1/predict": {"post": _images("predict", "Ask every deployed task about images", "PredictAnswer")},
        "/v1/explain": {"post": _explain()},
        "/v1/batches": {"post": _batch_submission()},
        "/v1/batches/{id}": {"get": _batch(), "delete": _batch_removal()},
        "/v1/batches/{id}/result": {"get": _batch_result()},
        "/v1/feedback": {"post": _feedback()},
        "/v1/predictions/{id}": {
            "get": {
                **parts.operation(
                    "prediction",
                    "Feedback",
                    "feedback",
                    "Look an earlier prediction up, with its feedback",
                    parts.answer("StoredPrediction", "prediction"),
                    codes.STORE,
                ),
                "parameters": [parts.ID],
            }
        },
        **review_paths(),
        **monitoring_paths(),
        **label_studio_paths(),
        "/v1/models": {
            "get": parts.operation(
                "models",
                "Service",
                "predict",
                "See what serves, and what should serve and does not",
                parts.answer("ModelsAnswer", "models"),
            )
        },
        "/readyz": {
            "get": parts.operation(
                "readyz",
                "Service",
                None,
                "Whether a model serves: loaded, hashes checked, golden batch replayed",
                parts.text("ready\n"),
                codes.READY,
            )
        },
        "/livez": {"get": parts.operation("livez", "Service", None, "Whether the process lives", parts.text(None))},
        "/metrics": {"get": parts.operation("metrics", "Service", "admin", "Metrics for Prometheus", parts.text(None))},
        "/openapi.json": {
            "get": parts.operation(
                "openapi", "Service", None, "This document", {parts.JSON: {"schema": {"type": "object"}}}
            )
        },
    }


def _images(name: str, summary: str, answer: str) -> dict[str, Any]:
    several = {"type": "array", "items": parts.BINARY, "description": "One file or several."}
    refusals = (codes.UPLOAD, codes.OPTION, codes.IMAGE, codes.DEPLOYED, codes.QUEUE)
    return {
        **parts.operation(name, "Predictions", "predict", summary, parts.answer(answer, name), *refusals),
        **_upload(several, [_TOP_K, _THRESHOLD, _STORE]),
    }


def _explain() -> dict[str, Any]:
    content = {"image/png": {"schema": parts.BINARY}, **parts.answer("ExplainAnswer", "explain")}
    refusals = (codes.UPLOAD, codes.OPTION, codes.IMAGE, codes.DEPLOYED, codes.QUEUE)
    operation = parts.operation(
        "explain", "Predictions", "predict", "Show which parts of an image an answer rests on", content, *refusals
    )
    operation["description"] = (
        "The image comes back as PNG, as large as the upright image (at most four megapixels: larger ones are scaled "
        "down), the parts coloured that the champion's answer rests on; where `Accept` prefers `application/json`, as "
        "numbers. It costs `serving.explain_masks` predictions. The example's grid is cut to a corner."
    )
    return {**operation, **_upload({**parts.BINARY, "description": "One file."}, [parts.TASK])}


def _upload(image: dict[str, Any], options: Sequence[parts.Option]) -> dict[str, Any]:
    """Parameters and body of a route that takes images."""
    raw = {"schema": parts.BINARY}
    types = ("image/jpeg", "image/png", "image/webp", "image/bmp", "application/octet-stream")
    return {
        "parameters": parts.parameters(options),
        "requestBody": {
            "required": True,
            "description": "A form with files named `image`, or the bytes of one image.",
            "content": {"multipart/form-data": {"schema": _form(image, options)}, **dict.fromkeys(types, raw)},
        },
    }


def _form(image: dict[str, Any], options: Sequence[parts.Option]) -> dict[str, Any]:
    fields = {option.name: {**option.schema, "description": option.description} for option in options}
    return {"type": "object", "properties": {"image": image, **fields}, "required": ["image"]}


def _feedback() -> dict[str, Any]:
    operation = parts.operation(
        "feedback",
        "Feedback",
        "feedback",
        "Say whether a prediction was right",
        parts.answer("FeedbackAnswer", "feedback"),
        codes.JSON_BODY,
        codes.FEEDBACK,
        codes.STORE,
    )
    body = {"schema": {"$ref": parts.REF.format(model="FeedbackBody")}, "examples": FEEDBACK_BODIES}
    return {
        **operation,
        "description": "Committed before it is acknowledged. Sent again with the same key, it replaces what was said.",
        "requestBody": {"required": True, "description": "What is said.", "content": {parts.JSON: body}},
    }


def _batch_submission() -> dict[str, Any]:
    options = [parts.TASK, _TOP_K, _THRESHOLD, _STORE]
    operation = parts.operation(
        "submit_batch",
        "Batches",
        "predict",
        "Ask about many images in the background",
        parts.answer("BatchAnswer", "submit_batch"),
        codes.BATCH_UPLOAD,
        codes.OPTION,
        codes.DEPLOYED,
    )
    responses = operation["responses"]
    location = {"Location": {"description": "The batch's URL.", "schema": {"type": "string"}}}
    accepted = {**responses.pop("200"), "description": "Taken; ask at `url` how it stands.", "headers": location}
    operation["responses"] = {"202": accepted, **responses}
    limits = BatchJobSettings()
    images = {"type": "array", "items": parts.BINARY, "description": "The images."}
    return {
        **operation,
        "description": (
            f"At most {limits.max_images:,} images and {limits.max_archive_mb:g} MB. An image that cannot be read has "
            "a row with the `code` it would have been refused with, and stops nothing."
        ),
        "parameters": parts.parameters(options),
        "requestBody": {
            "required": True,
            "description": "A zip archive of images, or a form with files named `image`.",
            "content": {
                "application/zip": {"schema": parts.BINARY},
                "multipart/form-data": {"schema": _form(images, options)},
            },
        },
    }


def _batch() -> dict[str, Any]:
    content = parts.answer("BatchAnswer", "batch")
    operation = parts.operation("batch", "Batches", "predict", "See how a batch stands", content, codes.BATCH)
    return {**operation, "parameters": [parts.ID]}


def _batch_removal() -> dict[str, Any]:
    content = parts.answer("BatchAnswer", "")
    operation = parts.operation(
        "cancel_batch", "Batches", "predict", "Cancel a batch, or remove a finished one", content, codes.BATCH
    )
    kept = {**operation["responses"].pop("200"), "description": "It was not finished, and is cancelled."}
    gone = {"description": "It was finished, and is removed."}
    operation["responses"] = {"200": kept, "204": gone, **operation["responses"]}
    return {**operation, "parameters": [parts.ID]}


def _batch_result() -> dict[str, Any]:
    content = {
        "text/csv": {"schema": {"type": "string"}, "example": ANSWERS["batch_result"]},
        "application/x-ndjson": {"schema": {"type": "string"}},
        parts.JSON: {"schema": {"type": "array", "items": {"type": "object"}}},
    }
    refusals = (codes.BATCH, codes.BATCH_RESULT, codes.OPTION)
    operation = parts.operation("batch_result", "Batches", "predict", "Fetch the rows of a batch", content, *refusals)
    form = {"type": "string", "enum": ["csv", "json", "coco"], "default": "csv"}
    about = "A table, a line of JSON an image, or COCO results where the model finds boxes."
    return {
        **operation,
        "parameters": [parts.ID, {"name": "form", "in": "query", "schema": form, "description": about}],
    }


def _stream() -> dict[str, Any]:
    return {
        "operationId": "stream",
        "tags": ["Predictions"],
        "summary": "Ask about live frames over a WebSocket",
        "description": (
            "Send each frame, an encoded image, as a binary message; each gets a text message, in order. When frames "
            "come faster than they are answered the oldest are dropped, and counted; the last one never is. A frame "
            "that is refused has `problem` in place of `prediction`. Frames are not kept, and have no prediction id."
        ),
        "x-role": "predict",
        "parameters": parts.parameters([parts.TASK, _TOP_K, _THRESHOLD]),
        "message": parts.answer("FrameAnswer", "stream")[parts.JSON],
        "x-codes": codes.merged((codes.STREAM, codes.OPTION, codes.IMAGE, codes.QUEUE)),
        "x-codeSamples": parts.samples("stream"),
    }
