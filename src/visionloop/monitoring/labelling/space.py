"""Distances between embeddings: what is far from all that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Embeddings = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

_ROWS = 512
"""Rows of a distance matrix at once: 512 x 2,000 numbers are 4 MB."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Space:
    """What "far" means to a model, by the distances (Euclidean, as in core-sets) between its own reference images.

    Attributes:
        known: float32 [M,D]; images that need no label to be known.
        usual: Median distance of a reference image to its nearest neighbour; above 0.
        edge: Distance that 5% of the reference images keep to their nearest neighbour; at least `usual`.
    """

    known: Embeddings
    usual: float
    edge: float

    @property
    def width(self) -> int:
        """Numbers in an embedding."""
        return int(self.known.shape[1])

    @classmethod
    def of(cls, reference: npt.NDArray[np.floating], *, most: int = 2000) -> Self | None:
        """The space of a reference, float [M,D]; None with fewer than three finite rows.

        Args:
            reference: For instance the reference profile's embeddings.
            most: Rows that are used, evenly taken from all.
        """
        rows = np.asarray(reference, np.float32)
        rows = rows[np.isfinite(rows).all(axis=1)] if rows.ndim == 2 else rows
        if rows.ndim != 2 or len(rows) < 3 or not rows.shape[1]:
            return None
        # Dimensions are not scaled to equal spread: one that hardly varies in the reference would then outweigh all.
        rows = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]
        gaps = _own_gaps(rows)
        usual = max(float(np.median(gaps)), 1e-6)
        return cls(known=rows, usual=usual, edge=max(float(np.quantile(gaps, 0.95)), usual))


def nearest(rows: Embeddings, others: Embeddings) -> Floats:
    """Distance of each row [N,D] to the nearest of others [M,D]: float64 [N], infinite where there is none."""
    found = np.full(len(rows), np.inf)
    if not len(others):
        return found
    squares = (others.astype(np.float64) ** 2).sum(axis=1)
    for start in range(0, len(rows), _ROWS):
        block = rows[start : start + _ROWS].astype(np.float64)
        apart = (block**2).sum(axis=1)[:, None] + squares - 2.0 * block @ others.T.astype(np.float64)
        found[start : start + len(block)] = np.sqrt(np.maximum(apart.min(axis=1), 0.0))
    return found


def _own_gaps(rows: Embeddings) -> Floats:
    """Distance of each row to its nearest other row."""
    gaps = np.empty(len(rows))
    squares = (rows.astype(np.float64) ** 2).sum(axis=1)
    for start in range(0, len(rows), _ROWS):
        block = rows[start : start + _ROWS].astype(np.float64)
        apart = squares[start : start + len(block), None] + squares - 2.0 * block @ rows.T.astype(np.float64)
        apart[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
        gaps[start : start + len(block)] = np.sqrt(np.maximum(apart.min(axis=1), 0.0))
    return gaps
