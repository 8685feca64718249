"""What the fields of a form may be: files, options, their names."""

from __future__ import annotations

import pytest

from tests.serving.upload.forms import PICTURE, file, form, part, read, refusal, summary, text
from visionloop.serving.upload import UploadedImage


@pytest.mark.parametrize("field", [b"imageData", b"imagedata", b"IMAGEDATA"])
def test_the_field_of_custom_visions_clients_is_a_file_with_or_without_a_file_name(field: bytes) -> None:
    for sent in (file(PICTURE, field), text(field, PICTURE)):
        assert read(form(sent), options=frozenset()).images == (UploadedImage(PICTURE, "image 1"),)
    assert summary(refusal(form(text(field, b"x" * 10_001)))) == (413, "image_too_many_bytes")


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
