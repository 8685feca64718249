"""Splits: official ones are honoured, the rest is assigned by hash, so that a sample keeps its side.

Each group of samples (exact duplicates) has a position in [0, 1), the keyed hash of its name. The lowest
`test_fraction` of the line is test, the next `val_fraction` is val, the rest train. A position depends on
nothing but the seed and the group, so a growing dataset moves nobody, and duplicates share a side.
Classes are stratified by the law of large numbers only: counting within a class would make one sample's
side depend on the others.

One exception: a class that chance leaves out of a split is given the group of that class that lies
nearest to the split's stretch of the line. This happens with a handful of samples a class, and only
there may a later sample, lying nearer, send the first back to where its position says.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from visionloop.data.samples import SPLITS, Split
from visionloop.data.settings import SplitSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What splitting needs to know of a sample.

    Attributes:
        group: Samples of one group share a side.
        official: The source's split, or None.
        classes: Names of the classes in the image.
    """

    group: str
    official: Split | None
    classes: frozenset[str]


def assign_splits(members: Sequence[Member], settings: SplitSettings) -> list[Split]:
    """A split for each member, in the same order.

    Without official splits all members are divided. With them, a split that the source lacks (val, test
    or both) is carved out of its train split, by the same fractions; what it has stays untouched.

    Examples:
        >>> assign_splits([Member(group="a", official="test", classes=frozenset())], SplitSettings())
        ['test']
    """
    given = {member.official for member in members if member.official is not None}
    pool = [i for i, member in enumerate(members) if member.official in ((None,) if not given else (None, "train"))]
    wanted = [split for split in SPLITS if split == "train" or split not in given]
    chosen = _divide([members[i] for i in pool], wanted, settings)
    splits: list[Split] = [member.official or "train" for member in members]
    for i, split in zip(pool, chosen, strict=True):
        splits[i] = split
    return splits


def position(group: str, seed: int) -> float:
    """Where a group lies on the line [0, 1); uniform over groups, fixed for ever for a seed."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 56)


def _divide(members: Sequence[Member], wanted: Sequence[Split], settings: SplitSettings) -> list[Split]:
    positions = {member.group: position(member.group, settings.seed) for member in members}
    stretches = _stretches(wanted, settings)
    sides = {group: _side(value, stretches) for group, value in positions.items()}
    classes: dict[str, set[str]] = defaultdict(set)
    for member in members:
        classes[member.group] |= member.classes
    _cover_classes(sides, positions, classes, stretches)
    return [sides[member.group] for member in members]


def _stretches(wanted: Sequence[Split], settings: SplitSettings) -> dict[Split, tuple[float, float]]:
    """The part [start, end) of the line of each wanted split: test lowest, then val, then train."""
    test = settings.test_fraction if "test" in wanted else 0.0
    val = settings.val_fraction if "val" in wanted else 0.0
    stretches: dict[Split, tuple[float, float]] = {
        "train": (test + val, 1.0),
        "test": (0.0, test),
        "val": (test, test + val),
    }
    return {split: stretch for split, stretch in stretches.items() if split in wanted}


def _side(value: float, stretches: dict[Split, tuple[float, float]]) -> Split:
    return next(split for split, (start, end) in stretches.items() if start <= value < end)


def _cover_classes(
    sides: dict[str, Split],
    positions: dict[str, float],
    classes: dict[str, set[str]],
    stretches: dict[Split, tuple[float, float]],
) -> None:
    """Move as few groups as needed (in `sides`) until every class with enough groups is in every split.

    Train comes first: a class with one or two groups is learnt from before it is measured.
    """
    groups_of: dict[str, list[str]] = defaultdict(list)
    for group, names in classes.items():
        for name in names:
            groups_of[name].append(group)
    counts = {name: _count(groups, sides) for name, groups in groups_of.items()}
    rarest_first = sorted(groups_of, key=lambda name: (len(groups_of[name]), name))
    for name in rarest_first:
        num_needed = 3 if len(groups_of[name]) >= 3 else 1
        for split in ("train", "test", "val")[:num_needed]:
            if split not in stretches or counts[name][split]:
                continue
            movable = [group for group in groups_of[name] if _can_leave(classes[group], sides[group], name, counts)]
            if split == "train" and not movable:
                movable = groups_of[name]
            if movable:
                start, end = stretches[split]
                nearest = min(movable, key=lambda g: (max(start - positions[g], positions[g] - end, 0.0), g))
                _move(nearest, split, sides, classes, counts)


def _count(groups: Sequence[str], sides: dict[str, Split]) -> dict[Split, int]:
    counts: dict[Split, int] = dict.fromkeys(SPLITS, 0)
    for group in groups:
        counts[sides[group]] += 1
    return counts


def _can_leave(names: set[str], side: Split, needy: str, counts: dict[str, dict[Split, int]]) -> bool:
    """Whether no class of the group loses its last group on that side.

    A class with a single group outside train may well lose it to train.
    """
    return all(counts[name][side] > 1 or (name == needy and sum(counts[name].values()) == 1) for name in names)


def _move(
    group: str, split: Split, sides: dict[str, Split], classes: dict[str, set[str]], counts: dict[str, dict[Split, int]]
) -> None:
    for name in classes[group]:
        counts[name][sides[group]] -= 1
        counts[name][split] += 1
    sides[group] = split
