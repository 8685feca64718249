"""docs/api.md from the service's OpenAPI document, so that it cannot lag behind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from visionloop.serving.models import verbs
from visionloop.serving.openapi import openapi_document
from visionloop.task import task_names

API_TARGET = Path("docs/api.md")

_WIDTH = 116
_INTRODUCTION = """\
# HTTP API

Made by `python -m pipelines.reference` from `/openapi.json`; a test runs every example against a service.

{about}

The Python examples go on from here; every method raises `ApiError` with the refusal's `status`, `code`, `where`,
`expected` and `action`. A request refused with 429 or 503 and a short `Retry-After` is sent again by itself, twice
at most (`retries`, `max_wait_s`).

```python
from pathlib import Path

from visionloop.serving.client import ApiError, Client

client = Client("http://127.0.0.1:3000")  # key="vl_…" from another machine
```
"""
_COMMON = """\
Every route can answer `400 host_not_allowed`, `403 foreign_origin` and `500 internal_error`; every route with a role
also `401 key_missing`, `401 key_unknown`, `403 role_too_low` and `429 rate_limited`. They are not repeated below.
"""
_PROBLEMS = """\
## Codes

A refusal has the media type `application/problem+json`. Branch on `code`: it stays the same when the wording changes.

```json
{example}
```

