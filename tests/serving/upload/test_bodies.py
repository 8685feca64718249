"""Which bodies are read, whole or in pieces, and which are malformed."""

from __future__ import annotations

import random

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.serving.upload.forms import (
    BOUNDARY,
    FORM,
    OPTIONS,
    PICTURE,
    SMALL,
    Body,
    file,
    form,
    part,
    read,
    refusal,
    summary,
    text,
)
from visionloop.serving.problems import Problem, problem_response
from visionloop.serving.upload import read_upload


@pytest.fixture
def client() -> TestClient:
    async def upload(request: Request) -> Response:
        try:
            read = await read_upload(request, SMALL, options=OPTIONS)
        except Problem as problem:
            return problem_response(problem)
        images = [[image.name, image.data.hex()] for image in read.images]
        return JSONResponse({"images": images, "options": read.options})

    return TestClient(Starlette(routes=[Route("/", upload, methods=["POST"])]))


def test_a_form_of_a_real_client_is_read(client: TestClient) -> None:
    files = [("image", ("a.png", b"one", "image/png")), ("images", ("b", b"two", "text/html"))]
    answer = client.post("/", files=files, data={"threshold": "0.5", "model": "größe"})
    assert answer.json() == {
        "images": [["image 1", b"one".hex()], ["image 2", b"two".hex()]],
        "options": {"threshold": "0.5", "model": "größe"},
    }


@pytest.mark.parametrize(
    "content_type",
    ["image/jpeg", "image/png; q=1", "IMAGE/PNG", "image/svg+xml", "image/nonsense", "application/octet-stream"],
)
def test_a_raw_body_is_one_image_whatever_its_subtype(client: TestClient, content_type: str) -> None:
    answer = client.post("/", content=PICTURE, headers={"Content-Type": content_type})
    assert answer.json() == {"images": [["image 1", PICTURE.hex()]], "options": {}}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/vnd.bentoml+pickle",
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/mixed; boundary=x",
        "image/",
        "image",
        "",
        "\xff\xfe; =",
        None,
    ],
)
def test_other_content_types_are_refused_unread_with_the_accepted_ones(content_type: str | None) -> None:
    body = Body([PICTURE])
    problem = refusal(body, content_type)
    assert summary(problem) == (415, "unsupported_media_type")
    assert body.num_read == 0
    for accepted in ("multipart/form-data", "image/*", "application/octet-stream"):
        assert accepted in problem.expected


def test_the_refusal_is_a_problem_document(client: TestClient) -> None:
    answer = client.post("/", json={"image": "http://localhost/"})
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unsupported_media_type"


def test_a_form_split_anywhere_is_read_alike() -> None:
    body = form(file(PICTURE), text(b"threshold", b"0.25"), file(b"\r\n", b"images"))
    whole = read(body)
    assert [image.data for image in whole.images] == [PICTURE, b"\r\n"]
    assert whole.options == {"threshold": "0.25"}
    assert read(Body(body[i : i + 1] for i in range(len(body)))) == whole
    for cut in range(1, len(body)):
        assert read(Body([body[:cut], body[cut:]])) == whole


def test_an_epilogue_and_padding_after_the_boundary_are_allowed() -> None:
    padded = file(b"two").replace(BOUNDARY, BOUNDARY + b" \t")
    upload = read(b"\r\n" + form(file(PICTURE), padded) + b"epilogue")
    assert [image.data for image in upload.images] == [PICTURE, b"two"]


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=", FORM[:-1]])
def test_a_missing_or_other_boundary_is_malformed(content_type: str) -> None:
    assert summary(refusal(form(file(PICTURE)), content_type)) == (400, "malformed_multipart")


@pytest.mark.parametrize("boundary", ["x" * 71, "x" * 5000, "a\x00b", "a\r\nb", "\xff", '"  "'])
def test_a_boundary_outside_the_standard_is_malformed(boundary: str) -> None:
    body = Body([b"--"])
    problem = refusal(body, f"multipart/form-data; boundary={boundary}")
    assert summary(problem) == (400, "malformed_multipart")
    assert problem.where == "header Content-Type"
    assert body.num_read == 0


def test_a_form_cut_anywhere_before_its_end_is_malformed() -> None:
    body = form(file(PICTURE), text(b"threshold")).removesuffix(b"\r\n")
    for length in range(len(body)):
        assert summary(refusal(body[:length])) == (400, "malformed_multipart")


@pytest.mark.parametrize(
    "body",
    [
        b"garbage",
        PICTURE,
        b'{"image": 1}',
        b"--" + BOUNDARY + b"\nContent-Disposition: form-data; name=image; filename=a\n\nx",
        b"--" + BOUNDARY + b"\r\n\r\nno headers\r\n--" + BOUNDARY + b"--\r\n",
        form(part(b'; filename="a.jpg"', PICTURE)),
        form(part(b"", PICTURE)),
        form(file(PICTURE).replace(b"form-data", b"attachment")),
        form(part(b'; name="image"; filename="a"', PICTURE, b'Content-Disposition: form-data; name="model"')),
        form(part(b'; name="image"; filename="a"', PICTURE, b"Bad Header: 1")),
    ],
)
def test_garbage_is_malformed(body: bytes) -> None:
    assert summary(refusal(body)) == (400, "malformed_multipart")


def test_mutated_forms_are_read_or_refused_and_nothing_else() -> None:
    generator = random.Random(20240917)
    valid = form(file(PICTURE * 4), text(b"threshold", b"0.5"), file(b"two", b"images"))
    tokens = [b"\r\n", b"--", BOUNDARY, b'"', b";", b":", b"\x00", b"\xff", b"name=", b"filename*=", b"\r", b"\n"]
    outcomes = set()
    for _ in range(500):
        body = bytearray(valid)
        for _ in range(generator.randint(1, 6)):
            start = generator.randrange(len(body) + 1)
            end = min(len(body), start + generator.choice([0, 1, 1, 2, 20]))
            insert = generator.choice([b"", generator.choice(tokens), generator.randbytes(generator.randint(1, 3))])
            body[start:end] = insert
        size = generator.choice([1, 3, 50, 10_000])
        try:
            upload = read(Body(bytes(body[i : i + size]) for i in range(0, len(body), size)))
        except Problem as problem:
            assert 400 <= problem.status < 500
            outcomes.add(problem.code)
        else:
            assert all(image.data for image in upload.images)
            outcomes.add("read")
    assert {"read", "malformed_multipart", "unexpected_field"} <= outcomes
