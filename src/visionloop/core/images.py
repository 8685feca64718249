"""The one image decoder and the one recipe from an image to a model's input."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from pydantic import Field

from visionloop.core.errors import ImageError
from visionloop.core.settings import Settings

ImageArray = npt.NDArray[np.uint8]
"""uint8 [H,W,3], RGB, upright."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""Pillow's names of the formats we accept."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
"""File name endings under which a source is searched for images."""

MAX_PIXELS = 64_000_000
"""Images with more pixels are refused before they are decoded."""

_MAX_RLE_PIXELS = 4_000_000
_RLE = (1, 2)
"""Values of `compression` in the header of a BMP in run-length code, which Pillow decodes in Python: a file of 33 kB
could otherwise keep the interpreter's lock for as long as 64 megapixels take."""

_PILLOW = re.compile(r"PIL\.")

_BACKGROUND = (255, 255, 255)
"""Colour under transparent pixels."""

_BAND_PIXELS = 1_000_000
"""Larger images are converted in bands of about so many pixels: every step of a conversion is a copy of its own."""

# By EXIF's number of how the camera was held, which is in no other form in a file: a view of an upright array
# [H,W,3] that has the order in which the file stores its pixels.
_AS_STORED: Mapping[int, Callable[[ImageArray], ImageArray]] = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright[:, ::-1].swapaxes(0, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: upright[::-1].swapaxes(0, 1),
}
_ORIENTATION_TAG = 0x0112
_ORIENTATION_KEYS = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})
"""Where Pillow finds an orientation; looking for one where there is none of these takes as long as a small image."""
_ON_THE_SIDE = (5, 6, 7, 8)

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def decode_image(
    data: bytes,
    *,
    where: str = "image",
    max_pixels: int = MAX_PIXELS,
    admit: Callable[[int], None] | None = None,
) -> ImageArray:
    """Decode a still image into upright RGB.

    EXIF orientation is applied, transparency is laid on white, 16-bit grey is scaled to 8 bits, and
    CMYK, palette and grey become RGB.

    Args:
        data: The file's bytes.
        where: Name of the file or record, for the error.
        max_pixels: Largest width x height that is decoded.
        admit: Called with width x height before anything is decoded; what it raises is raised.

    Returns:
        uint8 [H,W,3], RGB, contiguous. Decoding takes about 7 bytes a pixel, of which 3 stay.

    Raises:
        ImageError: empty, not an accepted format, animated, larger than `max_pixels`, or damaged.
    """
    with _open(data, where) as image:
        width, height = image.size
        in_runs = image.format == "BMP" and image.info.get("compression") in _RLE
        limit = min(max_pixels, _MAX_RLE_PIXELS) if in_runs else max_pixels
        if width * height > limit:
            raise ImageError(
                f"the image is {width} x {height} pixels",
                code="too_large",
                where=where,
                expected=f"at most {limit:,} pixels" + " in a run-length coded BMP" * in_runs,
                action="save it in another format" if in_runs else "scale the image down",
            )
        if getattr(image, "n_frames", 1) > 1:
            raise ImageError(
                "the image is animated",
                code="animated",
                where=where,
                expected="a single still image",
                action="save the frame that is meant as an image of its own",
            )
        if admit is not None:
            admit(width * height)
        try:
            return _to_rgb(image)
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise ImageError(
                f"the image data is damaged ({error})",
                code="truncated",
                where=where,
                expected="a complete image file",
                action="replace the file by an intact copy or leave it out",
            ) from None


def image_size(data: bytes, *, where: str = "image") -> tuple[int, int]:
    """Width and height in pixels of the upright image, from the header alone."""
    with _open(data, where) as image:
        width, height = image.size
        orientation = _orientation(image)
    return (height, width) if orientation in _ON_THE_SIDE else (width, height)


def _open(data: bytes, where: str) -> Image.Image:
    if not data:
        raise ImageError(
            "the file is empty", code="empty", where=where, expected="an image", action="replace or remove the file"
        )
    try:
        _ignore_pillows_warnings()
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise ImageError(
            "the header announces more pixels than any decoder here accepts",
            code="too_large",
            where=where,
            expected=f"at most {MAX_PIXELS:,} pixels",
            action="scale the image down",
        ) from None
    except ValueError as error:
        # Pillow knew the format, and refused what it met in the header: a text chunk that inflates without end.
        raise ImageError(
            f"the image's header is damaged ({error})",
            code="truncated",
            where=where,
            expected="a complete image file",
            action="replace the file by an intact copy or leave it out",
        ) from None
    except (UnidentifiedImageError, OSError, SyntaxError):
        begun = _cut_off(data)
        if begun:
            raise ImageError(
                f"the file begins as a {begun} and is cut off before its picture",
                code="truncated",
                where=where,
                expected="a complete image file",
                action="replace the file by an intact copy or leave it out",
            ) from None
        raise ImageError(
            "the bytes are not an image in an accepted format",
            code="unsupported_format",
            where=where,
            expected="one of " + ", ".join(FORMATS),
            action="convert the file to JPEG or PNG, or remove it",
        ) from None


def _cut_off(data: bytes) -> str | None:
    """The accepted format that the bytes begin as and do not complete; Pillow names one only where the file opens."""
    if data.startswith(b"\xff\xd8\xff"):
        return None if data.rstrip(b"\0\r\n ").endswith(b"\xff\xd9") else "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        # A side of zero pixels is no accident of copying.
        is_whole = b"IEND" in data[-64:] or bytes(4) in (data[16:20], data[20:24])
        return None if is_whole else "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP" if int.from_bytes(data[4:8], "little") + 8 > len(data) else None
    # Two letters are the beginning of many a text; the reserved bytes behind the length are zero.
    if data.startswith(b"BM") and data[6:10] == bytes(4):
        return "BMP" if int.from_bytes(data[2:6], "little") > len(data) else None
    return None


