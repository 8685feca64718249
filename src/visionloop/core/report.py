"""One look for every HTML report: a self-contained page, no scripts, no network, light and dark.

page = render_report(Report(
    title="BCCD", subtitle="364 images, 3 classes",
    facts=[("images", "364"), ("classes", "3")],
    sections=[Section(title="Classes", text="How often each occurs.",
                      tables=[Table(columns=["class", "count"], rows=[["RBC", 4153]], caption="Objects.")],
                      figures=[Picture(png_bytes=png, caption="Boxes per image.", alt="histogram")])],
))
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal

from visionloop import __version__
from visionloop.core.tiles import Tile

if TYPE_CHECKING:
    from jinja2 import Template

_WIDE = 1.9
"""Pictures whose width is more than this times their height get the page's whole width."""

_HALF = 1000
"""Pixels of width that are still legible on half a page."""

_FACTS = 7
"""Facts in a row, at most."""

Layout = Literal["half", "wide", "beside"]
"""Of a figure: beside another one, over the whole width, or alone and beside its own caption."""

_NUMBER = re.compile(r"[-+]?[\d,. ]*\d\s?(%|ms|s|px|MB|kB|GB)?|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A table cell shown as a coloured label.

    Attributes:
        text: What it says.
        tone: What its colour says.
    """

    text: str
    tone: Literal["good", "warning", "bad", "neutral"] = "neutral"

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A PNG in the page.

    Attributes:
        png_bytes: The file's bytes; embedded as they are.
        caption: One or two sentences: what is seen and what it means.
        alt: For those who cannot see it.
        chart: Whether it is drawn on white and may be shown with inverted lightness on a dark page.
        tiles: Of a gallery: shown in place of the PNG, as many beside each other as can be read.
    """

    png_bytes: bytes
    caption: str
    alt: str
    chart: bool = False
    tiles: Sequence[Tile] = ()

    @property
    def source(self) -> str:
        """The picture as a data URL."""
        return data_url(self.png_bytes)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, from the PNG header."""
        return int.from_bytes(self.png_bytes[16:20], "big"), int.from_bytes(self.png_bytes[20:24], "big")

    @property
    def wide(self) -> bool:
        """Whether it is shown over the page's whole width."""
        width, height = self.size
        return bool(self.tiles) or width > min(_HALF, _WIDE * max(1, height))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under columns; a column whose cells all look like numbers is aligned right.

    Attributes:
        columns: Headings; all empty for pairs of a name and a value.
        rows: One value a column; anything with a `str`, or a `Tag`.
        caption: Below the table; empty for none.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""

    @property
    def numeric(self) -> list[bool]:
        """For each column, whether its cells are numbers."""
        return [
            bool(self.rows) and all(_NUMBER.fullmatch(str(row[index])) is not None for row in self.rows)
            for index in range(len(self.columns))
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading with what lies under it.

    Attributes:
        title: Short; shown in the page's navigation as well.
        text: Lead, a few sentences of plain text; empty for none.
        tables: Shown before the figures.
        figures: Side by side where they fit; wide ones, and those without a neighbour, alone.
    """

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    figures: Sequence[Picture] = ()

    @property
    def laid_out(self) -> list[tuple[Picture, Layout]]:
        """The figures, and how each is shown: no narrow one without a neighbour is larger than those that have one."""
        layouts: list[Layout] = []
        is_waiting = False
        for figure in self.figures:
            if figure.wide:
                layouts.append("wide")
                is_waiting = False
            elif is_waiting:
                layouts[-1:] = ["half", "half"]
                is_waiting = False
            else:
                layouts.append("beside")
                is_waiting = True
        return list(zip(self.figures, layouts, strict=True))

    @property
    def anchor(self) -> str:
        """The section's id in the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole page.

    Attributes:
        title: What the page is about.
        subtitle: One sentence below it.
        facts: The few numbers to see first, as (label, value); a value is anything with a `str`, or a `Tag`, and an
            empty one is shown as a dash.
        sections: In order of reading.
        kind: Small line above the title, such as `Data report`.
    """

    title: str
    subtitle: str
    facts: Sequence[tuple[str, object]]
    sections: Sequence[Section]
    kind: str = "Report"

    @property
    def columns(self) -> int:
        """Facts in a row, so that the rows are as equal as can be."""
        rows = max(1, -(-len(self.facts) // _FACTS))
        return max(1, -(-len(self.facts) // rows))


def data_url(png_bytes: bytes) -> str:
    """A PNG as the address of itself."""
    return "data:image/png;base64," + base64.b64encode(png_bytes).decode()


def render_report(report: Report) -> str:
    """The page as HTML; the same report gives the same text. All text is escaped."""
    return _template().render(report=report, version=__version__, is_tag=lambda cell: isinstance(cell, Tag))


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    source = resources.files("visionloop.core").joinpath("templates/report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["data_url"] = data_url
    return environment.from_string(source)
