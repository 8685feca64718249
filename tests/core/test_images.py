from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from visionloop.core.errors import ImageError
from visionloop.core.images import Recipe, decode_image, image_size


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def picture() -> Image.Image:
    """40 x 30, a different colour in each corner, so that every orientation is distinguishable."""
    array = np.zeros((30, 40, 3), np.uint8)
    array[:15, :20], array[:15, 20:], array[15:, :20] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return Image.fromarray(array)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_gives_the_upright_image(picture: Image.Image, orientation: int) -> None:
    # How each orientation stores the upright image (EXIF 2.32, tag 0x0112).
    stored = {
        1: lambda im: im,
        2: lambda im: im.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda im: im.transpose(Image.Transpose.ROTATE_180),
        4: lambda im: im.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda im: im.transpose(Image.Transpose.TRANSPOSE),
        6: lambda im: im.transpose(Image.Transpose.ROTATE_90),
        7: lambda im: im.transpose(Image.Transpose.TRANSVERSE),
        8: lambda im: im.transpose(Image.Transpose.ROTATE_270),
    }[orientation](picture)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(stored, exif=exif)
    assert np.array_equal(decode_image(data), np.asarray(picture))
    assert image_size(data) == (40, 30)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_damaged_exif_block_costs_neither_the_picture_nor_a_word(
    picture: Image.Image, kind: str, recwarn: pytest.WarningsRecorder
) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x0131] = "maker" * 5, 6, "software" * 5
    buffer = io.BytesIO()
    picture.save(buffer, kind, exif=exif)
    sound = buffer.getvalue()
    order = "<" if struct.pack("<HHI", 0x010F, 2, 26) in sound else ">"
    # A maker of four numbers, which Pillow can read and not write back; a text that is longer than the file.
    for tag, length, wrong in ((0x010F, 26, (11, 4)), (0x0131, 41, (2, 60_000))):
        data = bytearray(sound)
        at = sound.index(struct.pack(order + "HHI", tag, 2, length))
        data[at : at + 8] = struct.pack(order + "HHI", tag, *wrong)
        if kind == "PNG":
            start = sound.index(b"eXIf")
            length = int.from_bytes(sound[start - 4 : start], "big")
            end = start + 4 + length
            data[end : end + 4] = zlib.crc32(data[start:end]).to_bytes(4, "big")
        assert decode_image(bytes(data)).shape[:2] == (picture.width, picture.height)
        assert image_size(bytes(data)) == (picture.height, picture.width)
    assert not recwarn.list


def test_a_bmp_in_run_length_code_has_a_limit_of_its_own() -> None:
    colours = bytes(range(256)) * 4
    head = struct.pack("<IiiHHIIiiII", 40, 8000, 8000, 1, 8, 1, 0, 2835, 2835, 256, 0)
    rows = b"\1\5\0\0" * 8000
    data = struct.pack("<2sIHHI", b"BM", 1078 + len(rows), 0, 0, 1078) + head + colours + rows
    with pytest.raises(ImageError, match="8000 x 8000") as caught:
        decode_image(data)
    assert (caught.value.code, "run-length" in caught.value.expected) == ("too_large", True)


def test_sixteen_bit_grey_is_scaled_not_saturated() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(1, 256)
    decoded = decode_image(encode(Image.fromarray(ramp)))
    assert np.array_equal(decoded[0, :, 0], np.arange(256))


def test_transparency_is_laid_on_white() -> None:
    decoded = decode_image(encode(Image.new("RGBA", (4, 4), (0, 0, 0, 0))))
    assert (decoded == 255).all()


@pytest.mark.parametrize(("mode", "kind"), [("L", "PNG"), ("P", "PNG"), ("CMYK", "JPEG"), ("1", "PNG"), ("LA", "PNG")])
def test_every_colour_mode_becomes_rgb(mode: str, kind: str) -> None:
    decoded = decode_image(encode(Image.new("RGB", (5, 7), (200, 200, 200)).convert(mode), kind))
    assert decoded.shape == (7, 5, 3)
    assert decoded.dtype == np.uint8
    assert abs(int(decoded.mean()) - 200) < 60


