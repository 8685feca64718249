"""Valid image files of many kinds, and ways of damaging them; everything follows from a seed."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_ODD_NUMBERS = (0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class Seed(NamedTuple):
    """A valid file.

    Attributes:
        name: Format and kind, such as `png-grey16`.
        data: Its bytes.
    """

    name: str
    data: bytes


def image_seeds() -> list[Seed]:
    """One file of every kind that the decoder tells apart, of about 24 x 20 pixels."""
    noise = np.random.default_rng(0)
    rgb = Image.fromarray(noise.integers(0, 256, (20, 24, 3), dtype=np.uint8))
    smooth = rgb.resize((6, 5)).resize((24, 20), Image.Resampling.BICUBIC)
    alpha = Image.merge("RGBA", (*smooth.split(), rgb.getchannel(0)))
    deep = Image.fromarray(noise.integers(0, 65536, (20, 24), dtype=np.uint16))
    palette = smooth.quantize(16)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8825] = 6, "maker" * 5, {1: "N", 2: (1.0, 2.0, 3.0)}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "words " * 20, zip=True)
    text.add_itxt("Title", "größer", "de", "Titel", zip=True)
    kinds: list[tuple[str, Image.Image, str, dict[str, object]]] = [
        ("jpeg", smooth, "JPEG", {"quality": 80}),
        ("jpeg-grey", smooth.convert("L"), "JPEG", {}),
        ("jpeg-cmyk", smooth.convert("CMYK"), "JPEG", {}),
        ("jpeg-progressive", smooth, "JPEG", {"progressive": True}),
        ("jpeg-exif", smooth, "JPEG", {"exif": exif, "comment": b"words"}),
        ("jpeg-profile", smooth, "JPEG", {"icc_profile": profile, "dpi": (72, 72)}),
        ("jpeg-restarts", smooth, "JPEG", {"restart_marker_blocks": 1, "subsampling": 0}),
        ("png", smooth, "PNG", {}),
        ("png-grey", smooth.convert("L"), "PNG", {}),
        ("png-grey16", deep, "PNG", {}),
        ("png-bits", smooth.convert("1"), "PNG", {}),
        ("png-palette", palette, "PNG", {}),
        ("png-palette-transparent", palette, "PNG", {"transparency": 3, "bits": 4}),
        ("png-alpha", alpha, "PNG", {}),
        ("png-grey-alpha", alpha.convert("LA"), "PNG", {}),
        ("png-exif", smooth, "PNG", {"exif": exif, "icc_profile": profile}),
        ("png-text", smooth, "PNG", {"pnginfo": text}),
        ("webp", smooth, "WEBP", {"quality": 60}),
        ("webp-lossless", smooth, "WEBP", {"lossless": True}),
        ("webp-alpha", alpha, "WEBP", {}),
        ("webp-exif", smooth, "WEBP", {"exif": exif, "icc_profile": profile}),
        ("webp-animated", smooth, "WEBP", {"save_all": True, "append_images": [rgb]}),
        ("png-animated", smooth, "PNG", {"save_all": True, "append_images": [rgb]}),
        ("bmp", smooth, "BMP", {}),
        ("bmp-grey", smooth.convert("L"), "BMP", {}),
        ("bmp-bits", smooth.convert("1"), "BMP", {}),
        ("bmp-palette", palette, "BMP", {}),
        ("bmp-alpha", alpha, "BMP", {}),
    ]
    seeds = []
    for name, image, format_, options in kinds:
        buffer = io.BytesIO()
        image.save(buffer, format_, **options)
        seeds.append(Seed(name, buffer.getvalue()))
    return [*seeds, Seed("png-interlaced", interlaced_png()), Seed("bmp-rle", rle_bmp())]


def interlaced_png(width: int = 24, height: int = 20) -> bytes:
    """A grey PNG in Adam7's seven passes, which Pillow reads and does not write."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = bytearray()
    for left, top, step_x, step_y in passes:
        columns = range(left, width, step_x)
        for y in range(top, height, step_y):
            if columns:
                rows += b"\0" + bytes((x * 9 + y) % 256 for x in columns)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    return _PNG_HEAD + b"".join(
        _png_chunk(kind, body)
        for kind, body in ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b""))
    )


