"""Pascal VOC: `JPEGImages/*`, `Annotations/*.xml`, and splits in `ImageSets/Main/*.txt`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

from visionloop.core.errors import DataError
from visionloop.core.images import SUFFIXES
from visionloop.core.xml import parse_xml
from visionloop.data.formats.members import Members
from visionloop.data.formats.names import suffix
from visionloop.data.formats.source import RawObject, Record, Source, unsupported
from visionloop.data.samples import Split

_ANNOTATIONS = ("Annotations", "annotations")
_IMAGES = ("JPEGImages", "images", "Images")
_SPLIT_FILES: dict[str, Split] = {"train": "train", "val": "val", "test": "test"}
_FLAGS = ("difficult", "truncated", "occluded")
_MAX_XML_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one XML file says.

    Attributes:
        objects: In the file's order.
        declared_size: Width and height in pixels, or None where absent or zero.
        problems: Objects that cannot be understood: (record, what is wrong).
    """

    objects: tuple[RawObject, ...]
    declared_size: tuple[int, int] | None
    problems: tuple[tuple[str, str], ...]


class VocSource(Source):
    """Images joined to annotations by file stem; no label map is needed.

    Where split lists exist they decide which images count; `trainval` stands for `train` when neither
    `train` nor `val` is given.
    """

    def __init__(self, members: Members, *, one_based: bool) -> None:
        super().__init__(members)
        self._one_based = one_based
        root, self._annotations = _find_annotations(members)
        folders = tuple(root + folder + "/" for folder in _IMAGES)
        inside = [name for name in members.names if name.startswith(folders)]
        self._images: dict[str, str] = {}
        for name in inside:
            if suffix(name) in SUFFIXES:
                self._add_image(name)
        self.findings += unsupported([name for name in inside if suffix(name) not in SUFFIXES])
        lists = root + "ImageSets/Main/"
        self._splits = self._read_splits(members, lists)
        known = {*inside, *self._annotations.values()}
        self.ignored += tuple(name for name in members.names if name not in known and not _is_split_list(name, lists))

    def __len__(self) -> int:
        return len(self._images)

    def records(self) -> Iterator[Record]:
        """Images with an annotation, of the listed ones where there are lists; the others become findings."""
        stems = sorted(self._images.keys() | self._annotations.keys())
        if self._splits:
            unlisted = [stem for stem in stems if stem not in self._splits]
            self._report_unlisted(unlisted)
            stems = [stem for stem in stems if stem in self._splits]
        for stem in stems:
            record = self._record(stem)
            if record is not None:
                yield record

    def _add_image(self, name: str) -> None:
        stem = PurePosixPath(name).stem
        first = self._images.setdefault(stem, name)
        if first != name:
            self.find("duplicate_id", name, f"its annotation would also belong to {first}", "one image a stem")

    def _read_splits(self, members: Members, folder: str) -> dict[str, Split]:
        """Stem to split. An image listed twice stays with the split that is looked at last: test, then val."""
        lists = {PurePosixPath(name).stem: name for name in members.names if _is_split_list(name, folder)}
        names: dict[str, Split] = {stem: split for stem, split in _SPLIT_FILES.items() if stem in lists}
        if "trainval" in lists and not {"train", "val"} & names.keys():
            names["trainval"] = "train"
        splits: dict[str, Split] = {}
        for stem, split in names.items():
            for line in self.read(lists[stem]).decode("utf-8", "replace").splitlines():
                if line.strip():
                    self._list_member(line.split()[0], split, lists[stem], splits)
        return splits

    def _list_member(self, member: str, split: Split, file: str, splits: dict[str, Split]) -> None:
        if member not in self._images and member not in self._annotations:
            self.find(
                "unknown_split_member", file, f"{member!r} is no image", "stems of existing images", record=member
            )
            return
        earlier = splits.get(member)
        if earlier not in (None, split):
            self.find(
                "several_splits",
                file,
                f"{member!r} is in {earlier} as well",
                "one split an image",
                record=member,
                action=f"counted as {split} only",
                severity="warning",
            )
        splits[member] = split

    def _report_unlisted(self, stems: list[str]) -> None:
        if stems:
            self.find(
                "not_in_any_split",
                self._images.get(stems[0]) or self._annotations[stems[0]],
                f"no list of ImageSets/Main has {len(stems)} of the images",
                "every image in one list",
                action="left out; add them to a list, or remove the lists",
                severity="warning",
            )

    def _record(self, stem: str) -> Record | None:
        image, annotation = self._images.get(stem), self._annotations.get(stem)
        if annotation is None:
            assert image is not None
            self.find(
                "missing_annotation",
                image,
                "there is no annotation of this image",
                f"Annotations/{stem}.xml",
                action="kept out; an image without objects needs an annotation that says so",
            )
            return None
        if image is None:
            self.find("missing_image", annotation, "there is no image for this annotation", f"JPEGImages/{stem}.*")
            return None
        try:
            parsed = parse_annotation(self.read(annotation), one_based=self._one_based)
        except ValueError as error:
            self.find("bad_annotation", annotation, str(error), "Pascal VOC XML")
            return None
        for record, problem in parsed.problems:
            self.find("bad_object", annotation, problem, "a name and a bndbox with four numbers", record=record)
        return Record(
            member=image,
            key=stem,
            annotation=annotation,
            split=self._splits.get(stem),
            objects=parsed.objects,
            declared_size=parsed.declared_size,
            num_broken=len(parsed.problems),
        )