def _ignore_pillows_warnings() -> None:
    """Keep Pillow's remarks on what it reads from the log.

    What matters of them, the number of pixels and damage, is checked here and told as errors; each of the others
    would be a line of the client's choosing. The filter stays, because `catch_warnings` is not for threads, and
    forgets what was told once.
    """
    if not any(module == _PILLOW for _, _, _, module, _ in warnings.filters):
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)


def _orientation(image: Image.Image) -> int:
    """EXIF's number from 1 to 8; 1, upright, where there is none that can be read."""
    try:
        found = image.getexif().get(_ORIENTATION_TAG)
    except Exception:
        # Its parser raises whatever a damaged block leads to; the pixels are none the worse for it.
        return 1
    return found if isinstance(found, int) and found in _AS_STORED else 1


def _to_rgb(image: Image.Image) -> ImageArray:
    image.load()
    width, height = image.size
    orientation = 1 if _ORIENTATION_KEYS.isdisjoint(image.info) else _orientation(image)
    rows = max(1, _BAND_PIXELS // width)
    if orientation == 1 and rows >= height:
        return _rgb(image)
    # Not Pillow's `exif_transpose`, which also writes the block anew, and cannot when it is damaged.
    on_the_side = orientation in _ON_THE_SIDE
    upright: ImageArray = np.empty((width, height, 3) if on_the_side else (height, width, 3), np.uint8)
    stored = _AS_STORED[orientation](upright) if orientation != 1 else upright
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        stored[top:bottom] = _rgb(image.crop((0, top, width, bottom)))
    return upright


def _rgb(image: Image.Image) -> ImageArray:
    """A picture's pixels, as they are stored; each depends on itself alone."""
    if image.mode.startswith("I") or image.mode == "F":
        # 16-bit grey: Pillow's own conversion saturates at 255 instead of scaling.
        values = np.asarray(image, dtype=np.float64)
        grey = np.clip(values / 257.0 + 0.5, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        canvas = Image.new("RGBA", layer.size, (*_BACKGROUND, 255))
        image = Image.alpha_composite(canvas, layer)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an image lies inside the model's input: x_input = x_image * scale_x + offset_x, likewise y.

    Attributes:
        width, height: Size of the upright image in pixels.
        scale_x, scale_y: Input pixels per image pixel.
        offset_x, offset_y: Input pixels left of and above the image; negative where it is cropped.
    """

    width: int
    height: int
    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float

    def to_input(self, boxes_xyxy: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Boxes [N,4] in image pixels to input pixels (not clipped)."""
        return (np.asarray(boxes_xyxy, np.float64).reshape(-1, 4) * self._scale + self._offset).astype(np.float32)

    def to_image(self, boxes_xyxy: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Boxes [N,4] in input pixels to image pixels, clipped to the image."""
        boxes = (np.asarray(boxes_xyxy, np.float64).reshape(-1, 4) - self._offset) / self._scale
        return np.clip(boxes, 0.0, [self.width, self.height, self.width, self.height]).astype(np.float32)

    @property
    def _scale(self) -> npt.NDArray[np.float64]:
        return np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y])

    @property
    def _offset(self) -> npt.NDArray[np.float64]:
        return np.array([self.offset_x, self.offset_y, self.offset_x, self.offset_y])


class Recipe(Settings):
    """How an image becomes a model's input; data inside the bundle, applied by `apply` everywhere."""

    height: int = Field(default=224, ge=8, le=4096)
    """Input height in pixels."""
    width: int = Field(default=224, ge=8, le=4096)
    """Input width in pixels."""
    resize: Literal["stretch", "letterbox", "center_crop"] = "stretch"
    """`stretch` ignores the aspect; `letterbox` keeps it and pads; `center_crop` keeps it and cuts the longer side."""
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    """Resampling filter; bilinear and bicubic are antialiased."""
    pad_value: int = Field(default=114, ge=0, le=255)
    """Grey value beside a letterboxed image."""

    def apply(self, image: ImageArray) -> tuple[ImageArray, Placement]:
        """Bring an image to the input size.

        Args:
            image: uint8 [H,W,3].

        Returns:
            uint8 [height,width,3], and where the image lies inside it.
        """
        height, width = image.shape[:2]
        place = self.place(width, height)
        if (height, width) == (self.height, self.width):
            return np.ascontiguousarray(image), place
        scaled_w = max(1, round(width * place.scale_x))
        scaled_h = max(1, round(height * place.scale_y))
        picture = Image.fromarray(image)
        if (scaled_w, scaled_h) != (width, height):
            picture = picture.resize((scaled_w, scaled_h), _RESAMPLING[self.interpolation])
        if (scaled_w, scaled_h) == (self.width, self.height):
            return np.asarray(picture), place
        canvas = Image.new("RGB", (self.width, self.height), (self.pad_value,) * 3)
        canvas.paste(picture, (round(place.offset_x), round(place.offset_y)))
        return np.asarray(canvas), place

    def place(self, width: int, height: int) -> Placement:
        """The placement of an upright image of `width` x `height` pixels."""
        if self.resize == "stretch":
            return Placement(width, height, self.width / width, self.height / height, 0.0, 0.0)
        ratios = (self.width / width, self.height / height)
        scale = min(ratios) if self.resize == "letterbox" else max(ratios)
        scaled_w, scaled_h = max(1, round(width * scale)), max(1, round(height * scale))
        # The scale of the pixels as they were rounded, so that boxes map back without drift.
        return Placement(
            width,
            height,
            scaled_w / width,
            scaled_h / height,
            float((self.width - scaled_w) // 2),
            float((self.height - scaled_h) // 2),
        )
