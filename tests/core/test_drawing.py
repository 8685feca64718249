from __future__ import annotations

import pytest
from PIL import ImageFont

from visionloop.core.drawing import fit_text, text_color_on


def test_a_text_that_fits_stays_and_a_long_one_keeps_both_ends() -> None:
    font = ImageFont.load_default(size=14)
    assert fit_text("cat", font, 100) == "cat"
    short = fit_text("Pseudotsuga menziesii var. glauca (98.2%)", font, 120)
    assert font.getlength(short) <= 120
    assert short.startswith("Pse")
    assert short.endswith("(98.2%)")
    assert fit_text("anything", font, 0) == "…"


@pytest.mark.parametrize(
    ("background", "color"), [("#000000", "white"), ("#ffffff", "#0b0f19"), ("#f59e0b", "#0b0f19")]
)
def test_text_is_dark_on_light_and_light_on_dark(background: str, color: str) -> None:
    assert text_color_on(background) == color
