"""How large a body may be, how many parts it may have, how long it may take."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Iterator

import pytest
from starlette.requests import ClientDisconnect, Request

from tests.serving.upload.forms import FORM, OPTIONS, PICTURE, Body, file, form, part, read, refusal, summary, text
from visionloop.serving.problems import Problem
from visionloop.serving.settings import UploadSettings
from visionloop.serving.upload import read_upload


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
