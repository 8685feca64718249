from __future__ import annotations

import asyncio
import json
import random
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from visionloop.serving.problems import Problem, problem_response
from visionloop.serving.settings import UploadSettings
from visionloop.serving.upload import Upload, UploadedImage, read_upload

BOUNDARY = b"----boundary7MA4YWxkTrZu0gW"
FORM = f"multipart/form-data; boundary={BOUNDARY.decode()}"
OPTIONS = frozenset({"threshold", "model"})
SMALL = UploadSettings(max_image_mb=0.01, max_request_mb=0.05, max_images=3)
# Line ends and near-boundaries that a careless parser would cut at.
PICTURE = b"\xff\xd8\r\n--\r\n" + BOUNDARY[:10] + b"\r\n--" + BOUNDARY[:-1] + b"\r\n\r\n\x00\xff\xd9\r"


def part(disposition: bytes, value: bytes, *headers: bytes) -> bytes:
    lines = [b"Content-Disposition: form-data" + disposition, *headers]
    return b"--" + BOUNDARY + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + value + b"\r\n"


def file(value: bytes, field: bytes = b"image", filename: bytes = b"a.jpg") -> bytes:
    return part(b'; name="' + field + b'"; filename="' + filename + b'"', value, b"Content-Type: image/jpeg")


def text(field: bytes, value: bytes = b"1") -> bytes:
    return part(b'; name="' + field + b'"', value)


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


class Body:
    """A request body that arrives in the given chunks, each after `delay_s`."""

    def __init__(self, chunks: Iterable[bytes], *, delay_s: float = 0.0, disconnects: bool = False) -> None:
        self.chunks = iter(chunks)
        self.delay_s = delay_s
        self.disconnects = disconnects
        self.num_read = 0

    async def receive(self) -> dict[str, Any]:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        for chunk in self.chunks:
            self.num_read += len(chunk)
            return {"type": "http.request", "body": chunk, "more_body": True}
        if self.disconnects:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}


def read(
    body: bytes | Body,
    content_type: str | None = FORM,
    settings: UploadSettings = SMALL,
    options: frozenset[str] = OPTIONS,
    length: str | None = None,
) -> Upload:
    arriving = body if isinstance(body, Body) else Body([body])
    headers = [] if content_type is None else [(b"content-type", content_type.encode("latin-1"))]
    if length is not None:
        headers.append((b"content-length", length.encode()))
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    return asyncio.run(read_upload(Request(scope, arriving.receive), settings, options=options))


