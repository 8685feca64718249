"""Text on pictures: what fits, and what can be read. Pillow only."""

from __future__ import annotations

from PIL import ImageColor, ImageFont

_ELLIPSIS = "…"


def fit_text(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """The text if it is at most `width` pixels wide, else its beginning and end around an ellipsis, as long as fits."""
    if font.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        # The end is kept longer than the start: names differ in theirs, and a score stands there.
        head = kept // 3
        shorter = text[:head] + _ELLIPSIS + text[len(text) - (kept - head) :]
        if font.getlength(shorter) <= width:
            return shorter
    return _ELLIPSIS


def text_color_on(background: str) -> str:
    """White, or near-black where that has the higher contrast (WCAG 2.2's relative luminance).

    Args:
        background: Hex RGB, such as `#2563eb`.
    """
    linear = []
    for value in ImageColor.getrgb(background)[:3]:
        share = value / 255
        linear.append(share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4)
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else "#0b0f19"
