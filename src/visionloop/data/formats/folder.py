"""Image folders: one folder a class, with or without train, val and test above them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from visionloop.core.errors import DataError
from visionloop.core.images import SUFFIXES
from visionloop.data.findings import Finding
from visionloop.data.formats.members import Members
from visionloop.data.formats.names import SPLIT_NAMES, suffix
from visionloop.data.formats.source import RawObject, Record, Source, unsupported
from visionloop.data.samples import Split


class FolderSource(Source):
    """`<class>/<anything>.png`, or `<split>/<class>/<anything>.png`; deeper folders belong to their class.

    The layout has splits when a folder `train` lies beside the others. Folders around the whole
    (`photos/train/...`) are found by themselves.
    """

    def __init__(self, members: Members) -> None:
        super().__init__(members)
        images = [name for name in members.names if suffix(name) in SUFFIXES]
        if not images:
            raise DataError(
                "the source holds no images",
                where=members.where,
                expected="files ending in " + ", ".join(SUFFIXES) + ", in one folder for each class",
                action="correct the setting data.source.path",
            )
        self._root = _find_root(images)
        self._has_splits = "train" in _tops(images, self._root)
        if not any(self._inside(name) for name in images):
            raise _no_class_folders(images, members.where)
        self._images = images
        self.class_names = tuple(sorted(self._classes(members.folders)))
        others = [name for name in members.names if suffix(name) not in SUFFIXES]
        self.findings += unsupported([name for name in others if self._inside(name)])
        self.ignored += tuple(name for name in others if not self._inside(name))

    def __len__(self) -> int:
        return len(self._images)

    def records(self) -> Iterator[Record]:
        """Images in class folders; those elsewhere become findings."""
        for name in self._images:
            parts = name[len(self._root) :].split("/")
            split: Split | None = None
            if self._has_splits:
                split = SPLIT_NAMES.get(parts.pop(0).lower())
                if split is None:
                    self.findings.append(_outside(name, "unknown_split", "a folder named train, val or test"))
                    continue
            if len(parts) < 2:
                self.findings.append(_outside(name, "missing_annotation", "a folder that names the class"))
                continue
            key = name[len(self._root) :].removesuffix(PurePosixPath(name).suffix)
            yield Record(member=name, key=key, split=split, objects=(RawObject(name=parts[0]),))

    def _inside(self, name: str) -> bool:
        """Whether a file lies in a class folder, where one expects images only."""
        return name.startswith(self._root) and name.count("/", len(self._root)) >= (2 if self._has_splits else 1)

    def _classes(self, folders: list[str]) -> set[str]:
        depth = 1 if self._has_splits else 0
        names = set()
        for folder in folders:
            parts = (folder + "/")[len(self._root) :].rstrip("/").split("/") if folder.startswith(self._root) else []
            if len(parts) == depth + 1 and (depth == 0 or parts[0].lower() in SPLIT_NAMES):
                names.add(parts[depth])
        return names


def _no_class_folders(images: list[str], where: str) -> DataError:
    return DataError(
        f"none of the {len(images):,} images lies in a folder that names its class, as {images[0]!r} does not",
        where=where,
        expected="<class>/<image>, or <split>/<class>/<image>",
        action="put the images into one folder for each class",
    )


def _outside(name: str, rule: str, expected: str) -> Finding:
    return Finding(
        rule=rule,
        severity="error",
        file=name,
        found=f"the image lies in {str(PurePosixPath(name).parent)!r}",
        expected=expected,
        action="kept out; move it into the folder it belongs to",
    )


def _tops(names: list[str], root: str) -> set[str]:
    """Lower-case names of the folders directly below `root`."""
    return {name[len(root) :].split("/")[0].lower() for name in names if "/" in name[len(root) :]}


def _find_root(images: list[str]) -> str:
    """The prefix (empty or ending in `/`) below which splits or classes begin."""
    root = ""
    while True:
        tops = {name[len(root) :].split("/")[0] for name in images}
        only = next(iter(tops))
        deep_enough = all(name.count("/", len(root)) >= 2 for name in images)
        if len(tops) > 1 or only.lower() in SPLIT_NAMES or not deep_enough:
            return root
        root += only + "/"