def test_refusals_name_code_and_place(picture: Image.Image) -> None:
    whole = encode(picture.resize((400, 300)), "JPEG", quality=95)
    frames = encode(picture, "WEBP", save_all=True, append_images=[picture.rotate(180)], duration=100)
    header = b"\x89PNG\r\n\x1a\n"
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    huge = header + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    huge += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    cases = {
        "empty": b"",
        "unsupported_format": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "truncated": whole[: len(whole) // 2],
        "animated": frames,
        "too_large": huge,
    }
    for code, data in cases.items():
        with pytest.raises(ImageError) as caught:
            decode_image(data, where="folder/a.jpg")
        assert caught.value.code == code
        assert caught.value.where == "folder/a.jpg"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_file_that_is_cut_before_its_picture_is_said_to_be_cut(kind: str) -> None:
    """A camera's small JPEG has hundreds of bytes of tables before its size."""
    whole = encode(Image.new("RGB", (102, 101), "red"), kind)
    for length in (12, 15, 20):
        with pytest.raises(ImageError, match="is cut off before its picture") as caught:
            decode_image(whole[:length], where="cut")
        assert caught.value.code == "truncated"
    with pytest.raises(ImageError, match="not an image in an accepted format"):
        decode_image(b"BMW and other makes of car", where="notes.jpg")


def test_gif_is_not_accepted_under_another_name(picture: Image.Image) -> None:
    with pytest.raises(ImageError, match="not an image in an accepted format"):
        decode_image(encode(picture, "GIF"), where="really_a_gif.jpg")


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    resize=st.sampled_from(["stretch", "letterbox", "center_crop"]),
    recipe_width=st.integers(8, 128),
    recipe_height=st.integers(8, 128),
)
def test_recipe_gives_its_size_and_boxes_survive_the_round_trip(
    width: int, height: int, resize: str, recipe_width: int, recipe_height: int
) -> None:
    recipe = Recipe(height=recipe_height, width=recipe_width, resize=resize)  # type: ignore[arg-type]
    array, place = recipe.apply(np.full((height, width, 3), 200, np.uint8))
    assert array.shape == (recipe_height, recipe_width, 3)
    assert array.dtype == np.uint8
    boxes = np.array([[0, 0, width, height], [width / 4, height / 4, width / 2, height / 2]], np.float32)
    assert np.allclose(place.to_image(place.to_input(boxes)), boxes, atol=1e-3 * max(width, height))


def test_letterbox_keeps_the_aspect_and_pads_with_the_stated_grey() -> None:
    recipe = Recipe(height=64, width=64, resize="letterbox", pad_value=10)
    array, place = recipe.apply(np.full((50, 100, 3), 255, np.uint8))
    assert (array[:16] == 10).all()
    assert (array[48:] == 10).all()
    assert (array[16:48] == 255).all()
    assert place.to_input(np.array([[0, 0, 100, 50]])).tolist() == [[0, 16, 64, 48]]


def test_an_image_of_the_input_size_is_left_alone(picture: Image.Image) -> None:
    array = np.asarray(picture)
    same, _ = Recipe(height=30, width=40).apply(array)
    assert np.array_equal(same, array)


@pytest.mark.parametrize("orientation", [1, 6, 7])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16", "P"])
def test_a_large_image_is_converted_in_bands_without_seams(mode: str, orientation: int) -> None:
    ramp = np.arange(1300 * 900, dtype=np.uint32).reshape(900, 1300)
    if mode == "I;16":
        stored = Image.fromarray((ramp % 65536).astype(np.uint16))
        pixels = np.repeat((ramp % 65536 / 257.0 + 0.5).astype(np.uint8)[:, :, None], 3, axis=2)
    else:
        channels = [(ramp // 3**power % 256).astype(np.uint8) for power in range(4)]
        stored = Image.fromarray(np.dstack(channels[:3] if mode != "RGBA" else channels))
        stored = stored.quantize(16) if mode == "P" else stored
        white = Image.new("RGBA", stored.size, (255, 255, 255, 255))
        pixels = np.asarray(Image.alpha_composite(white, stored.convert("RGBA")).convert("RGB"))
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_image(encode(stored, exif=exif, compress_level=1))
    upright = {1: pixels, 6: np.rot90(pixels, -1), 7: np.rot90(pixels, 2).swapaxes(0, 1)}[orientation]
    assert np.array_equal(decoded, upright)
    assert decoded.flags.c_contiguous


def test_the_number_of_pixels_is_asked_about_before_they_are_decoded(picture: Image.Image) -> None:
    cut = encode(picture)[:-20]
    seen: list[int] = []

    def refuse(num_pixels: int) -> None:
        seen.append(num_pixels)
        raise RuntimeError("not now")

    with pytest.raises(RuntimeError, match="not now"):
        decode_image(cut, admit=refuse)
    with pytest.raises(ImageError):
        decode_image(cut, admit=seen.append)
    assert seen == [1200, 1200]
