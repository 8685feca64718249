"""Pictures of a gallery: small, with outlines drawn in, and words beside them. Pillow only."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from visionloop.core.drawing import fit_text
from visionloop.core.images import ImageArray

_SIDE, _GAP, _LINE = 320, 14, 24
_PAPER, _INK, _SOFT, _HALO = "#ffffff", "#0f172a", "#526075", "#0b0f19"
_DASH = 9
_ENLARGED = 4
"""From this factor on, pixels are shown as they are: they are what there is to be seen of a tiny picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A box to be drawn: corners in pixels of the image, hex colour, and whether its line is dashed."""

    box_xyxy: tuple[float, float, float, float]
    color: str
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One picture of a gallery.

    Attributes:
        png_bytes: The picture, its longer side 320 pixels.
        title: First line below it.
        note: Second line; empty for none.
    """

    png_bytes: bytes
    title: str
    note: str = ""


def make_tile(image: ImageArray, title: str, note: str = "", outlines: Sequence[Outline] = ()) -> Tile:
    """A tile of an image.

    Args:
        image: uint8 [H,W,3].
        title, note: As in `Tile`.
        outlines: Drawn in this order.
    """
    height, width = image.shape[:2]
    factor = _SIDE / max(height, width)
    method = Image.Resampling.NEAREST if factor >= _ENLARGED else Image.Resampling.LANCZOS
    picture = Image.fromarray(image).resize((max(1, round(width * factor)), max(1, round(height * factor))), method)
    draw = ImageDraw.Draw(picture)
    for outline in outlines:
        _draw(draw, [value * factor for value in outline.box_xyxy], outline)
    return Tile(png_bytes=_png(picture), title=title, note=note)


def tile_sheet(tiles: Sequence[Tile], *, columns: int = 6) -> bytes:
    """PNG with all tiles on one sheet, each with its words below it.

    Args:
        tiles: At least one.
        columns: Tiles in a row, at most.
    """
    columns = min(columns, len(tiles))
    lines = 2 if any(tile.note for tile in tiles) else 1
    width, height = _SIDE + _GAP, _SIDE + lines * _LINE + 2 * _GAP
    sheet = Image.new("RGB", (columns * width + _GAP, -(-len(tiles) // columns) * height + _GAP), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(19)
    for number, tile in enumerate(tiles):
        left, top = _GAP + number % columns * width, _GAP + number // columns * height
        with Image.open(io.BytesIO(tile.png_bytes)) as picture:
            sheet.paste(picture, (left + (_SIDE - picture.width) // 2, top + (_SIDE - picture.height) // 2))
        for line, (text, color) in enumerate(((tile.title, _INK), (tile.note, _SOFT))):
            draw.text((left, top + _SIDE + 4 + line * _LINE), fit_text(text, font, _SIDE), color, font)
    return _png(sheet)


def _draw(draw: ImageDraw.ImageDraw, box: Sequence[float], outline: Outline) -> None:
    x1, y1, x2, y2 = box
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
    # Between dashes one sees what lies below: another outline, where both are of the same thing.
    lines = [piece for ends in pairwise(corners) for piece in _dashes(*ends)] if outline.dashed else [corners]
    # A dark line below is seen on any picture.
    for color, width in ((_HALO, 5), (outline.color, 3)):
        for line in lines:
            draw.line(line, color, width)


def _dashes(start: tuple[float, float], end: tuple[float, float]) -> Iterator[list[tuple[float, float]]]:
    (x1, y1), (x2, y2) = start, end
    length = max(1e-9, abs(x2 - x1) + abs(y2 - y1))
    for begin in range(0, round(length), 2 * _DASH):
        from_, to = begin / length, min(1.0, (begin + _DASH) / length)
        yield [(x1 + (x2 - x1) * share, y1 + (y2 - y1) * share) for share in (from_, to)]


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
