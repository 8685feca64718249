"""The part of the OpenAPI document about the routes that Label Studio calls."""

from __future__ import annotations

from typing import Any

from visionloop.serving import codes
from visionloop.serving import openapi_parts as parts
from visionloop.serving.examples_label_studio import LABEL_STUDIO_BODIES

_ABOUT = (
    "Called by Label Studio, to whose project the service is added as an ML backend with the URL `…/label-studio`; the "
    "key is the password of its basic authentication, under any user name."
)


def label_studio_paths() -> dict[str, Any]:
    """Operations by path."""
    setup = _posted(
        "label_studio_setup",
        "predict",
        "Connect a Label Studio project",
        "LabelStudioSetup",
        codes.LABEL_CONFIG,
        codes.DEPLOYED,
    )
    predict = _posted(
        "label_studio_predict",
        "feedback",
        "Pre-annotate Label Studio's tasks",
        "LabelStudioPredict",
        codes.LABEL_CONFIG,
        codes.LABEL_TASKS,
        codes.STORE,
        codes.PICTURE,
        codes.IMAGE,
        codes.DEPLOYED,
        codes.QUEUE,
    )
    predict["description"] += (
        " Images come as data URIs, or are those of predictions whose image is kept, which `visionloop label export` "
        "names; no image is fetched by URL. Answers are not recorded."
    )
    health = parts.operation(
        "label_studio_health",
        "Label Studio",
        "predict",
        "Whether the ML backend is there",
        parts.answer("LabelStudioHealthAnswer", "label_studio_health"),
    )
    return {
        "/label-studio/health": {"get": {**health, "description": _ABOUT}},
        "/label-studio/setup": {"post": setup},
        "/label-studio/predict": {"post": predict},
    }


def _posted(name: str, role: Any, summary: str, shape: str, *refusals: codes.Refusals) -> dict[str, Any]:
    content = parts.answer(f"{shape}Answer", name)
    operation = parts.operation(name, "Label Studio", role, summary, content, codes.JSON_BODY, *refusals)
    body = {"schema": {"$ref": parts.REF.format(model=f"{shape}Body")}, "examples": LABEL_STUDIO_BODIES[name]}
    return {
        **operation,
        "description": _ABOUT,
        "requestBody": {"required": True, "description": "As Label Studio sends it.", "content": {parts.JSON: body}},
    }