def rle_bmp(width: int = 24, height: int = 20) -> bytes:
    """A BMP with 256 colours, run-length encoded, which Pillow reads and does not write."""
    runs = b"".join(bytes((width // 2, row, 0, 4, 1, 2, 3, 4, width // 2 - 4, 7)) + b"\0\0" for row in range(height))
    colours = b"".join(bytes((index, 255 - index, index // 2, 0)) for index in range(256))
    pixels = runs + b"\0\1"
    offset = 14 + 40 + len(colours)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(pixels), 2835, 2835, 256, 0)
    return struct.pack("<2sIHHI", b"BM", offset + len(pixels), 0, 0, offset) + info + colours + pixels


def mutants(seeds: Sequence[Seed], count: int, seed: int) -> list[bytes]:
    """`count` damaged files, each with one to three kinds of damage."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        data = chance.choice(seeds).data
        for _ in range(chance.choice((1, 1, 2, 3))):
            data = chance.choice(_MUTATIONS)(data, chance, seeds)
        # Half of the PNGs get sound checksums again: what is behind them is reached in no other way.
        if data.startswith(_PNG_HEAD) and chance.random() < 0.5:
            data = with_png_checksums(data)
        found.append(data)
    return found


def with_png_checksums(data: bytes) -> bytes:
    """The PNG with the right checksum after every chunk that is whole."""
    pieces = _png_pieces(data)
    return b"".join(
        piece[:-4] + struct.pack(">I", zlib.crc32(piece[4:-4])) if len(piece) >= 12 else piece for piece in pieces
    )


def pieces(data: bytes) -> list[bytes]:
    """The file cut at its format's own joints: head and chunks, segments or fields. Joined they are the file."""
    if data.startswith(_PNG_HEAD):
        return _png_pieces(data)
    if data.startswith(b"\xff\xd8"):
        return _jpeg_pieces(data)
    if data[:4] == b"RIFF":
        return _webp_pieces(data)
    return [data[:14], data[14:54], data[54:]]


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_pieces(data: bytes) -> list[bytes]:
    found, at = [data[:8]], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big") + 12
        found.append(data[at : at + length])
        at += length
    return found


def _jpeg_pieces(data: bytes) -> list[bytes]:
    found, at = [data[:2]], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big") + 2
        found.append(data[at : at + length])
        at += length
    return [*found, data[at:]]


def _webp_pieces(data: bytes) -> list[bytes]:
    found, at = [data[:12]], 12
    while at < len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little") + 8
        length += length % 2
        found.append(data[at : at + length])
        at += length
    return found


_Mutation = Callable[[bytes, random.Random, Sequence[Seed]], bytes]


def _flip_bits(data: bytes, chance: random.Random, _: Sequence[Seed]) -> bytes:
    changed = bytearray(data)
    for __ in range(chance.choice((1, 1, 2, 4, 16)) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _flip_bits_in_front(data: bytes, chance: random.Random, seeds: Sequence[Seed]) -> bytes:
    return _flip_bits(data[:64], chance, seeds) + data[64:]


def _overwrite_run(data: bytes, chance: random.Random, _: Sequence[Seed]) -> bytes:
    at, length = chance.randrange(len(data) + 1), chance.choice((1, 2, 4, 8, 32, 128))
    fill = chance.choice((b"\0", b"\xff", b"\x80", b"A", None))
    run = chance.randbytes(length) if fill is None else fill * length
    return data[:at] + run + data[at + length :]


def _insert_or_remove_run(data: bytes, chance: random.Random, _: Sequence[Seed]) -> bytes:
    at, length = chance.randrange(len(data) + 1), chance.choice((1, 2, 3, 4, 16, 64))
    return (
        data[:at] + chance.randbytes(length) + data[at:] if chance.random() < 0.5 else data[:at] + data[at + length :]
    )


def _truncate(data: bytes, chance: random.Random, _: Sequence[Seed]) -> bytes:
    return data[: chance.choice((chance.randrange(len(data) + 1), min(len(data), chance.randrange(64))))]


def _append(data: bytes, chance: random.Random, seeds: Sequence[Seed]) -> bytes:
    return data + chance.choice((chance.randbytes(64), chance.choice(seeds).data, b"PK\x05\x06" + bytes(18)))


def _repeat_piece(data: bytes, chance: random.Random, _: Sequence[Seed]) -> bytes:
    cut = pieces(data)
    at = chance.randrange(len(cut))
    return b"".join([*cut[:at], *[cut[at]] * chance.choice((2, 2, 3, 20)), *cut[at + 1 :]])


def _reorder_pieces(data: bytes, chance: random.Random, _: Sequence[Seed]) -> bytes:
    first, *rest = pieces(data)
    chance.shuffle(rest)
    return b"".join([first, *rest])


def _drop_piece(data: bytes, chance: random.Random, _: Sequence[Seed]) -> bytes:
    cut = pieces(data)
    del cut[chance.randrange(len(cut))]
    return b"".join(cut)


def _graft_piece(data: bytes, chance: random.Random, seeds: Sequence[Seed]) -> bytes:
    cut, others = pieces(data), pieces(chance.choice(seeds).data)
    cut.insert(chance.randrange(len(cut) + 1), chance.choice(others))
    return b"".join(cut)


def _edit_number(data: bytes, chance: random.Random, _: Sequence[Seed]) -> bytes:
    """A number at the front of a piece, which is where lengths and sizes stand."""
    cut = pieces(data)
    at = chance.randrange(len(cut))
    offset, size = chance.randrange(24), chance.choice((1, 2, 4))
    number = (chance.choice(_ODD_NUMBERS) + chance.choice((0, 0, -1, 1))) % (1 << 8 * size)
    piece = cut[at]
    cut[at] = piece[:offset] + number.to_bytes(size, chance.choice(("big", "little"))) + piece[offset + size :]
    return b"".join(cut)


def _splice(data: bytes, chance: random.Random, seeds: Sequence[Seed]) -> bytes:
    other = chance.choice(seeds).data
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other)) :]


def _swap_head(data: bytes, chance: random.Random, seeds: Sequence[Seed]) -> bytes:
    length = chance.choice((2, 4, 8, 12, 14, 16, 33, 54))
    heads = (chance.choice(seeds).data, b"GIF89a\x18\0\x14\0\xf0\0\0", b"II*\0\x08\0\0\0", b"%PDF-1.7\n", b"8BPS\0\1")
    return chance.choice(heads)[:length] + data[length:]


_MUTATIONS: tuple[_Mutation, ...] = (
    _flip_bits, _flip_bits_in_front, _overwrite_run, _insert_or_remove_run, _truncate, _append, _repeat_piece,
    _reorder_pieces, _drop_piece, _graft_piece, _edit_number, _edit_number, _splice, _swap_head,
)  # fmt: skip