def refusal(*args: Any, **kwargs: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        read(*args, **kwargs)
    problem = caught.value
    assert problem.what and problem.where and problem.expected and problem.action
    json.dumps(problem.document(), ensure_ascii=False).encode("utf-8")
    return problem


def summary(problem: Problem) -> tuple[int, str]:
    return problem.status, problem.code


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


@pytest.mark.parametrize("field", [b"imageData", b"imagedata", b"IMAGEDATA"])
def test_the_field_of_custom_visions_clients_is_a_file_with_or_without_a_file_name(field: bytes) -> None:
    for sent in (file(PICTURE, field), text(field, PICTURE)):
        assert read(form(sent), options=frozenset()).images == (UploadedImage(PICTURE, "image 1"),)
    assert summary(refusal(form(text(field, b"x" * 10_001)))) == (413, "image_too_many_bytes")


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


@pytest.mark.parametrize("content_type", [FORM, "image/png"])
@pytest.mark.parametrize("length", ["50001", "9" * 5000])
def test_a_declared_length_above_the_limit_is_refused_unread(content_type: str, length: str) -> None:
    body = Body([b"x"])
    assert summary(refusal(body, content_type, length=length)) == (413, "body_too_large")
    assert body.num_read == 0


def test_a_declared_raw_image_above_its_limit_is_refused_unread() -> None:
    body = Body([b"x"])
    assert summary(refusal(body, "image/png", length="10001")) == (413, "image_too_many_bytes")
    assert body.num_read == 0


@pytest.mark.parametrize("length", [None, "1", "-5", "many", "\xb2", ""])
def test_bodies_are_counted_whatever_length_is_declared(length: str | None) -> None:
    settings = UploadSettings(max_image_mb=0.01, max_request_mb=0.05, max_images=100)
    body = Body([file(bytes(4000))] * 1000)
    assert summary(refusal(body, settings=settings, length=length)) == (413, "body_too_large")
    assert body.num_read < 60_000


def test_an_endless_epilogue_counts_as_body() -> None:
    body = Body([form(file(PICTURE)), *[bytes(1000)] * 1000])
    assert summary(refusal(body)) == (413, "body_too_large")
    assert body.num_read < 52_000


def test_an_image_above_its_limit_is_refused_while_it_streams() -> None:
    large = file(bytes(30_000))
    body = Body([file(b"small"), *(large[i : i + 1000] for i in range(0, len(large), 1000))])
    problem = refusal(body)
    assert summary(problem) == (413, "image_too_many_bytes")
    assert problem.where == "image 2"
    assert body.num_read < 12_000


def test_a_raw_image_above_its_limit_is_refused_while_it_streams() -> None:
    body = Body([bytes(1000)] * 1000)
    problem = refusal(body, "image/png")
    assert summary(problem) == (413, "image_too_many_bytes")
    assert problem.where == "image 1"
    assert body.num_read < 12_000


def test_images_and_bodies_at_their_limits_are_read() -> None:
    assert len(read(bytes(10_000), "image/png").images[0].data) == 10_000
    body = form(*[file(bytes(10_000))] * 3)
    assert [len(image.data) for image in read(body + bytes(50_000 - len(body)), length="50000").images] == [10_000] * 3


def test_an_image_limit_above_the_body_limit_leaves_the_body_limit() -> None:
    settings = UploadSettings(max_image_mb=1, max_request_mb=0.01)
    assert summary(refusal(Body([bytes(1000)] * 11), "image/png", settings)) == (413, "body_too_large")


def test_one_image_more_than_allowed_is_refused_at_its_headers() -> None:
    fourth = file(bytes(5000))
    body = Body([*[file(b"x")] * 3, fourth[:200], fourth[200:]])
    problem = refusal(body)
    assert summary(problem) == (400, "too_many_images")
    assert "3 images" in problem.expected
    assert body.num_read < 1000


def test_sixty_four_text_parts_are_read_and_one_more_is_refused() -> None:
    names = [f"option{i}" for i in range(65)]
    parts = [text(name.encode(), b"v") for name in names]
    assert len(read(form(file(b"x"), *parts[:64]), options=frozenset(names)).options) == 64
    assert summary(refusal(form(file(b"x"), *parts), options=frozenset(names))) == (400, "too_many_fields")


def test_a_form_may_have_1001_parts() -> None:
    settings = UploadSettings(max_images=1000)
    parts = [file(b"x")] * 1000 + [text(b"model", b"m")]
    assert len(read(form(*parts), settings=settings).images) == 1000
    assert summary(refusal(form(*parts, text(b"threshold")), settings=settings)) == (400, "too_many_parts")


def test_a_text_of_four_kilobytes_is_read_and_a_longer_one_refused() -> None:
    assert len(read(form(file(b"x"), text(b"model", b"m" * 4096))).options["model"]) == 4096
    problem = refusal(form(file(b"x"), text(b"model", b"m" * 4097)))
    assert summary(problem) == (400, "text_too_long")
    assert problem.where == "field model"


@pytest.mark.parametrize("chunk_bytes", [7, 1000, 100_000])
@pytest.mark.parametrize(
    "header",
    [b"X: " + b"v" * 9000, b"N" * 9000 + b": v", b"X:" + b" " * 9000 + b"v", b"\r\n".join([b"X: " + b"v" * 90] * 100)],
    ids=["value", "name", "spaces", "many"],
)
def test_headers_of_a_part_above_eight_kilobytes_are_refused(header: bytes, chunk_bytes: int) -> None:
    body = form(part(b'; name="image"; filename="a"', b"x", header))
    chunks = Body(body[i : i + chunk_bytes] for i in range(0, len(body), chunk_bytes))
    problem = refusal(chunks)
    assert summary(problem) == (400, "part_headers_too_large")
    assert problem.where == "part 1 of the form"


def test_eight_kilobytes_hold_for_each_part_alone() -> None:
    parts = [part(b'; name="image"; filename="a"', b"x", b"X: " + b"v" * 5000, *[b"Y: y"] * 50) for _ in range(3)]
    assert len(read(form(*parts)).images) == 3


@pytest.mark.parametrize("body", [form(), form(text(b"threshold"))])
def test_a_form_without_a_file_misses_its_image(body: bytes) -> None:
    assert summary(refusal(body)) == (400, "missing_image")


def test_an_empty_raw_body_is_refused() -> None:
    assert summary(refusal(b"", "image/png", length="0")) == (400, "empty_body")


@pytest.mark.parametrize("filename", [b"a.jpg", b""])
def test_an_empty_file_is_named_by_its_place(filename: bytes) -> None:
    problem = refusal(form(file(b"x"), text(b"threshold"), file(b"", filename=filename)))
    assert summary(problem) == (400, "image_empty")
    assert problem.where == "image 2"


@pytest.mark.parametrize("field", [b"image", b"images"])
def test_a_url_in_place_of_a_file_is_never_fetched(field: bytes) -> None:
    problem = refusal(form(text(field, b"http://169.254.169.254/latest/meta-data")))
    assert summary(problem) == (400, "not_a_file")
    assert "never fetches images by URL" in problem.what
    assert "169.254" not in str(problem)


def test_an_unknown_text_field_is_answered_with_near_names() -> None:
    problem = refusal(form(file(b"x"), text(b"treshold")))
    assert summary(problem) == (400, "unexpected_field")
    assert "'treshold'" in problem.what
    assert "threshold" in problem.expected
    assert problem.where == "part 2 of the form"


@pytest.mark.parametrize("field", [b"imag", b"threshold"])
def test_a_file_in_another_field_is_answered_with_the_file_fields(field: bytes) -> None:
    problem = refusal(form(file(b"x", field)))
    assert summary(problem) == (400, "unexpected_field")
    assert field.decode() in problem.what
    assert "image" in problem.expected


@pytest.mark.parametrize("field", [b"", b"\x00\x1b[31m", b"\xff\xfe", b"n" * 5000, "\U0001f600".encode(), b"../image"])
def test_odd_field_names_are_shown_short_and_harmless(field: bytes) -> None:
    problem = refusal(form(file(b"x"), text(field)))
    assert summary(problem) == (400, "unexpected_field")
    assert len(problem.what) < 200
    assert "\x00" not in problem.what and "\x1b" not in problem.what


def test_a_repeated_text_field_is_refused() -> None:
    problem = refusal(form(file(b"x"), text(b"threshold", b"0.1"), text(b"threshold", b"0.9")))
    assert summary(problem) == (400, "repeated_field")


def test_a_text_that_is_not_utf8_is_refused() -> None:
    problem = refusal(form(file(b"x"), text(b"model", b"\xff\xfe")))
    assert summary(problem) == (400, "text_not_utf8")
    assert problem.where == "field model"


@pytest.mark.parametrize(
    "parameter",
    [
        b'filename="../../etc/passwd"',
        b'filename="C:\\Users\\a.jpg"',
        b'filename="a\x00.jpg"',
        b'filename="' + b"a" * 400 + b'.jpg"',
        b'filename="<script>alert(1)</script>.jpg"',
        'filename="\U0001f600.jpg"'.encode(),
        b'filename="\xff\xfe.jpg"',
        b"filename=\"a.jpg\"; filename*=UTF-8''%e2%82%ac.jpg",
        b"filename*=UTF-8''%e2%82%ac.jpg",
        b"FileName*=nonsense",
        b"filename*0=a; filename*1=b",
        b'filename="a;b\\"c.jpg"',
        b"filename=",
        b"filename",
    ],
)
def test_file_names_are_ignored(parameter: bytes) -> None:
    upload = read(form(part(b'; name="image"; ' + parameter, PICTURE)))
    assert upload.images == ((PICTURE, "image 1"),)


def test_a_field_whose_name_speaks_of_a_filename_is_still_text() -> None:
    field = "; filename*=a"
    upload = read(form(file(b"x"), text(field.encode(), b"v")), options=frozenset({field}))
    assert upload.options == {field: "v"}


@pytest.mark.parametrize("content_type", [FORM, "image/png"])
def test_a_slow_body_times_out(content_type: str) -> None:
    settings = UploadSettings(body_timeout_s=0.05)
    slow = Body([b"-"] * 1000, delay_s=0.01)
    problem = refusal(slow, content_type, settings)
    assert summary(problem) == (408, "body_timeout")
    assert slow.num_read < 100


def test_a_body_that_never_comes_times_out() -> None:
    never = Body([b"-"], delay_s=60)
    assert summary(refusal(never, settings=UploadSettings(body_timeout_s=0.05))) == (408, "body_timeout")


def test_a_body_without_pause_times_out_and_lets_others_run() -> None:
    async def both() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        settings = UploadSettings(body_timeout_s=0.05, max_request_mb=1)
        scope = {"type": "http", "headers": [(b"content-type", FORM.encode())]}
        epilogue = (form(file(b"x")) if i == 0 else b"-" for i in range(2_000_000))
        task = asyncio.create_task(other())
        with pytest.raises(Problem, match="did not arrive"):
            await read_upload(Request(scope, Body(epilogue).receive), settings, options=OPTIONS)
        task.cancel()
        return turns

    assert asyncio.run(both()) > 10


@pytest.mark.parametrize("content_type", [FORM, "image/png"])
def test_a_client_that_leaves_is_no_problem_of_the_body(content_type: str) -> None:
    with pytest.raises(ClientDisconnect):
        read(Body([form(file(PICTURE))[:50]], disconnects=True), content_type)


def test_a_refused_body_is_not_kept_by_its_problem() -> None:
    def chunks() -> Iterator[bytes]:
        yield file(bytes(3_000_000))
        yield file(b"") + form()

    tracemalloc.start()
    try:
        problem = refusal(Body(chunks()), settings=UploadSettings())
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert problem.code == "image_empty"
    assert kept_bytes < 1_000_000


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
