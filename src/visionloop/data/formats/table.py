"""Tables: CSV files with a line for each label, or for each box."""

from __future__ import annotations

import csv
import io
import math
from pathlib import PurePosixPath

from visionloop.core.errors import DataError
from visionloop.core.images import SUFFIXES
from visionloop.data.formats.listed import Listed, ListedSource
from visionloop.data.formats.members import Members
from visionloop.data.formats.names import SPLIT_NAMES, split_of, suffix
from visionloop.data.formats.source import RawObject
from visionloop.data.samples import Split

_COLUMNS = {
    "image": ("image", "filename", "file_name", "file", "path", "image_path", "imageid", "image_id", "img", "id"),
    "label": ("label", "class", "class_name", "category", "labelname", "target"),
    "split": ("split", "subset", "set", "partition"),
    "width": ("width", "image_width"),
    "height": ("height", "image_height"),
    "xmin": ("xmin", "x_min", "x1"),
    "ymin": ("ymin", "y_min", "y1"),
    "xmax": ("xmax", "x_max", "x2"),
    "ymax": ("ymax", "y_max", "y2"),
}
_BOX = ("xmin", "ymin", "xmax", "ymax")
_SUFFIXES = (".csv", ".tsv")


class TableSource(ListedSource):
    """Columns are known by their names, in any case; see `_COLUMNS`. A line without label is background.

    The split is the column's, else what the file's name says. Boxes are pixels, or fractions of the sides where none
    of a file's numbers is above one.
    """

    def __init__(self, members: Members, *, one_based: bool) -> None:
        super().__init__(members)
        self._one_based = one_based
        tables = self._tables(members)
        known = {*tables, *self.images.names}
        self.ignored += tuple(name for name in members.names if name not in known)
        for name, (columns, rows) in tables.items():
            self._read(name, columns, rows)

    def _tables(self, members: Members) -> dict[str, tuple[dict[str, int], list[list[str]]]]:
        """Columns and lines of each table that names images and labels."""
        tables: dict[str, tuple[dict[str, int], list[list[str]]]] = {}
        problems: list[str] = []
        for name in members.names:
            # Competitions hand out an example of an answer, whose labels are made up.
            if suffix(name) not in _SUFFIXES or PurePosixPath(name).name.lower().startswith("sample_submission"):
                continue
            text = self.read(name).decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
            head = text.partition("\n")[0]
            separator = max("\t;,", key=head.count)
            try:
                header, *rows = list(csv.reader(io.StringIO(text), delimiter=separator)) or [[]]
            except csv.Error as error:
                problems.append(f"{name}: {error}")
                continue
            columns = _columns(header)
            if {"image", "label"} <= columns.keys():
                tables[name] = columns, rows
            else:
                found = ", ".join(repr(word.strip()) for word in header[:12])
                bare = any(suffix(word.strip()) in SUFFIXES for word in header)
                problems.append(f"{name} has the columns {found}" + (": a line of names is missing" if bare else ""))
        if not tables:
            image, label = (" or ".join(_COLUMNS[what]) for what in ("image", "label"))
            raise DataError(
                "the source holds no table of labels" + "".join(f"\n  - {problem}" for problem in problems[:5]),
                where=members.where,
                expected=f"a .csv file with a column for the image ({image}) and one for the label ({label}); "
                "for boxes xmin, ymin, xmax, ymax, too",
                action="rename the columns" if problems else "bring a table there",
            )
        return tables

    def _read(self, file: str, columns: dict[str, int], rows: list[list[str]]) -> None:
        boxes = {index: _numbers(row, columns, _BOX) for index, row in enumerate(rows)} if _has_box(columns) else {}
        all_numbers = [value for box in boxes.values() if box for value in box]
        fractions = bool(all_numbers) and max(all_numbers) <= 1
        listed: dict[tuple[str, Split | None], Listed | None] = {}
        seen: set[tuple[str, ...]] = set()
        for index, row in enumerate(rows):
            # What is the same to the letter says nothing new.
            if not any(cell.strip() for cell in row) or tuple(row) in seen:
                continue
            seen.add(tuple(row))
            record = f"line {index + 2}"
            image, label, word = (_cell(row, columns, name) for name in ("image", "label", "split"))
            split = SPLIT_NAMES.get(word.lower()) if word else split_of(file)
            if not image or (word and split is None):
                found = f"split {word!r}" if image else "no image is named"
                self.find("bad_annotation", file, found, "an image, and train, val or test", record=record)
                self.num_missing += 1
                continue
            if (image, split) not in listed:
                listed[image, split] = self.list_image(image, annotation=file, record=record, split=split)
            item = listed[image, split]
            if item is None:
                continue
            size = _numbers(row, columns, ("width", "height"))
            if size and all(side >= 1 and side.is_integer() for side in size):
                item.declared_size = (int(size[0]), int(size[1]))
            item.fractions = fractions
            if label:
                self._add(item, label, boxes.get(index), row, columns, record, fractions=fractions)

    def _add(
        self,
        item: Listed,
        label: str,
        box: tuple[float, ...] | None,
        row: list[str],
        columns: dict[str, int],
        record: str,
        *,
        fractions: bool,
    ) -> None:
        if box is None and any(_cell(row, columns, name) for name in _BOX):
            words = ", ".join(_cell(row, columns, name) for name in _BOX)
            self.find("bad_object", item.annotation, f"box ({words})", "four numbers", record=f"{record} ({label})")
            item.num_broken += 1
            return
        corners = moved = None
        if box is not None:
            x1, y1, x2, y2 = box
            shift = 1.0 if self._one_based and not fractions else 0.0
            corners, moved = (x1, y1, x2, y2), (x1 - shift, y1 - shift, x2, y2)
        item.objects.append(RawObject(name=label, corners=corners, box_xyxy=moved, record=f"{record} ({label})"))


def _columns(header: list[str]) -> dict[str, int]:
    """What is known to where it stands: the first of the names in `_COLUMNS` that the header has.

    Of two columns of which one is known as image or label, the other is the other, such as `id,breed`.
    """
    places = {word.strip().lower(): index for index, word in reversed(list(enumerate(header)))}
    found = {what: next((places[name] for name in names if name in places), None) for what, names in _COLUMNS.items()}
    known = {what: index for what, index in found.items() if index is not None}
    if len(header) == 2 and known.keys() in ({"image"}, {"label"}):
        [(what, index)] = known.items()
        known["label" if what == "image" else "image"] = 1 - index
    return known


def _has_box(columns: dict[str, int]) -> bool:
    return columns.keys() >= set(_BOX)


def _cell(row: list[str], columns: dict[str, int], name: str) -> str:
    index = columns.get(name)
    return row[index].strip() if index is not None and index < len(row) else ""


def _numbers(row: list[str], columns: dict[str, int], names: tuple[str, ...]) -> tuple[float, ...] | None:
    """The cells as finite numbers; None where one of them is none."""
    try:
        values = tuple(float(_cell(row, columns, name)) for name in names)
    except ValueError:
        return None
    return values if all(math.isfinite(value) for value in values) else None
