"""Which images are answered and which are refused, whatever they claim to be."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.serving.conftest import Service, encoded, problem


def test_orientation_in_exif_gives_the_upright_answer(service: Service) -> None:
    upright = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    expected = None
    inverse = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    for orientation, turn in inverse.items():
        stored = upright if turn is None else upright.transpose(Image.Transpose(turn))
        exif = Image.Exif()
        exif[0x0112] = orientation
        buffer = io.BytesIO()
        stored.save(buffer, "PNG", exif=exif)
        found = service.client.post("/v1/classify", files={"image": buffer.getvalue()}).json()["predictions"][0]
        expected = expected or found
        assert found["image"] == {"width": 60, "height": 40}
        assert found["score"] == pytest.approx(expected["score"], abs=1e-6)


def _corrupt_exif() -> bytes:
    data = encoded(format="JPEG")
    return data[:2] + b"\xff\xe1\x00\x10Exif\x00\x00garbage!" + data[2:]


def _mode(mode: str, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (30, 20), 90 if mode in ("L", "P", "I;16") else None).save(buffer, format)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        encoded(format="JPEG"),
        encoded(format="WEBP"),
        encoded(format="BMP"),
        _corrupt_exif(),
        _mode("CMYK", "JPEG"),
        _mode("L"),
        _mode("P"),
        _mode("RGBA"),
        _mode("I;16"),
        encoded(format="JPEG") + b"PK\x03\x04 a zip follows",
        encoded(format="JPEG") + b"<html><script>alert(1)</script></html>",
    ],
    ids=["jpeg", "webp", "bmp", "corrupt exif", "cmyk", "grey", "palette", "alpha", "16 bit", "zip", "html"],
)
def test_unusual_images_that_are_fine(service: Service, data: bytes) -> None:
    assert service.client.post("/v1/classify", files={"image": data}).status_code == 200


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\x00" * 64))
        + chunk(b"IEND", b"")
    )


def _without_width(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\xff\xc0") + 7
    return jpeg[:at] + bytes(2) + jpeg[at + 2 :]


def _bomb() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    plain = encoded()
    return plain[:33] + chunk(b"zTXt", b"x\x00\x00" + zlib.compress(b"a" * 80_000_000)) + plain[33:]


def _animated(format: str) -> bytes:
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "blue", "green")]
    buffer = io.BytesIO()
    frames[0].save(buffer, format, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def _other(format: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(buffer, format)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "image_empty"),
        (b"hello", 415, "image_unsupported_format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "image_unsupported_format"),
        (_other("GIF"), 415, "image_unsupported_format"),
        (_other("TIFF"), 415, "image_unsupported_format"),
        (_other("EPS"), 415, "image_unsupported_format"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1", 415, "image_unsupported_format"),
        (b"8BPS\x00\x01" + b"\x00" * 40, 415, "image_unsupported_format"),
        (_animated("WEBP"), 422, "image_animated"),
        (_animated("PNG"), 422, "image_animated"),
        (encoded(format="JPEG")[:-300], 400, "image_truncated"),
        (encoded()[:-300], 400, "image_truncated"),
        (_bomb(), 400, "image_truncated"),
        (encoded(102, 101, format="JPEG")[:300], 400, "image_truncated"),
        (_png_header(0, 5), 415, "image_unsupported_format"),
        (_png_header(5, 0), 415, "image_unsupported_format"),
        (_without_width(encoded(format="JPEG")), 415, "image_unsupported_format"),
        (_png_header(20_000, 20_000), 422, "image_too_many_pixels"),
        (_png_header(13_000, 13_000), 422, "image_too_many_pixels"),
        (_png_header(100_000, 100_000), 422, "image_too_many_pixels"),
        (encoded(1, 1), 422, "image_too_small"),
        (encoded(1, 1_000_000), 422, "image_too_small"),
    ],
    ids=[
        "empty", "text", "svg", "gif", "tiff", "eps", "heic", "psd", "animated webp", "animated png", "cut jpeg",
        "cut png", "ztxt bomb", "jpeg cut in its header", "0x5", "5x0", "jpeg 0x40", "400 MP", "169 MP", "10 GP", "1x1",
        "1x1000000",
    ],
)  # fmt: skip
def test_bytes_that_are_no_accepted_image(service: Service, data: bytes, status: int, code: str) -> None:
    body = problem(service.client.post("/v1/classify", files={"image": ("a.jpg", data)}), status, code)
    if status == 415:
        assert "JPEG" in body.expected


def test_one_bad_image_does_not_spoil_its_neighbours_requests(service: Service) -> None:
    problem(
        service.client.post("/v1/classify", files=[("image", encoded()), ("image", b"no")]),
        415,
        "image_unsupported_format",
    )
    assert service.client.post("/v1/classify", files={"image": encoded()}).status_code == 200
