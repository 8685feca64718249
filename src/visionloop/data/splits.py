"""Which split a sample belongs to: the official one, else one that a hash gives and growth does not change."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from visionloop.data.samples import Split
from visionloop.data.settings import SplitSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitItem:
    """What the assignment looks at.

    Attributes:
        group: Samples of one group get one split.
        official: The source's own split, or None.
        classes: Ids of the classes in the sample.
    """

    group: str
    official: Split | None
    classes: frozenset[int]


def assign_splits(items: Sequence[SplitItem], settings: SplitSettings) -> list[Split]:
    """A split for every item, in order.

    Official splits are honoured. A missing validation split is taken from the official training images; without
    any official split, validation and test are taken from all. Each group draws a number in [0, 1) from a hash
    of its name, and thresholds on it decide, so a group keeps its side when others are added. Classes are
    stratified by expectation; a class with three or more groups that would miss a split gives it the group with
    the smallest number of those it has to spare.
    """
    present = {item.official for item in items} - {None}
    carve_test = not present
    carve_val = "val" not in present
    numbers = {item.group: group_number(item.group, settings.seed) for item in items}
    test_below = settings.test_fraction if carve_test else 0.0
    val_below = test_below + (settings.val_fraction if carve_val else 0.0)
    drawn: list[Split] = []
    for item in items:
        free = item.official is None or (item.official == "train" and carve_val)
        number = numbers[item.group]
        if not free:
            drawn.append(item.official or "train")
        elif number < test_below:
            drawn.append("test")
        else:
            drawn.append("val" if number < val_below else "train")
    wanted: list[Split] = [*(["test"] if carve_test else []), *(["val"] if carve_val else [])]  # type: ignore[list-item]
    return _fill_gaps(items, drawn, numbers, wanted)


def group_number(group: str, seed: int) -> float:
    """A number in [0, 1) that depends on the group's name and the seed alone."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def _fill_gaps(
    items: Sequence[SplitItem], drawn: list[Split], numbers: dict[str, float], wanted: Sequence[Split]
) -> list[Split]:
    """Give each class with three or more groups a group in every split that was carved."""
    by_group = {item.group: split for item, split in zip(items, drawn, strict=True)}
    fixed = {item.group for item in items if item.official in ("val", "test")}
    for class_id in sorted({class_id for item in items for class_id in item.classes}):
        groups = sorted({item.group for item in items if class_id in item.classes}, key=lambda name: numbers[name])
        if len(groups) < 3:
            continue
        for split in (*wanted, "train"):
            held = Counter(by_group[group] for group in groups)
            donors = [group for group in groups if held[by_group[group]] > 1 and group not in fixed]
            if not held[split] and donors:
                by_group[donors[0]] = split
    # A group with both official and free members follows each member's own official split.
    return [
        split if item.official in ("val", "test") else by_group[item.group] if item.group not in fixed else split
        for item, split in zip(items, drawn, strict=True)
    ]
