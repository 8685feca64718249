"""YOLO: `images/...` with `labels/.../<stem>.txt` beside, and class names in `data.yaml` or `classes.txt`.

The format is described at https://docs.ultralytics.com/datasets/detect. Roboflow, CVAT and Label Studio write it with
layouts of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from visionloop.core.errors import DataError
from visionloop.data.formats.listed import key_of
from visionloop.data.formats.members import Members
from visionloop.data.formats.names import Images, find_root, relative_parts, split_of, suffix
from visionloop.data.formats.source import RawObject, Record, Source, unsupported
from visionloop.data.samples import Split

_NAME_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
_SPLIT_KEYS: dict[str, Split] = {"train": "train", "val": "val", "valid": "val", "test": "test"}
_EXPECTED = "class x_center y_center width height, or class and a polygon, as fractions of the image's sides"


class YoloSource(Source):
    """Boxes are fractions of the upright image's sides. An image without label file is background, and is counted.

    Splits are what `data.yaml` says (folders, or lists of images), else what the names of folders say.
    """

    def __init__(self, members: Members) -> None:
        super().__init__(members)
        self._images = Images(members.names)
        if not self._images.names:
            raise DataError(
                "the source holds no images",
                where=members.where,
                expected="images/ with labels/ beside, and data.yaml",
                action="correct the setting data.source.path",
            )
        self._root = find_root(members.names)
        self._file, description, self._classes = self._description(members)
        self._num_boxes = self._num_polygons = 0
        self._first_polygon = ("", "")
        self._has_key_points = "kpt_shape" in description
        self.class_names = tuple(dict.fromkeys(self._classes.values()))
        texts = {name for name in members.names if suffix(name) == ".txt"}
        self._labels = {image: label for image in self._images.names if (label := _label_of(image, texts))}
        self._splits = self._read_splits(description, members)
        used = {self._file, *self._labels.values(), *self._images.names}
        stray = sorted(name for name in texts - used if "labels" in PurePosixPath(name).parts[:-1])
        for name in stray:
            self.find("missing_image", name, "there is no image for this label file", "an image of the same name")
        folders = {str(PurePosixPath(name).parent) for name in self._images.names}
        others = [name for name in members.names if name not in used and name not in texts]
        beside = [name for name in others if suffix(name) and str(PurePosixPath(name).parent) in folders - {"."}]
        self.findings += unsupported(beside)
        self.ignored += tuple(name for name in members.names if name not in {*used, *stray, *beside})

    def __len__(self) -> int:
        return len(self._images.names)

    def records(self) -> Iterator[Record]:
        """Every image, in order of name."""
        bare = [name for name in self._images.names if name not in self._labels]
        if len(bare) == len(self._images.names):
            raise DataError(
                f"none of the {len(bare):,} images has a label file, as {bare[0]!r} has none",
                where=self.where,
                expected="labels/<name>.txt for images/<name>.jpg, or <name>.txt beside the image",
                action="bring the label files there, or choose another data.source.kind",
            )
        if bare:
            self.find(
                "no_label_file",
                bare[0],
                f"{len(bare):,} of {len(self._images.names):,} images have no label file",
                "a label file for each image, empty for background",
                action="taken for background, as the format has it; remove those that nobody has labelled",
                severity="warning",
            )
        for name in self._images.names:
            label = self._labels.get(name, "")
            objects, num_broken = self._objects(label) if label else ([], 0)
            yield Record(
                member=name,
                key=key_of(name[len(self._root) :]),
                annotation=label,
                split=self._splits.get(name),
                objects=tuple(objects),
                num_broken=num_broken,
                fractions=True,
            )
        if self._num_boxes and self._num_polygons:
            file, line = self._first_polygon
            self.find(
                "mixed_labels",
                file,
                f"{self._num_polygons:,} lines of the labels are polygons, {self._num_boxes:,} are boxes",
                "one kind of label; two lines that ran into one look like a polygon, too",
                record=line,
                action="the boxes round the polygons are taken",
                severity="warning",
            )

    def _description(self, members: Members) -> tuple[str, dict[str, Any], dict[int, str]]:
        """The file that names the classes, its content where it is YAML, and the classes by number."""
        import yaml

        problems = []
        for name in sorted(members.names, key=lambda name: (name.count("/"), name)):
            path = PurePosixPath(name)
            try:
                if path.suffix.lower() in (".yaml", ".yml"):
                    content = yaml.safe_load(self.read(name))
                    if isinstance(content, dict) and "names" in content:
                        classes = _numbered(content["names"])
                        if content.get("nc", len(classes)) != len(classes):
                            raise ValueError(f"nc is {content['nc']}, but names has {len(classes)}")
                        return name, content, classes
                elif path.name in _NAME_LISTS:
                    lines = self.read(name).decode("utf-8").splitlines()
                    return name, {}, _numbered([line.strip() for line in lines if line.strip()])
            except (TypeError, ValueError, yaml.YAMLError) as error:
                problems.append(f"{name}: {' '.join(str(error).split())[:200]}")
        title = "the source's classes cannot be read" if problems else "the source does not name its classes"
        raise DataError(
            title + "".join(f"\n  - {problem}" for problem in problems[:5]),
            where=members.where,
            expected="data.yaml with names: [first, second], or " + ", ".join(_NAME_LISTS),
            action="mend it" if problems else "add one",
        )

    def _read_splits(self, description: dict[str, Any], members: Members) -> dict[str, Split]:
        given: dict[Split, set[str]] = {}
        for key, split in _SPLIT_KEYS.items():
            places = description.get(key)
            for place in [places] if isinstance(places, str) else places if isinstance(places, list) else []:
                given.setdefault(split, set()).update(self._images_at(str(place), members))
        if not given.get("train"):
            folders = {name: split_of(str(PurePosixPath(name).parent)) for name in self._images.names}
            said: dict[str, Split] = {name: split for name, split in folders.items() if split is not None}
            return said if "train" in said.values() else {}
        train = given.pop("train")
        splits: dict[str, Split] = dict.fromkeys(train, "train")
        for split, names in given.items():
            again = names & train
            whole = bool(again) and again == train
            if again:
                self.find(
                    "several_splits",
                    self._file,
                    f"{len(again):,} of the images of {split} are in train as well",
                    "different images in train and " + split,
                    # Small examples name one folder for both: what is split off train serves them better than nothing.
                    action=f"{split} is split off train instead" if whole else f"counted as {split} only",
                    severity="warning",
                )
            if not whole:
                splits |= dict.fromkeys(names, split)
        return splits

    def _images_at(self, place: str, members: Members) -> set[str]:
        """The images of a folder, or of a text file with a path in each line."""
        parts = relative_parts(place)
        for start in range(len(parts)):
            tail = "/" + "/".join(parts[start:])
            lists = [name for name in members.names if ("/" + name).endswith(tail) and suffix(name) == ".txt"]
            if len(lists) == 1:
                lines = self.read(lists[0]).decode("utf-8", "replace").splitlines()
                found = [(line, self._images.find(line, near=lists[0])) for line in lines if line.strip()]
                for line, images in found:
                    if len(images) != 1:
                        self.find(
                            "unknown_split_member",
                            lists[0],
                            f"{line.strip()!r} fits {len(images)} images",
                            "paths of existing images",
                            record=line.strip(),
                        )
                return {images[0] for _, images in found if len(images) == 1}
            folders = [folder for folder in members.folders if ("/" + folder).endswith(tail)]
            if len(folders) == 1:
                return {name for name in self._images.names if name.startswith(folders[0] + "/")}
        return set()

    def _objects(self, label: str) -> tuple[list[RawObject], int]:
        """The objects of a label file, and how many lines are none."""
        objects, num_broken = [], 0
        # Exporters repeat lines, and Ultralytics drops what is repeated.
        seen: set[str] = set()
        for number, line in enumerate(self.read(label).decode("utf-8", "replace").splitlines(), start=1):
            if not line.strip() or line in seen:
                continue
            seen.add(line)
            try:
                words = line.split()
                name, corners = self._parse(words)
            except ValueError as error:
                self.find("bad_object", label, str(error), _EXPECTED, record=f"line {number}")
                num_broken += 1
                continue
            if len(words) > 5 and not self._has_key_points:
                self._first_polygon = self._first_polygon if self._num_polygons else (label, f"line {number}")
                self._num_polygons += 1
            else:
                self._num_boxes += 1
            objects.append(RawObject(name=name, corners=corners, box_xyxy=corners, record=f"line {number} ({name})"))
        return objects, num_broken

    def _parse(self, words: list[str]) -> tuple[str, tuple[float, float, float, float]]:
        """Class and box of one line.

        Raises:
            ValueError: it is none.
        """
        try:
            number, *values = [float(word) for word in words]
        except ValueError:
            raise ValueError(f"{' '.join(words)[:60]!r} are not numbers") from None
        name = self._classes.get(int(number)) if number.is_integer() else None
        if name is None:
            raise ValueError(f"there is no class {words[0]}: {self._file} names {len(self._classes)}, from 0")
        if not all(math.isfinite(value) for value in values):
            raise ValueError("a value is not finite")
        if self._has_key_points:
            values = values[:4]
        if len(values) == 4:
            x, y, width, height = values
            if not (0 <= x <= 1 and 0 <= y <= 1):
                raise ValueError(f"the center ({x:g}, {y:g}) is no fraction of the image's sides")
            return name, (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        if len(values) < 6 or len(values) % 2:
            hint = ", as predictions have with their score" if len(values) == 5 else ""
            raise ValueError(f"{len(words)} values{hint}")
        xs, ys = values[::2], values[1::2]
        if min(values) < -1 or max(values) > 2:
            raise ValueError("the polygon's points are no fractions of the image's sides")
        return name, (min(xs), min(ys), max(xs), max(ys))


def _numbered(names: Any) -> dict[int, str]:
    """`[a, b]` or `{0: a, 1: b}` as numbers to names.

    Raises:
        ValueError: neither of them.
    """
    pairs = enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, dict) else ()
    classes = {int(number): str(name).strip() for number, name in pairs}
    if not classes or not all(classes.values()):
        raise ValueError("names is neither a list of names nor a mapping from numbers to names")
    return classes


def _label_of(image: str, texts: set[str]) -> str | None:
    """The label file: below `labels` instead of the last `images`, or beside the image."""
    stem = "/" + image.removesuffix(PurePosixPath(image).suffix)
    before, images, after = stem.rpartition("/images/")
    places = [f"{before}/labels/{after}.txt"] if images else []
    return next((place[1:] for place in (*places, stem + ".txt") if place[1:] in texts), None)
