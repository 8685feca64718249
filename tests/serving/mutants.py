"""Images and bodies that were damaged at random; the same ones for the same seed."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator

import numpy as np
from PIL import Image

BOUNDARY = b"edge"
FORM = f"multipart/form-data; boundary={BOUNDARY.decode()}"

_TOKENS = (b"\r\n", b"--", b"--edge", b'"', b";", b":", b"\x00", b"\xff", b"name=", b"filename*=", b"\r", b"\n")


def _originals() -> list[bytes]:
    pixels = np.random.default_rng(5).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    saved: list[tuple[Image.Image, str, dict[str, object]]] = [
        (picture, "JPEG", {"quality": 70, "exif": exif}),
        (picture, "JPEG", {"progressive": True, "icc_profile": b"no profile" * 9}),
        (picture.convert("CMYK"), "JPEG", {}),
        (picture, "PNG", {"exif": exif}),
        (picture.quantize(16), "PNG", {"transparency": 3}),
        (picture.convert("RGBA"), "PNG", {"dpi": (72, 72)}),
        (picture.convert("L"), "PNG", {"optimize": True}),
        (picture, "WEBP", {"quality": 50}),
        (picture.convert("RGBA"), "WEBP", {"lossless": True, "exif": exif}),
        (picture, "BMP", {}),
        (picture.quantize(8), "BMP", {}),
    ]
    originals = []
    for image, kind, options in saved:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        originals.append(buffer.getvalue())
    return originals


def mutated_images(count: int, seed: int = 1) -> Iterator[bytes]:
    """Images of every accepted format with bytes changed, cut, doubled or swapped."""
    generator, originals = random.Random(seed), _originals()
    for number in range(count):
        data = bytearray(originals[number % len(originals)])
        for _ in range(generator.choice([1, 1, 2, 5, 20])):
            # The header, where the interesting numbers are, as often as all the rest.
            end = min(len(data), generator.choice([64, len(data)]))
            at = generator.randrange(end) if end else 0
            match generator.randrange(6):
                case 0:
                    data[at : at + 1] = bytes([generator.choice([0, 1, 0x7F, 0x80, 0xFF, generator.randrange(256)])])
                case 1:
                    data[at : at + 4] = generator.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4)])
                case 2:
                    del data[at : at + generator.choice([1, 4, 100])]
                case 3:
                    data[at:at] = data[at : at + generator.choice([1, 8, 200])]
                case 4:
                    data[at:] = data[at : at + generator.randrange(len(data) + 1)]
                case _:
                    data[at:at] = generator.randbytes(generator.randint(1, 9))
        yield bytes(data)


def part(disposition: bytes, value: bytes) -> bytes:
    return b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (BOUNDARY, disposition, value)


def mutated_forms(count: int, seed: int = 2) -> Iterator[bytes]:
    """Multipart bodies with an image and an option, damaged."""
    generator, images = random.Random(seed), _originals()
    for number in range(count):
        image = images[number % len(images)]
        whole = part(b'name="image"; filename="a.png"', image) + part(b'name="threshold"', b"0.5") + b"--edge--\r\n"
        data = bytearray(whole)
        for _ in range(generator.randint(1, 6)):
            at = generator.randrange(len(data) + 1)
            end = min(len(data), at + generator.choice([0, 1, 1, 2, 20]))
            data[at:end] = generator.choice(
                [b"", generator.choice(_TOKENS), generator.randbytes(generator.randint(1, 3))]
            )
        yield bytes(data)
