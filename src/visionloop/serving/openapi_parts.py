"""The pieces that every operation of the OpenAPI document is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from visionloop.serving import codes
from visionloop.serving.codes import Refusals
from visionloop.serving.examples import ANSWERS, SAMPLES
from visionloop.serving.keys import Role
from visionloop.serving.problems import MEDIA_TYPE

REF = "#/components/schemas/{model}"
JSON = "application/json"
BINARY = {"type": "string", "format": "binary"}
RETRY_LATER = frozenset({429, 503, 504})


class Option(NamedTuple):
    """A query parameter, or field of a form."""

    name: str
    schema: dict[str, Any]
    description: str
    required: bool = False


TEXT = {"type": "string"}
OF_TASK = Option("task", TEXT, "Of this task.", required=True)
TASK = Option("task", {"type": "string"}, "Whose model answers; needed where several tasks are deployed.")
ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}

STATUS = {
    400: "Malformed.",
    401: "No key, or an unknown one.",
    403: "Not allowed.",
    404: "Unknown.",
    405: "Another method.",
    408: "The body came too slowly.",
    409: "Not done, or not to be done.",
    413: "Too large.",
    415: "Not an accepted format.",
    422: "Readable, and refused.",
    429: "Too many requests; see Retry-After.",
    500: "An error of ours.",
    503: "Overloaded, or nothing to answer with; see Retry-After.",
    504: "No answer in time; see Retry-After.",
    507: "No room on the service's disk.",
}


def operation(
    name: str, tag: str, role: Role | None, summary: str, content: dict[str, Any], *refusals: Refusals
) -> dict[str, Any]:
    """An operation that answers 200 with that content; `role` is None where it is public."""
    groups = (codes.ANYWHERE, *((codes.KEYED,) if role else ()), *refusals)
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "x-role": role,
        **({} if role else {"security": []}),
        "responses": {"200": {"description": "The answer.", "content": content}, **refused(groups)},
        "x-codeSamples": samples(name),
    }


def look(
    name: str,
    tag: str,
    role: Role,
    summary: str,
    model: str,
    *refusals: Refusals,
    description: str = "",
    path: Sequence[dict[str, Any]] = (),
    options: Sequence[Option] = (),
) -> dict[str, Any]:
    """An operation without a body that answers JSON of a type.

    Args:
        name: Of the operation, and of its examples.
        tag: Its group.
        role: Who may ask.
        summary: In a few words.
        model: Name of the type.
        refusals: By which it refuses, beside those of every operation.
        description: More words.
        path: Parameters in its path.
        options: Parameters in its query.
    """
    found = operation(name, tag, role, summary, answer(model, name), *refusals)
    if description:
        found["description"] = description
    if path or options:
        found["parameters"] = [*path, *parameters(options)]
    return found


def samples(name: str) -> list[dict[str, str]]:
    """How to ask an operation, in curl and Python."""
    sample = SAMPLES.get(name)
    if sample is None:
        return []
    found = [
        {"lang": "Shell", "label": "curl", "source": sample.curl},
        {"lang": "Python", "label": "Python", "source": sample.python},
    ]
    return [entry for entry in found if entry["source"]]


def refused(groups: Sequence[Refusals]) -> dict[str, Any]:
    """The responses by which an operation refuses."""
    body = {MEDIA_TYPE: {"schema": {"$ref": REF.format(model="ProblemBody")}}}
    wait = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
    return {
        str(status): {
            "description": f"{STATUS[status]} {', '.join(f'`{code}`' for code in found)}",
            "content": body,
            **({"headers": wait} if status in RETRY_LATER else {}),
            "x-codes": found,
        }
        for status, found in codes.merged(groups).items()
    }


def answer(model: str, name: str) -> dict[str, Any]:
    """JSON of a type, with an example where there is one for that operation."""
    example = {"example": ANSWERS[name]} if name in ANSWERS else {}
    return {JSON: {"schema": {"$ref": REF.format(model=model)}, **example}}


def text(example: str | None) -> dict[str, Any]:
    """Plain text, with an example where there is one."""
    return {"text/plain": {"schema": {"type": "string"}, **({} if example is None else {"example": example})}}


def parameters(options: Sequence[Option]) -> list[dict[str, Any]]:
    """Options as query parameters."""
    return [
        {
            "name": option.name,
            "in": "query",
            **({"required": True} if option.required else {}),
            "schema": option.schema,
            "description": option.description,
        }
        for option in options
    ]
