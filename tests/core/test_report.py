from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from visionloop.core.report import Picture, Report, Section, Table, render_report
from visionloop.core.tiles import Outline, make_tile, tile_sheet


def picture(width: int) -> Picture:
    """As much of a PNG of 100 pixels' height as a page looks at."""
    header = b"\x89PNG\r\n\x1a\n" + bytes(8) + width.to_bytes(4, "big") + (100).to_bytes(4, "big")
    return Picture(png_bytes=header, caption="", alt="")


@pytest.mark.parametrize(
    ("widths", "layouts"),
    [
        ([100, 100], ["half", "half"]),
        ([100], ["beside"]),
        ([100, 100, 100], ["half", "half", "beside"]),
        ([100, 400, 100, 100], ["beside", "wide", "half", "half"]),
        ([100, 100, 400], ["half", "half", "wide"]),
        ([400, 100], ["wide", "beside"]),
    ],
)
def test_no_figure_leaves_half_a_row_empty(widths: list[int], layouts: list[str]) -> None:
    section = Section(title="Figures", figures=[picture(width) for width in widths])
    assert [layout for _, layout in section.laid_out] == layouts


def test_a_fact_without_a_value_is_a_dash() -> None:
    page = render_report(Report(title="t", subtitle="s", facts=[("AUC", ""), ("windows", 0)], sections=[]))
    assert "<dt>AUC</dt><dd>\u2013</dd>" in page
    assert "<dt>windows</dt><dd>0</dd>" in page


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (7, 7), (8, 4), (9, 5), (14, 7), (15, 5), (0, 1)])
def test_no_fact_stands_alone_below_a_full_row(count: int, columns: int) -> None:
    report = Report(title="t", subtitle="s", facts=[(str(number), 1) for number in range(count)], sections=[])
    assert report.columns == columns


def test_a_gallery_is_laid_out_by_the_page_and_not_drawn_beforehand() -> None:
    tiles = [make_tile(np.zeros((4, 8, 3), np.uint8), "birch & oak", "said: oak")]
    figure = Picture(png_bytes=picture(100).png_bytes, caption="", alt="whole sheet", tiles=tiles)
    page = render_report(Report(title="t", subtitle="s", facts=[], sections=[Section(title="A", figures=[figure])]))
    assert "<span>birch &amp; oak</span><small>said: oak</small>" in page
    assert "whole sheet" not in page


def test_pairs_may_break_anywhere_and_tables_with_headings_may_not() -> None:
    tables = [Table(columns=["", ""], rows=[["path", "x" * 200]]), Table(columns=["a", ""], rows=[["1", "2"]])]
    page = render_report(Report(title="t", subtitle="s", facts=[], sections=[Section(title="A", tables=tables)]))
    assert page.count('<table class="pairs">') == 1
    assert page.count("<table>") == 1


def test_a_tile_enlarges_a_small_image_with_its_outlines() -> None:
    grey = np.full((10, 20, 3), 128, np.uint8)
    outline = Outline(box_xyxy=(5, 2, 15, 8), color="#ff0000")
    tile = make_tile(grey, "a", outlines=[outline])
    with Image.open(io.BytesIO(tile.png_bytes)) as image:
        assert image.size == (320, 160)
        assert image.getpixel((5 * 16, 5 * 16)) == (255, 0, 0)
        assert image.getpixel((10 * 16, 5 * 16)) == (128, 128, 128)


def test_a_dashed_outline_leaves_in_its_gaps_what_lies_below() -> None:
    found = Outline(box_xyxy=(10, 10, 90, 90), color="#ff0000")
    truth = Outline(box_xyxy=(10, 10, 90, 90), color="#ffffff", dashed=True)
    tile = make_tile(np.full((100, 100, 3), 128, np.uint8), "a", outlines=[found, truth])
    with Image.open(io.BytesIO(tile.png_bytes)) as image:
        edge = {image.getpixel((x, 32)) for x in range(50, 270)}
    assert edge == {(255, 255, 255), (255, 0, 0)}


def test_a_sheet_has_as_many_rows_as_its_tiles_need() -> None:
    tiles = [make_tile(np.zeros((4, 4, 3), np.uint8), "a") for _ in range(5)]
    with (
        Image.open(io.BytesIO(tile_sheet(tiles, columns=2))) as sheet,
        Image.open(io.BytesIO(tile_sheet(tiles[:2], columns=2))) as row,
    ):
        assert sheet.width == row.width
        assert sheet.height > 2.5 * row.height
