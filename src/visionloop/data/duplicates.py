"""Images with the very same bytes: what that means for labels and splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from visionloop.data.findings import Finding
from visionloop.data.samples import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the duplicate check needs to know of a sample.

    Attributes:
        file: Name in the source.
        sha256: Of the image's bytes.
        split: Its side; None while it has none.
        label: Its class where there is exactly one, else empty.
    """

    file: str
    sha256: str
    split: Split | None
    label: str


def check_labels(identities: Sequence[Identity]) -> dict[str, Finding]:
    """Exact duplicates with different labels, by hash: none of them can be learned from. One finding names them all."""
    return {
        first.sha256: Finding(
            rule="conflicting_labels",
            severity="error",
            file=first.file,
            found="the same bytes have different labels: "
            + ", ".join(f"{item.label!r} ({item.file})" for item in (first, *others)),
            expected="one label for equal images",
            action="all of them kept out; decide which is right and remove the others",
        )
        for first, *others in _equal(identities)
        if {item.label for item in others} - {first.label}
    }


def check_leaks(identities: Sequence[Identity]) -> list[Finding]:
    """Exact duplicates that lie in different splits."""
    return [
        Finding(
            rule="leak",
            severity="warning",
            file=other.file,
            found=f"the same bytes as {first.file}, which is in {first.split}; this one is in {other.split}",
            expected="one split for equal images",
            action="kept; scores on that split flatter",
        )
        for first, *others in _equal(identities)
        for other in others
        if other.split != first.split
    ]


def _equal(identities: Sequence[Identity]) -> list[list[Identity]]:
    """Those with equal bytes, two or more a group, in order of file."""
    groups: dict[str, list[Identity]] = {}
    for identity in identities:
        groups.setdefault(identity.sha256, []).append(identity)
    return [sorted(group, key=lambda item: item.file) for group in groups.values() if len(group) > 1]
