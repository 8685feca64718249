"""Class folders: `<split>/<class>/<image>` or `<class>/<image>`, at whatever depth the folders begin."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath

from visionloop.core.errors import DataError
from visionloop.core.images import SUFFIXES
from visionloop.data.findings import Finding
from visionloop.data.formats.members import Members
from visionloop.data.formats.record import RawObject, Record
from visionloop.data.samples import Split
from visionloop.data.settings import SourceSettings

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def read(members: Members, settings: SourceSettings) -> Iterator[Record | Finding]:  # noqa: ARG001
    """Records of class folders.

    Raises:
        DataError: images lie beside class folders, or in none.
    """
    images = [name for name in members.names if name.lower().endswith(SUFFIXES)]
    if not images:
        raise DataError(
            "the source holds no image",
            where=members.where,
            expected=f"files ending in {', '.join(SUFFIXES)} below class folders",
            action="correct data.source.path, or convert the images",
        )
    depth = _common_depth(images)
    for name in images:
        parts = PurePosixPath(name).parts[depth:]
        split = SPLIT_NAMES.get(parts[0].lower()) if len(parts) > 2 else None
        folders = parts[1:-1] if split else parts[:-1]
        if len(folders) != 1:
            raise DataError(
                f"image {name} lies in {'no class folder' if not folders else 'folders ' + '/'.join(folders)}",
                where=members.where,
                expected="<class>/<image>, or <split>/<class>/<image> with train, val, test",
                action="move the images into one folder a class",
            )
        yield Record(
            member=name,
            read=partial(members.read, name),
            split=split,
            objects=(RawObject(class_name=folders[0]),),
            annotation=name,
        )


def _common_depth(images: list[str]) -> int:
    """Folders that all images share and that are neither a split nor the class: an archive's own folder."""
    folders = [PurePosixPath(name).parts[:-1] for name in images]
    depth = 0
    while all(len(parts) > depth + 1 and parts[depth] == folders[0][depth] for parts in folders):
        if folders[0][depth].lower() in SPLIT_NAMES:
            break
        depth += 1
    return depth
