"""The OpenAPI document against the code it describes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.conftest import Service
from visionloop.serving import codes, problems
from visionloop.serving.front import role_of
from visionloop.serving.models import verbs
from visionloop.serving.openapi import openapi_document
from visionloop.serving.options import OPTION_NAMES
from visionloop.serving.page import is_page
from visionloop.task import task_names

SERVING = Path(problems.__file__).parent
DOCUMENT = openapi_document(verbs(task_names()))
OPERATIONS = [
    (method.upper(), path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


def raised() -> Iterator[tuple[str, int | None, str]]:
    """File, status and code of every refusal in the code: all choices where one is chosen, None for a variable."""
    for path in sorted(SERVING.rglob("*.py")):
        if path.name in ("custom_vision.py", "page.py"):  # the vendor's codes, and a page's file
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            if node.func.id == "unreadable_image":
                statuses, names = [422], constants(node.args[0], str)
            elif node.func.id == "Problem" and len(node.args) >= 2:
                statuses, names = constants(node.args[0], int) or [None], constants(node.args[1], str)
            else:
                continue
            yield from ((path.name, status, name) for status in statuses for name in names)
    yield from (("problems.py", status, code) for status, code in problems._IMAGE_PROBLEMS.values())


def constants(node: ast.expr, kind: type) -> list[Any]:
    """What an expression may be: a constant, or the two of a choice; nothing where a name stands there."""
    if isinstance(node, ast.IfExp):
        return constants(node.body, kind) + constants(node.orelse, kind)
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, kind) else []


def test_every_refusal_of_the_code_is_documented_and_no_other() -> None:
    # These four are chosen where they are raised.
    found = {code for _, _, code in raised()} | {"no_such_route", "method_not_allowed", "key_missing", "key_unknown"}
    assert found == codes.CODES.keys()
    by_status = codes.merged(codes.GROUPS)
    missing = {(status, code) for _, status, code in raised() if status and code not in by_status.get(status, [])}
    # A full disk, or one that may not be written: 507 and 503 have one code each.
    assert missing == {(503, "no_space"), (507, "state_unavailable")}


def test_every_route_is_documented_with_its_role(service: Service) -> None:
    routes = {
        (method, route.path)  # type: ignore[attr-defined]
        for route in service.api.app().routes
        for method in getattr(route, "methods", None) or {"WS"}
        if method != "HEAD" and "customvision" not in route.path and not is_page(route.path)  # type: ignore[attr-defined]
    }
    assert routes == {(method, path) for method, path, _ in OPERATIONS} | {("WS", "/v1/stream")}
    for method, path, operation in OPERATIONS:
        assert operation["x-role"] == role_of(method, path.replace("{id}", "1").replace("{name}", "1")), path
        assert (operation.get("security") == []) == (operation["x-role"] is None)


def test_every_operation_says_what_a_reader_needs() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(names)) == len(names)
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    for _, path, operation in OPERATIONS:
        assert operation["summary"]
        assert set(operation["tags"]) <= tags
        assert operation["x-codeSamples"], path
        answers = [response for response in operation["responses"].values() if "x-codes" not in response]
        examples = [body for answer in answers for body in answer.get("content", {}).values() if "example" in body]
        # The rest are a document of its own, texts that mean nothing or much, a picture, no body at all, and what
        # another operation shows.
        without = {"openapi", "metrics", "livez", "cancel_batch", "prediction_image", "remove_feedback",
                   "model_report_picture"}  # fmt: skip
        assert examples or operation["operationId"] in without, path


def test_options_and_codes_are_those_of_the_code() -> None:
    classify = DOCUMENT["paths"]["/v1/classify"]["post"]
    assert {parameter["name"] for parameter in classify["parameters"]} == OPTION_NAMES
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["ProblemBody"]["properties"]["code"]["enum"] == sorted(codes.CODES)
    told = {code for _, _, operation in OPERATIONS for code in codes_of(operation)}
    told |= {code for found in DOCUMENT["x-websockets"]["/v1/stream"]["x-codes"].values() for code in found}
    assert codes.CODES.keys() - told == {
        "no_such_route", "method_not_allowed", "image_compression", "image_damaged", "image_encrypted",
    }  # fmt: skip


def codes_of(operation: dict[str, Any]) -> set[str]:
    return {code for response in operation["responses"].values() for code in response.get("x-codes", [])}


@pytest.mark.parametrize("name", ["answers", "bodies", "problem"])
def test_examples_have_the_types_they_show(name: str) -> None:
    from visionloop.serving import (
        examples,
        examples_label_studio,
        examples_review,
        schema,
        schema_drift,
        schema_label_studio,
        schema_monitoring,
        schema_report,
        schema_review,
    )

    if name == "bodies":
        for body in examples.FEEDBACK_BODIES.values():
            schema.FeedbackBody.model_validate(body["value"])
        for body in examples_review.CHANGE_BODIES.values():
            schema_review.ChangeBody.model_validate(body["value"])
        setup, predict = examples_label_studio.LABEL_STUDIO_BODIES.values()
        schema_label_studio.LabelStudioSetupBody.model_validate(setup["setup.json"]["value"])
        schema_label_studio.LabelStudioPredictBody.model_validate(predict["tasks.json"]["value"])
    elif name == "problem":
        assert schema.ProblemBody.model_validate(examples.PROBLEM).model_extra == {}
    else:
        for _, path, operation in OPERATIONS:
            for response in operation["responses"].values():
                for body in response.get("content", {}).values():
                    if "example" in body and "$ref" in body["schema"]:
                        type_name = body["schema"]["$ref"].rsplit("/", 1)[1]
                        places = (
                            schema,
                            schema_review,
                            schema_label_studio,
                            schema_report,
                            schema_monitoring,
                            schema_drift,
                        )
                        (shape,) = {getattr(place, type_name) for place in places if hasattr(place, type_name)}
                        assert shape.model_validate(body["example"]).model_extra == {}, path