| code | status | meaning | what to do |
|---|---|---|---|"""
_CUSTOM_VISION = """
The prediction routes of Azure Custom Vision are answered too, in the vendor's own form:
[serving.md](serving.md#from-custom-vision)."""

_Json = Mapping[str, Any]


class _Route(NamedTuple):
    method: str
    path: str
    operation: _Json

    @property
    def title(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def link(self) -> str:
        # As GitHub names a heading's anchor.
        kept = "".join(char for char in self.title.lower() if char.isalnum() or char in " -_")
        return f"[`{self.title}`](#{kept.replace(' ', '-')})"


def api_reference() -> str:
    """The page as Markdown."""
    document = openapi_document(verbs(task_names()))
    routes = _routes(document)
    shared = _shared([route.operation for route in routes if _takes_images(route.operation)])
    parts = [
        _INTRODUCTION.format(about=document["info"]["description"]),
        *_overview(routes),
        _CUSTOM_VISION,
        "",
        _COMMON,
        f"A route that takes images can also answer {_listed(shared)}.\n",
    ]
    for tag in document["tags"]:
        parts += [f"## {tag['name']}\n", f"{tag['description']}\n"]
        for route in routes:
            if tag["name"] in route.operation["tags"]:
                parts += _section(route, shared if _takes_images(route.operation) else {})
    parts += [*_codes(document, routes), "", *_types(document)]
    return "\n".join(parts).rstrip() + "\n"


def _routes(document: _Json) -> list[_Route]:
    found = [
        _Route(method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    found += [_Route("WS", path, operation) for path, operation in document["x-websockets"].items()]
    tags = [tag["name"] for tag in document["tags"]]
    return sorted(found, key=lambda route: tags.index(route.operation["tags"][0]))


def _takes_images(operation: _Json) -> bool:
    return "image/jpeg" in operation.get("requestBody", {}).get("content", {})


def _shared(operations: Sequence[_Json]) -> dict[int, list[str]]:
    """What every one of them can be refused with, beside what every route can."""
    first, *others = (_refusals(operation) for operation in operations)
    common = {
        status: [code for code in codes if all(code in other.get(status, ()) for other in others)]
        for status, codes in first.items()
    }
    return {status: codes for status, codes in common.items() if codes}


def _overview(routes: Sequence[_Route]) -> Iterator[str]:
    yield "| route | role | what |"
    yield "|---|---|---|"
    for route in routes:
        yield f"| {route.link} | {route.operation['x-role'] or 'none'} | {route.operation['summary']} |"


def _section(route: _Route, said: Mapping[int, Sequence[str]]) -> Iterator[str]:
    """A route's part of the page, without the refusals that are `said` already."""
    operation = route.operation
    yield f"### {route.title}\n"
    role = operation["x-role"]
    yield f"{operation['summary']}. {f'Role: {role}.' if role else 'No key is asked for.'}\n"
    if "description" in operation:
        yield f"{operation['description']}\n"
    if "requestBody" in operation:
        yield f"{_body(operation['requestBody'])}\n"
    if operation.get("parameters"):
        yield from _parameters(operation["parameters"], form="requestBody" in operation)
        yield ""
    for sample in operation["x-codeSamples"]:
        yield _fenced({"Shell": "bash", "Python": "python"}[sample["lang"]], sample["source"])
    for name, example in (
        operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {}).items()
    ):
        yield f"Body, {name}:\n"
        yield _fenced("json", pretty(example["value"]))
    yield from _answers(operation)
    found = {
        status: [code for code in codes if code not in said.get(status, ())]
        for status, codes in _refusals(operation).items()
    }
    if any(found.values()):
        yield f"Refused with {_listed(found)}.\n"


def _body(body: _Json) -> str:
    kinds = ", ".join(f"`{kind}`" for kind in body["content"])
    return f"Body: {body['description'][0].lower()}{body['description'][1:].rstrip('.')} ({kinds})."


def _parameters(parameters: Sequence[_Json], *, form: bool) -> Iterator[str]:
    yield "| parameter | in | values | meaning |"
    yield "|---|---|---|---|"
    for parameter in parameters:
        where = "query or form" if form else parameter["in"]
        about = parameter.get("description", "From the answer that made it.")
        yield f"| `{parameter['name']}` | {where} | {_values(parameter['schema'])} | {about} |"


def _values(schema: _Json) -> str:
    if "enum" in schema:
        default = schema.get("default")
        return ", ".join(f"`{value}`" + (" (default)" if value == default else "") for value in schema["enum"])
    kind = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`", "string": "text"}
    limits = f", {schema['minimum']} to {schema['maximum']}" if "maximum" in schema else ""
    return kind[schema["type"]] + limits


def _answers(operation: _Json) -> Iterator[str]:
    if "message" in operation:
        yield f"Each message ({_type(operation['message']['schema'])}):\n"
        yield _fenced("json", pretty(operation["message"]["example"]))
    for status, response in operation.get("responses", {}).items():
        if "x-codes" in response:
            continue
        headers = "".join(f", header `{name}`" for name in response.get("headers", {}))
        about = "" if response["description"] == "The answer." else f": {response['description']}"
        content = response.get("content", {})
        if not content:
            yield f"Answer {status}{headers}{about}\n"
        for media_type, body in content.items():
            of = _type(body["schema"])
            yield f"Answer {status}, `{media_type}`{f' ({of})' if of else ''}{headers}{about or '.'}\n"
            if "example" in body:
                text = body["example"] if isinstance(body["example"], str) else pretty(body["example"])
                yield _fenced({"application/json": "json"}.get(media_type, "text"), text.rstrip("\n"))


def _refusals(operation: _Json) -> dict[int, list[str]]:
    """Codes by status, without those of every route."""
    everywhere = {"host_not_allowed", "foreign_origin", "internal_error"}
    if operation["x-role"]:
        everywhere |= {"key_missing", "key_unknown", "role_too_low", "rate_limited"}
    found = _status_codes(operation).items()
    return {status: [code for code in codes if code not in everywhere] for status, codes in found}


def _listed(codes: Mapping[int, Sequence[str]]) -> str:
    shown = (f"{status} {', '.join(f'`{code}`' for code in found)}" for status, found in codes.items() if found)
    return "; ".join(shown)


def _status_codes(operation: _Json) -> dict[int, list[str]]:
    if "x-codes" in operation:
        return dict(operation["x-codes"])
    responses = operation["responses"].items()
    return {int(status): response["x-codes"] for status, response in responses if "x-codes" in response}


def _codes(document: _Json, routes: Sequence[_Route]) -> Iterator[str]:
    statuses: dict[str, set[str]] = {"no_such_route": {"404"}, "method_not_allowed": {"405"}}
    for route in routes:
        for status, codes in _status_codes(route.operation).items():
            for code in codes:
                statuses.setdefault(code, set()).add(str(status))
    yield _PROBLEMS.format(example=pretty(document["components"]["schemas"]["ProblemBody"]["examples"][0]))
    for code, about in document["x-code-table"].items():
        found = ", ".join(sorted(statuses.get(code, ()))) or "in a batch's rows"
        yield f"| `{code}` | {found} | {about['meaning']} | {about['action']} |"


def _types(document: _Json) -> Iterator[str]:
    yield "## Types\n"
    yield "Answers may get more fields; a field that is there stays. The client's types have the same names."
    for name, schema in sorted(document["components"]["schemas"].items()):
        if "properties" not in schema:
            continue
        yield f"\n### {name}\n"
        yield f"{' '.join(schema.get('description', '').split())}\n"
        yield "| field | type | meaning |"
        yield "|---|---|---|"
        for field, about in schema["properties"].items():
            meaning = " ".join(about.get("description", "").split()).replace("|", "\\|")
            yield f"| `{field}` | {_type(about, long=field != 'code') or 'text'} | {meaning} |"


def _type(schema: _Json, *, long: bool = True) -> str:
    """A schema in a few words; empty for plain text and bytes."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(option) or "text" for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"]) if long else "text"
    if schema.get("type") == "array":
        items = schema.get("prefixItems")
        return f"{len(items)} numbers" if items else f"list of {_type(schema.get('items', {})) or 'text'}"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"object of {_type(values) or 'text'}" if isinstance(values, dict) else "object"
    if schema.get("format") == "date-time":
        return "time (ISO 8601)"
    return {"integer": "whole number", "number": "number", "boolean": "boolean", "null": "null"}.get(
        schema.get("type", ""), ""
    )


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```\n"


def pretty(value: Any, indent: int = 0, used: int = 0) -> str:
    """JSON with what fits on a line on one line.

    Args:
        value: Plain JSON.
        indent: Columns its lines are indented by.
        used: Columns of its first line that are taken.
    """
    flat = json.dumps(value, ensure_ascii=False)
    if used + len(flat) <= _WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        names = [f"{json.dumps(key)}: " for key in value]
        entries = [
            name + pretty(entry, indent + 2, indent + 2 + len(name))
            for name, entry in zip(names, value.values(), strict=True)
        ]
    else:
        entries = [pretty(entry, indent + 2, indent + 2) for entry in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(entries) + f"\n{' ' * indent}{closing}"
