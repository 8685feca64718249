"""What sources have in common whose annotation files list images by name: COCO and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from visionloop.data.formats.members import Members
from visionloop.data.formats.names import Images, find_root
from visionloop.data.formats.source import RawObject, Record, Source
from visionloop.data.samples import SPLITS, Split


@dataclass(slots=True, kw_only=True)
class Listed:
    """An image that is listed, and what is said of it so far.

    Attributes:
        member: The image's name inside the source.
        annotation: The file that lists it.
        split: What that file says.
        objects, num_broken, declared_size, fractions: As in `Record`.
    """

    member: str
    annotation: str
    split: Split | None
    objects: list[RawObject] = field(default_factory=list)
    num_broken: int = 0
    declared_size: tuple[int, int] | None = None
    fractions: bool = False


class ListedSource(Source):
    """Images that annotation files list. A split counts where one of the files says `train`."""

    def __init__(self, members: Members) -> None:
        super().__init__(members)
        self.images = Images(members.names)
        self._listed: dict[str, Listed] = {}
        self.num_missing = 0
        self._root = find_root(members.names)

    def __len__(self) -> int:
        return len(self._listed) + self.num_missing

    def records(self) -> Iterator[Record]:
        """The images listed, in order of name."""
        self._report_unlisted()
        has_splits = any(item.split == "train" for item in self._listed.values())
        for member, item in sorted(self._listed.items()):
            yield Record(
                member=member,
                key=key_of(member[len(self._root) :]),
                annotation=item.annotation,
                split=item.split if has_splits else None,
                objects=tuple(item.objects),
                declared_size=item.declared_size,
                num_broken=item.num_broken,
                fractions=item.fractions,
            )

    def list_image(self, name: str, *, annotation: str, record: str, split: Split | None) -> Listed | None:
        """The image that `annotation` lists under `name`; None, with a finding, where it is missing or not certain.

        Of two files with different splits that list one image the later split of train, val, test wins: what is
        tested on is never trained on.
        """
        found = self.images.find(name, near=annotation, split=split)
        if len(found) != 1:
            self.num_missing += 1
            several = f"{name!r} fits {len(found)} images ({', '.join(found[:3])})"
            problem = several if found else f"there is no image {name!r}"
            self.find(
                "missing_image", annotation, problem, "the file name or path of one image of the source", record=record
            )
            return None
        earlier = self._listed.get(found[0])
        if earlier is not None and earlier.split == split:
            self.find("duplicate_id", annotation, f"{found[0]} is listed already", "each image once", record=record)
            return None
        if earlier is not None:
            kept = max((earlier.split, split), key=lambda word: -1 if word is None else SPLITS.index(word))
            self.find(
                "several_splits",
                annotation,
                f"{found[0]} is in {earlier.split} as well",
                "one split an image",
                record=record,
                action=f"counted as {kept} only",
                severity="warning",
            )
            if kept == earlier.split:
                return None
        self._listed[found[0]] = Listed(member=found[0], annotation=annotation, split=split)
        return self._listed[found[0]]

    def _report_unlisted(self) -> None:
        unlisted = [name for name in self.images.names if name not in self._listed]
        if unlisted:
            self.find(
                "unlisted_image",
                unlisted[0],
                f"no annotation file lists {len(unlisted):,} of the images",
                "every image in an annotation file, those without objects too",
                action="left out; list them, or remove them",
                severity="warning",
            )


def key_of(name: str) -> str:
    """A record's key: the path without ending, and without folders that only say that images are in them."""
    path = PurePosixPath(name)
    return "/".join([*(part for part in path.parts[:-1] if part.lower() not in ("images", "data")), path.stem])