def parse_annotation(data: bytes, *, one_based: bool) -> Annotation:
    """Parse one Pascal VOC file.

    Args:
        data: XML. Document types and entities are refused: they can make a parser read files or eat memory.
        one_based: Whether (xmin, ymin) = (1, 1) is the first pixel and (xmax, ymax) the last inside; then
            our box is (xmin - 1, ymin - 1, xmax, ymax).

    Raises:
        ValueError: not XML we accept, or not an `annotation`.
    """
    root = parse_xml(data, max_bytes=_MAX_XML_BYTES)
    if root.tag != "annotation":
        raise ValueError(f"the root element is <{root.tag[:60]}>, not <annotation>")
    elements = root.findall("object")
    objects: list[RawObject] = []
    problems: list[tuple[str, str]] = []
    for index, element in enumerate(elements):
        name = (element.findtext("name") or "").strip()
        record = f"object {index}" + (f" ({name})" if name else "")
        try:
            objects.append(_parse_object(element, name, record, one_based=one_based))
        except ValueError as error:
            problems.append((record, str(error)))
    return Annotation(tuple(objects), _declared_size(root), tuple(problems))


def _parse_object(element: Element, name: str, record: str, *, one_based: bool) -> RawObject:
    if not name:
        raise ValueError("the object has no name")
    box = element.find("bndbox")
    if box is None:
        raise ValueError("the object has no bndbox")
    x1, y1, x2, y2 = (_number(box, key) for key in ("xmin", "ymin", "xmax", "ymax"))
    shift = 1.0 if one_based else 0.0
    flags = tuple(flag for flag in _FLAGS if (element.findtext(flag) or "").strip() == "1")
    box_xyxy = (x1 - shift, y1 - shift, x2, y2)
    return RawObject(name=name, corners=(x1, y1, x2, y2), box_xyxy=box_xyxy, flags=flags, record=record)


def _number(box: Element, key: str) -> float:
    text = (box.findtext(key) or "").strip()
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{key} is {text!r}, not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{key} is {text!r}, not a finite number")
    return value


def _declared_size(root: Element) -> tuple[int, int] | None:
    try:
        width, height = (int(float(root.findtext(f"size/{key}") or 0)) for key in ("width", "height"))
    except (ValueError, OverflowError):
        return None
    # Some tools write 0 x 0 for "unknown".
    return (width, height) if width > 0 and height > 0 else None


def _is_split_list(name: str, folder: str) -> bool:
    return name.startswith(folder) and PurePosixPath(name).name in ("train.txt", "val.txt", "test.txt", "trainval.txt")


def _find_annotations(members: Members) -> tuple[str, dict[str, str]]:
    """The folder that holds `Annotations/` (empty or ending in `/`), and stem to annotation file."""
    by_root: dict[str, dict[str, str]] = {}
    for name in members.names:
        path = PurePosixPath(name)
        if path.suffix.lower() == ".xml" and path.parent.name in _ANNOTATIONS:
            root = name[: -len(f"{path.parent.name}/{path.name}")]
            by_root.setdefault(root, {})[path.stem] = name
    if len(by_root) == 1:
        return next(iter(by_root.items()))
    if not by_root:
        raise DataError(
            "the source holds no Pascal VOC annotations",
            where=members.where,
            expected="Pascal VOC: JPEGImages/*.jpg with Annotations/*.xml",
            action="correct data.source.path, or choose another data.source.kind",
        )
    raise DataError(
        f"the source holds {len(by_root)} datasets: " + ", ".join(root.rstrip("/") or "." for root in sorted(by_root)),
        where=members.where,
        expected="one folder with Annotations/ in it",
        action="let data.source.path name one of them",
    )
