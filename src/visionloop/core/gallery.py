"""Pictures beside their nearest kin, on one sheet. Pillow only."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from visionloop.core.drawing import fit_text
from visionloop.core.images import ImageArray

_BIG, _SMALL, _GAP, _TEXT = 288, 138, 12, 46
_PAPER, _INK, _SOFT, _EMPTY = "#ffffff", "#0f172a", "#64748b", "#eef2f7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kin:
    """A picture with those nearest to it.

    Attributes:
        image: uint8 [H,W,3], or None where it is not at hand.
        caption: One line.
        nearest: Nearest first, at most three; None for those not at hand.
        nearest_caption: One line below them.
    """

    image: ImageArray | None
    caption: str
    nearest: Sequence[ImageArray | None]
    nearest_caption: str


def kin_sheet(groups: Sequence[Kin], *, columns: int = 3) -> bytes:
    """PNG of pictures, each with its nearest beside it.

    Args:
        groups: At least one.
        columns: Pictures in a row.
    """
    columns = min(columns, len(groups))
    width, height = _BIG + _GAP + _SMALL, _BIG + _TEXT
    rows = -(-len(groups) // columns)
    sheet = Image.new("RGB", (columns * (width + 3 * _GAP) + _GAP, rows * (height + 2 * _GAP) + _GAP), _PAPER)
    for number, group in enumerate(groups):
        left = _GAP + number % columns * (width + 3 * _GAP)
        top = _GAP + number // columns * (height + 2 * _GAP)
        _paste(sheet, group.image, left, top, _BIG, "not kept")
        side = (_BIG - 2 * _GAP) // 3
        for place in range(3):
            if place < len(group.nearest):
                _paste(sheet, group.nearest[place], left + _BIG + _GAP, top + place * (side + _GAP), side, "not here")
        _write(sheet, group.caption, left, top + _BIG + 6, _BIG, _INK)
        _write(sheet, group.nearest_caption, left + _BIG + _GAP, top + _BIG + 6, _SMALL + _GAP, _SOFT)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _paste(sheet: Image.Image, image: ImageArray | None, left: int, top: int, side: int, missing: str) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((left, top, left + side - 1, top + side - 1), fill=_EMPTY)
    if image is None:
        draw.text((left + side / 2, top + side / 2), missing, _SOFT, ImageFont.load_default(17), anchor="mm")
        return
    height, width = image.shape[:2]
    factor = side / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    # The pixels of a tiny picture are what there is to be seen of it.
    method = Image.Resampling.NEAREST if factor >= 4 else Image.Resampling.LANCZOS
    picture = Image.fromarray(image).resize(size, method)
    sheet.paste(picture, (left + (side - size[0]) // 2, top + (side - size[1]) // 2))


def _write(sheet: Image.Image, text: str, left: int, top: int, width: int, colour: str) -> None:
    font = ImageFont.load_default(19)
    ImageDraw.Draw(sheet).text((left, top), fit_text(text, font, width), colour, font)
