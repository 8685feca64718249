"""Permutation tests: the p-value, and permuting groups of images in place of images."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_ENOUGH = 20
"""Permutations at least as extreme as the data after which a p-value is known well enough."""
_FIRST_BATCH, _BATCH = 100, 1000
"""Permutations drawn at once."""
_GROUPS = 40
"""Least number of groups of images a side is permuted in."""


def permutation_p(observed: float, draw: Callable[[int, int], Floats], permutations: int) -> float:
    """p-value of a statistic that is large under drift, by drawing it under permuted labels.

    Stops early where the data are clearly not extreme; J. Besag and P. Clifford, "Sequential Monte Carlo p-values",
    Biometrika 78 (1991): with the h-th draw at least as large at draw l, h / l is an exact p-value. Without it,
    (1 + exceedances) / (1 + draws).

    Args:
        observed: The statistic of the data.
        draw: Statistics of permuted data, from the permutation of this number on, so many.
        permutations: At most so many.
    """
    slack = 1e-9 * max(1.0, abs(observed))
    drawn = exceeding = 0
    while drawn < permutations:
        # Growing batches: what is clearly not extreme shows it in the first hundred.
        batch = draw(drawn, min(max(_FIRST_BATCH, drawn), _BATCH, permutations - drawn))
        hits = np.flatnonzero(batch >= observed - slack)
        if exceeding + len(hits) >= _ENOUGH:
            return float(_ENOUGH / (drawn + int(hits[_ENOUGH - exceeding - 1]) + 1))
        exceeding += len(hits)
        drawn += len(batch)
    return (1 + exceeding) / (1 + drawn)


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Images in groups of one size, each of one side; permutations exchange whole groups.

    C. Domingo-Enrich, R. Dwivedi and L. Mackey, "Cheap permutation testing" (2025): the p-value stays exact, as such
    permutations are a subgroup of all, the power hardly falls, and with groups of g a quadratic statistic costs 1/g^2.
    Images left over when a side is cut into groups keep their side, which leaves it a subgroup.

    Attributes:
        members: float32 [N,G+1], which group an image is in; the last column holds what is left over of the window.
        num_reference, num_window: Groups of each side.
    """

    members: npt.NDArray[np.float32]
    num_reference: int
    num_window: int

    @classmethod
    def make(cls, num_reference: int, num_window: int, rng: np.random.Generator) -> Self:
        """As large as leaves `_GROUPS` groups to the smaller side; images come into groups by chance."""
        size = max(1, min(num_reference, num_window) // _GROUPS)
        counts = num_reference // size, num_window // size
        members = np.zeros((num_reference + num_window, sum(counts) + 1), np.float32)
        for start, num, first, count in ((0, num_reference, 0, counts[0]), (num_reference, num_window, *counts)):
            order = start + rng.permutation(num)
            members[order[: count * size], first + np.arange(count * size) // size] = 1
            if start:
                members[order[count * size :], -1] = 1
        return cls(members, *counts)

    def draw(self, start: int, num: int) -> npt.NDArray[np.float32]:
        """Permuted labels of the groups, rows [B,G+1]: 1 in the window, at random places; always 1 in the last."""
        return _permuted(self.num_reference, self.num_window, start, num)

    def sums(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Sums over groups of the first axis: float32 [G+1,...]."""
        return np.asarray(self.members.T @ values.astype(np.float32), np.float32)

    @property
    def observed(self) -> npt.NDArray[np.float32]:
        """The labels as they are, [1,G+1]."""
        return np.repeat(np.array([0, 1], np.float32), [self.num_reference, self.num_window + 1])[None]


@functools.lru_cache(maxsize=32)
def _permuted(num_reference: int, num_window: int, start: int, num: int) -> npt.NDArray[np.float32]:
    """As `Groups.draw`. Drawing costs more than any statistic, and the same permutations do for all tests and windows:
    which images are in which group is drawn anew."""
    rng = np.random.default_rng([num_reference, num_window, start])
    labels = np.zeros((num, num_reference + num_window + 1), np.float32)
    # The places of the smallest of G random numbers; four times as fast as shuffling every row.
    places = np.argpartition(rng.random((num, labels.shape[1] - 1), np.float32), num_window, axis=1)
    np.put_along_axis(labels, places[:, :num_window], np.float32(1), axis=1)
    labels[:, -1] = 1
    labels.setflags(write=False)
    return labels
