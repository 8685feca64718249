"""What a source is: records in somebody else's layout, read one at a time."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from visionloop.data.findings import Finding, Severity
from visionloop.data.formats.members import Members
from visionloop.data.formats.names import likely_kind, suffix
from visionloop.data.samples import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class RawObject:
    """One object as the source names it.

    Attributes:
        name: Class name.
        corners: (xmin, ymin, xmax, ymax) as written in the source; None without a box.
        box_xyxy: The same in our convention (pixels, 0-based, x2 and y2 outside), neither clipped nor checked.
        flags: Such as `difficult`.
        record: Where in the annotation file, such as `object 3 (RBC)`.
    """

    name: str
    corners: tuple[float, float, float, float] | None = None
    box_xyxy: tuple[float, float, float, float] | None = None
    flags: tuple[str, ...] = ()
    record: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One image of a source.

    Attributes:
        member: The image's name inside the source.
        key: Short name that tells it from the others, without file ending; the sample's id is made from it.
        annotation: Name of the file that holds its objects; empty when the layout itself says them.
        split: As the source declares it, or None.
        objects: As found.
        declared_size: Width and height that the annotation states, or None.
        num_broken: Objects of the annotation that could not be read at all; findings name them.
        fractions: Whether boxes are fractions of the upright image's sides instead of pixels.
    """

    member: str
    key: str
    annotation: str = ""
    split: Split | None = None
    objects: tuple[RawObject, ...] = ()
    declared_size: tuple[int, int] | None = None
    num_broken: int = 0
    fractions: bool = False


class Source(ABC):
    """Records of one layout, in a fixed order, read lazily.

    Attributes:
        findings: Defects of the layout and the annotations; complete once `records` is exhausted.
        class_names: Names that the layout itself declares (class folders), maybe without any image.
        ignored: Names of files that are no part of the layout, such as `notes.txt` or `Thumbs.db`.
    """

    def __init__(self, members: Members) -> None:
        self._members = members
        self._hashes: dict[str, str] = {}
        self.findings: list[Finding] = []
        self.class_names: tuple[str, ...] = ()
        self.ignored: tuple[str, ...] = tuple(members.clutter)

    @abstractmethod
    def __len__(self) -> int:
        """Number of images the source has, before any of them is read."""

    @abstractmethod
    def records(self) -> Iterator[Record]:
        """Images with usable annotations in order of member name; the others become findings."""

    @property
    def where(self) -> str:
        """Folder or archive, for messages."""
        return self._members.where

    @property
    def likely_kind(self) -> str | None:
        """What the files look like; see `names.likely_kind`."""
        return likely_kind(self._members.names)

    def read(self, member: str) -> bytes:
        """A file's bytes; what was read counts towards `content_hash`."""
        data = self._members.read(member)
        self._hashes[member] = hashlib.sha256(data).hexdigest()
        return data

    @property
    def content_hash(self) -> str:
        """Hex SHA-256 over names and contents of everything read so far; the same for a folder and its archive."""
        lines = "".join(f"{name}\0{value}\n" for name, value in sorted(self._hashes.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def find(
        self,
        rule: str,
        file: str,
        found: str,
        expected: str,
        *,
        record: str = "",
        action: str = "kept out",
        severity: Severity = "error",
    ) -> None:
        """Add a finding."""
        self.findings.append(
            Finding(
                rule=rule, severity=severity, file=file, record=record, found=found, expected=expected, action=action
            )
        )

    def close(self) -> None:
        """Release the archive."""
        self._members.close()


def unsupported(names: Sequence[str]) -> list[Finding]:
    """Findings for files among the images that no decoder here reads, one for each ending."""
    by_suffix: dict[str, list[str]] = {}
    for name in names:
        by_suffix.setdefault(suffix(name) or "no ending", []).append(name)
    return [
        Finding(
            rule="unsupported_file",
            severity="warning",
            file=group[0],
            found=f"{len(group)} file{'s' * (len(group) > 1)} with {ending} among the images",
            expected="JPEG, PNG, WebP or BMP files",
            action="left out; convert them if they are images",
        )
        for ending, group in sorted(by_suffix.items())
    ]
