from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from visionloop.data.settings import SplitSettings
from visionloop.data.splits import SplitItem, assign_splits

groups = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3)), min_size=1, max_size=120)


def items(pairs: list[tuple[int, int]]) -> list[SplitItem]:
    return [SplitItem(group=str(group), official=None, classes=frozenset({label})) for group, label in pairs]


@settings(max_examples=80, deadline=None)
@given(groups)
def test_duplicates_share_a_side(pairs: list[tuple[int, int]]) -> None:
    splits = assign_splits(items(pairs), SplitSettings())
    sides: dict[int, set[str]] = {}
    for (group, _), split in zip(pairs, splits, strict=True):
        sides.setdefault(group, set()).add(split)
    assert all(len(found) == 1 for found in sides.values())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000))
def test_a_sample_keeps_its_side_as_the_dataset_grows(start: int) -> None:
    # Enough of each class that no gap has to be filled.
    pairs = [(start + number, number % 3) for number in range(600)]
    before = assign_splits(items(pairs[:400]), SplitSettings())
    after = assign_splits(items(pairs), SplitSettings())
    assert after[:400] == before


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 40), st.integers(0, 10_000))
def test_a_class_with_three_groups_is_in_every_split(count: int, start: int) -> None:
    splits = assign_splits(items([(start + number, 0) for number in range(count)]), SplitSettings())
    assert set(splits) == {"train", "val", "test"}


def test_fractions_are_kept_on_average() -> None:
    splits = assign_splits(
        items([(number, number % 5) for number in range(4000)]), SplitSettings(val_fraction=0.1, test_fraction=0.2)
    )
    assert abs(splits.count("val") / 4000 - 0.1) < 0.02
    assert abs(splits.count("test") / 4000 - 0.2) < 0.02


def test_validation_is_carved_from_official_train_only() -> None:
    pairs = [
        SplitItem(group=str(n), official="test" if n % 4 == 0 else "train", classes=frozenset({0})) for n in range(400)
    ]
    splits = assign_splits(pairs, SplitSettings())
    for item, split in zip(pairs, splits, strict=True):
        assert split == "test" if item.official == "test" else split in ("train", "val")
    assert splits.count("val") > 20
