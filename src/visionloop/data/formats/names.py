"""Images by the names that other files call them, and splits by the names of files and folders."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from visionloop.core.images import SUFFIXES
from visionloop.data.samples import Split

SPLIT_NAMES: dict[str, Split] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Names (in any case) that say a split."""


def suffix(name: str) -> str:
    """Lower-case file name ending with its dot."""
    return PurePosixPath(name).suffix.lower()


def split_of(name: str) -> Split | None:
    """The split that a file's own name or, else, the nearest of its folders says, such as `instances_val2017.json`.

    Examples:
        >>> split_of("annotations/instances_train2017.json"), split_of("valid/_annotations.coco.json")
        ('train', 'val')
        >>> split_of("trains/retest.json") is None
        True
    """
    path = PurePosixPath(name)
    for part in (path.stem, *reversed(path.parts[:-1])):
        for word in re.findall(r"[a-z]+", part.lower()):
            if word in SPLIT_NAMES:
                return SPLIT_NAMES[word]
    return None


def find_root(names: Sequence[str]) -> str:
    """The folders (empty, or ending in `/`) around the whole, such as an archive's own; a split's folder is none."""
    root = ""
    while True:
        tops = {name[len(root) :].partition("/")[0] for name in names}
        if len(tops) != 1 or split_of(only := tops.pop()) or any("/" not in name[len(root) :] for name in names):
            return root
        root += only + "/"


def likely_kind(names: Sequence[str]) -> str | None:
    """The layout (`data.source.kind`) that a source's files look like; None where they look like none."""
    suffixes = {suffix(name) for name in names}
    paths = [PurePosixPath(name) for name in names]
    if any(path.suffix == ".txt" and "labels" in path.parts[:-1] for path in paths):
        return "yolo"
    if any(path.suffix == ".xml" and path.parent.name.lower() == "annotations" for path in paths):
        return "voc"
    if any(path.suffix == ".json" and re.search("coco|instances|annotations", path.name.lower()) for path in paths):
        return "coco"
    if {".csv", ".tsv"} & suffixes:
        return "csv"
    folders = {path.parent for path in paths if path.suffix.lower() in SUFFIXES}
    return "folder" if len(folders) > 1 else None


def relative_parts(name: str) -> tuple[str, ...]:
    r"""The parts of somebody else's path, which may begin on another machine.

    Examples:
        >>> relative_parts(r"C:\data\..\train\a.jpg"), relative_parts("../train//a.jpg")
        (('data', 'train', 'a.jpg'), ('train', 'a.jpg'))
    """
    parts = name.strip().replace("\\", "/").split("/")
    return tuple(part for part in parts if part not in ("", ".", "..") and not part.endswith(":"))


class Images:
    """The images of a source, found by the end of their path: annotations seldom know where images lie now."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = [name for name in names if suffix(name) in SUFFIXES]
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name in self.names:
            path = PurePosixPath(name)
            self._by_name[path.name].append(name)
            self._by_stem[path.stem].append(name)

    def find(self, name: str, *, near: str = "", split: Split | None = None) -> list[str]:
        """The images that `name` may mean, none or several of them only where it fits none or several equally well.

        Args:
            name: File name or path, whole or in part; its ending may be left out.
            near: The file that says the name: of images that fit alike, those of its own folders are meant.
            split: The split it says they belong to: then, those whose path says the same.
        """
        parts = relative_parts(name)
        if not parts:
            return []
        candidates = self._by_name.get(parts[-1]) or self._by_stem.get(parts[-1]) or []
        if len(candidates) < 2:
            return candidates
        folders = PurePosixPath(near).parts[:-1]

        def fit(candidate: str) -> tuple[int, bool, int]:
            path = PurePosixPath(candidate).parts
            return (
                _alike(path[-2::-1], parts[-2::-1]),
                split is not None and split_of(candidate) == split,
                _alike(path[:-1], folders),
            )

        best = max(fit(candidate) for candidate in candidates)
        return [candidate for candidate in candidates if fit(candidate) == best]


def _alike(first: Sequence[str], second: Sequence[str]) -> int:
    """How many of the first elements are the same."""
    count = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        count += 1
    return count
