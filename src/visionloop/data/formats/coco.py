"""COCO: JSON files with `images`, `annotations` and `categories`, one for each split or one for all.

The format is described at https://cocodataset.org/#format-data. Roboflow, CVAT and Label Studio write it with
layouts of their own, so images are found by their names, wherever they lie in the source.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from visionloop.core.errors import DataError
from visionloop.data.formats.listed import Listed, ListedSource
from visionloop.data.formats.members import Members
from visionloop.data.formats.names import split_of, suffix
from visionloop.data.formats.source import RawObject

_KEYS = ("images", "annotations", "categories")


class CocoSource(ListedSource):
    """Boxes are `[x, y, width, height]` in pixels from 0. An image that is listed without annotation is background.

    The split is what the JSON file's name or folder says. Where files named `instances...` lie beside others (key
    points, captions), those alone are read. An annotation without `bbox` gets the box around its polygons.
    """

    def __init__(self, members: Members) -> None:
        super().__init__(members)
        files = self._annotation_files(members)
        known = {*files, *self.images.names}
        self.ignored += tuple(name for name in members.names if name not in known)
        for name, content in files.items():
            self._read(name, content)

    def _annotation_files(self, members: Members) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        problems: list[str] = []
        for name in members.names:
            if suffix(name) != ".json":
                continue
            try:
                content = json.loads(self.read(name))
            except (ValueError, RecursionError) as error:
                problems.append(f"{name}: not JSON ({error})")
                continue
            missing = [key for key in _KEYS if not isinstance(content, dict) or not isinstance(content.get(key), list)]
            if missing:
                problems.append(f"{name}: without the list{'s' * (len(missing) > 1)} {', '.join(missing)}")
            else:
                found[name] = content
        instances = {name for name in found if PurePosixPath(name).name.lower().startswith("instances")}
        found = {name: content for name, content in found.items() if not instances or name in instances}
        if not found:
            raise DataError(
                "the source holds no COCO annotations" + "".join(f"\n  - {problem}" for problem in problems[:5]),
                where=members.where,
                expected="a .json file with the lists images, annotations and categories, beside the images",
                action="correct data.source.path, or choose another data.source.kind",
            )
        return found

    def _read(self, file: str, content: dict[str, Any]) -> None:
        names = self._by_id(file, "category", content["categories"], "name")
        file_names = self._by_id(file, "image", content["images"], "file_name")
        split = split_of(file)
        images: dict[str, Listed | None] = {}
        for index, ((key, name), image) in enumerate(zip(file_names.items(), content["images"], strict=True)):
            images[key] = listed = self.list_image(name, annotation=file, record=f"image {index}", split=split)
            if listed is not None:
                listed.declared_size = _declared_size(image)
        groups = {str(category.get("supercategory")) for category in content["categories"]}
        used = set()
        for index, annotation in enumerate(content["annotations"]):
            used.add(self._add(file, index, annotation, images, names))
        # Roboflow's first category is the name of the group that all others are in.
        self.class_names = tuple(
            sorted({*self.class_names, *(n for n in names.values() if n in used or n not in groups)})
        )

    def _by_id(self, file: str, noun: str, entries: list[Any], field: str) -> dict[str, str]:
        """The entries' names by their ids.

        Raises:
            DataError: an entry has none, or another's id, so that nobody knows what refers to it.
        """
        names: dict[str, str] = {}
        for index, entry in enumerate(entries):
            key, name = (entry.get("id"), entry.get(field)) if isinstance(entry, dict) else (None, None)
            if not isinstance(key, str | int) or not isinstance(name, str) or not name.strip() or str(key) in names:
                problem = f"the id {key!r} of another" if str(key) in names else f"no id or no {field}"
                raise DataError(
                    f"{noun} {index} has {problem}: {json.dumps(entry)[:100]}",
                    where=f"{self.where}: {file}",
                    expected=f"an id of its own and a {field} for each {noun}",
                    action="mend the file, or export it again",
                )
            names[str(key)] = name.strip()
        return names

    def _add(
        self, file: str, index: int, annotation: Any, images: dict[str, Listed | None], names: dict[str, str]
    ) -> str | None:
        """Add one annotation to its image, or a finding; returns its class."""
        values = annotation if isinstance(annotation, dict) else {}
        key, name = str(values.get("image_id")), names.get(str(values.get("category_id")))
        record = f"annotation {values.get('id', index)}" + (f" ({name})" if name else "")
        if key not in images:
            self.find(
                "bad_object",
                file,
                f"there is no image with id {values.get('image_id')!r}",
                "the id of an image",
                record=record,
            )
            return name
        image = images[key]
        if image is None:
            return name  # The image is missing, which is told.
        corners = _corners(values)
        if name is None or corners is None:
            found = (
                f"bbox is {values.get('bbox')!r}"[:100]
                if name
                else f"there is no category {values.get('category_id')!r}"
            )
            self.find("bad_object", file, found, "a category's id, and bbox: [x, y, width, height]", record=record)
            image.num_broken += 1
            return name
        attributes = values.get("attributes")
        flags = {
            "crowd": values.get("iscrowd"),
            "occluded": isinstance(attributes, dict) and attributes.get("occluded"),
        }
        image.objects.append(
            RawObject(
                name=name,
                corners=corners,
                box_xyxy=corners,
                flags=tuple(flag for flag, value in flags.items() if value in (1, True)),
                record=record,
            )
        )
        return name


def _declared_size(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width > 0 < height else None


def _corners(annotation: dict[str, Any]) -> tuple[float, float, float, float] | None:
    """The box, else the one around the polygons, as (x1, y1, x2, y2); None where there is neither."""
    box = _numbers(annotation.get("bbox"))
    if len(box) == 4:
        x, y, width, height = box
        return x, y, x + width, y + height
    polygons = annotation.get("segmentation")
    points = [_numbers(polygon) for polygon in polygons] if isinstance(polygons, list) else []
    xs = [x for polygon in points for x in polygon[::2]]
    ys = [y for polygon in points for y in polygon[1::2]]
    return (min(xs), min(ys), max(xs), max(ys)) if xs and ys else None


def _numbers(values: Any) -> Sequence[float]:
    """The values as floats; none where one of them is no finite number."""
    if not isinstance(values, list) or any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        return []
    try:
        numbers = [float(value) for value in values]
    except OverflowError:  # JSON's integers have no bound
        return []
    return numbers if all(map(math.isfinite, numbers)) else []
