"""Splits: official ones are honoured, the rest is assigned by hash, stratified, so that a sample keeps its side.

Each group of samples (exact duplicates) has a position in [0, 1), the keyed hash of its name. The lowest
`test_fraction` of the line is test, the next `val_fraction` is val, the rest train. A position depends on
nothing but the seed and the group, so a growing dataset moves nobody, and duplicates share a side.

Chance alone would give a class of 40 images between 1 and 11 of 6 for test. So where a class (an image's
rarest, where it shows several) has more or fewer groups in a split than its share by over a tenth, and by
more than one, the border moves past the groups nearest to it. The tenth is what keeps sides: in a class of
hundreds the border seldom moves at all, while an exact share would move with every sample that is added.
When a class of 40, 100, 400, 1,000 groups doubles, 1.9, 3.3, 3.3, 1.6 of them change sides on average (1.8,
3.2, 8.0, 13.9 with exact shares), between neighbours: from train to test at once goes none.

A class that is still left out of a split is given the group of that class that lies nearest to the
split's stretch of the line; this happens with a handful of samples a class.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from visionloop.data.samples import SPLITS, Split
from visionloop.data.settings import SplitSettings

_SLACK = 0.1
"""Part of a class's share in a split by which chance may miss it."""
_ROUNDING = 1e-9


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
    classes: dict[str, set[str]] = defaultdict(set)
    for member in members:
        classes[member.group] |= member.classes
    sides: dict[str, Split] = {}
    for groups in _strata(classes):
        sides |= _sides(sorted(groups, key=lambda group: (positions[group], group)), positions, stretches)
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


def _strata(classes: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups by their rarest class; those without a class are a stratum too."""
    counts = Counter(name for names in classes.values() for name in names)
    strata: dict[str, list[str]] = defaultdict(list)
    for group, names in classes.items():
        strata[min(names, key=lambda name: (counts[name], name), default="")].append(group)
    return list(strata.values())


def _sides(
    groups: Sequence[str], positions: Mapping[str, float], stretches: Mapping[Split, tuple[float, float]]
) -> dict[str, Split]:
    """Sides of one stratum's groups, which come in order of position."""
    sides: dict[str, Split] = dict.fromkeys(groups, "train")
    begin = 0
    for split in ("test", "val"):
        if split in stretches:
            start, end = stretches[split]
            share = len(groups) * (end - start)
            count = sum(positions[group] < end for group in groups) - begin
            fewest, most = share - _slack(share), share + _slack(share)
            count = min(max(count, math.ceil(fewest - _ROUNDING)), math.floor(most + _ROUNDING))
            sides |= dict.fromkeys(groups[begin : begin + count], split)
            begin += count
    return sides


def _slack(share: float) -> float:
    """How many groups a stratum may have more or fewer than its share of a split."""
    return max(1.0, _SLACK * share)


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
