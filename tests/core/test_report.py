from __future__ import annotations

import pytest

from visionloop.core.report import Picture, Report, Section, render_report


def picture(width: int) -> Picture:
    """As much of a PNG of 100 pixels' height as a page looks at."""
    header = b"\x89PNG\r\n\x1a\n" + bytes(8) + width.to_bytes(4, "big") + (100).to_bytes(4, "big")
    return Picture(png_bytes=header, caption="", alt="")


@pytest.mark.parametrize(
    ("widths", "alone"),
    [
        ([100, 100], [False, False]),
        ([100], [True]),
        ([100, 100, 100], [False, False, True]),
        ([100, 400, 100, 100], [True, True, False, False]),
        ([100, 100, 400], [False, False, True]),
        ([400, 100], [True, True]),
    ],
)
def test_no_figure_leaves_half_a_row_empty(widths: list[int], alone: list[bool]) -> None:
    section = Section(title="Figures", figures=[picture(width) for width in widths])
    assert [wide for _, wide in section.laid_out] == alone


def test_a_fact_without_a_value_is_a_dash() -> None:
    page = render_report(Report(title="t", subtitle="s", facts=[("AUC", ""), ("windows", 0)], sections=[]))
    assert "<dt>AUC</dt><dd>\u2013</dd>" in page
    assert "<dt>windows</dt><dd>0</dd>" in page
