"""The choice itself: several reasons take turns, near duplicates are thinned, and a share is left to chance.

Reasons are not added up to one score: a doubt of 0.7 and a distance of 0.7 have nothing in common. Each has a share
of the choice instead, and each pick has one reason that a person can be told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from visionloop.monitoring.labelling.space import Embeddings, Floats, Space, nearest

Purpose = Literal["uncertain", "novel", "disagreement", "balance"]
Reason = Literal["uncertain", "novel", "disagreement", "balance", "random"]

NOVEL_FROM = 0.5
"""An image is novel from there on: as far from the reference as 5% of its own images are from the rest of it."""
_DUPLICATE = 0.5
"""Of the usual distance between neighbours: an image nearer to a chosen one than that is its near duplicate."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pool:
    """Images that nobody has labelled, as columns.

    Attributes:
        ids: Length N; ties are broken by them.
        uncertainty: float64 [N], 0 to 1.
        disagreement: float64 [N], 0 to 1, how far another model's answer lay off; NaN where none was asked.
        classes: Length N, the classes that the model names in each.
        embeddings: float32 [N,D]; NaN in rows without one, D may be 0.
    """

    ids: Sequence[str]
    uncertainty: Floats
    disagreement: Floats
    classes: Sequence[frozenset[str]]
    embeddings: Embeddings

    def __post_init__(self) -> None:
        lengths = {
            len(self.ids),
            len(self.uncertainty),
            len(self.disagreement),
            len(self.classes),
            len(self.embeddings),
        }
        if len(lengths) != 1 or self.embeddings.ndim != 2:
            raise ValueError(f"expected columns of one length and embeddings [N,D], got lengths {sorted(lengths)}")


@dataclass(frozen=True, slots=True)
class Pick:
    """A chosen image.

    Attributes:
        index: Its place in the pool.
        reason: Why.
        usefulness: 0 to 1, by that reason; of chance, how unsure the model was.
    """

    index: int
    reason: Reason
    usefulness: float


def draw(num_images: int, num: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Places of `num` of the images, each set of that size as likely as any other: the honest share."""
    found: npt.NDArray[np.int64] = rng.permutation(num_images)[: max(0, num)]
    return found


def choose(
    pool: Pool,
    num: int,
    shares: Mapping[Purpose, float],
    *,
    space: Space | None = None,
    labelled: Embeddings | None = None,
    labels: Mapping[str, int] | None = None,
) -> list[Pick]:
    """What to label next; the same arguments give the same picks.

    The reasons take turns by their shares; one that has nothing to say leaves its turn to the next. Within a reason
    the best goes first, its score times how far it lies from what is chosen or labelled already (at most 1, reached
    at half the usual distance between neighbours), so that of a standing camera's frames one is taken.

    Args:
        pool: Candidates.
        num: Most picks.
        shares: Of each reason, at least 0; without a positive one nothing is chosen.
        space: Of the model's reference. Without it nothing is novel, and nothing is thinned.
        labelled: float32 [M,D], embeddings of what is labelled already.
        labels: How many labels each class has already.
    """
    turns = _Turns(pool, shares, space, labelled, dict(labels or {}))
    picks: list[Pick] = []
    while len(picks) < min(num, len(pool.ids)):
        pick = turns.next()
        if pick is None:
            break
        picks.append(pick)
    return picks


class _Turns:
    """The state of one choice."""

    def __init__(
        self,
        pool: Pool,
        shares: Mapping[Purpose, float],
        space: Space | None,
        labelled: Embeddings | None,
        labels: dict[str, int],
    ) -> None:
        self._pool, self._shares, self._labels = pool, shares, labels
        self._taken: dict[Purpose, int] = dict.fromkeys(shares, 0)
        self._free = np.ones(len(pool.ids), bool)
        # Stable and independent of the order in which candidates came.
        self._rank = np.empty(len(pool.ids), np.int64)
        self._rank[np.argsort(np.array(pool.ids, dtype=np.str_), kind="stable")] = np.arange(len(pool.ids))
        self._space = space
        self._rows: Embeddings | None = None
        if space is not None and pool.embeddings.shape[1] == space.width:
            self._rows = pool.embeddings
            done = self._rows[:0] if labelled is None else labelled
            self._from_known = nearest(self._rows, space.known)
            self._from_chosen = nearest(self._rows, done[np.isfinite(done).all(axis=1)])

    def next(self) -> Pick | None:
        """The next pick, of the reason that is owed most."""
        total = sum(self._taken.values()) + 1
        owed = {name: share * total - self._taken[name] for name, share in self._shares.items() if share > 0}
        for name in sorted(owed, key=lambda name: (-owed[name], name)):
            found = self._best(name)
            if found is not None:
                self._take(found[0], name)
                return Pick(found[0], name, found[1])
        return None

    def _best(self, name: Purpose) -> tuple[int, float] | None:
        """The best free candidate of a reason, with its score; None where the reason speaks for none."""
        scores = self._scores(name)
        worth = np.where(self._free, scores * self._spread(), -1.0)
        if not len(worth) or worth.max() <= 0.0:
            return None
        best = np.lexsort((self._rank, -worth))[0]
        return int(best), float(scores[best])

    def _scores(self, name: Purpose) -> Floats:
        if name == "uncertain":
            return self._pool.uncertainty
        if name == "disagreement":
            return np.nan_to_num(self._pool.disagreement, nan=0.0)
        if name == "novel":
            return self._novelty()
        return self._rarity()

    def _novelty(self) -> Floats:
        """d / (d + edge), d the distance to the nearest reference image; 0 below `NOVEL_FROM`.

        What the reference covers needs no label (the cover of Sener and Savarese, "Active learning for convolutional
        neural networks: a core-set approach", ICLR 2018). A label alone covers nothing: before the next training the
        model knows no more of a stranger's kind, and one example would not teach it.
        """
        if self._rows is None or self._space is None:
            return np.zeros(len(self._pool.ids))
        away = np.nan_to_num(self._from_known, nan=0.0, posinf=0.0)
        novelty = away / (away + self._space.edge)
        return np.where(novelty >= NOVEL_FROM, novelty, 0.0)

    def _rarity(self) -> Floats:
        """Of images in which the model names a class with fewer labels than the mean: 1 - labels / mean, half of it
        for the doubt, so that among a rare class's images the unsure ones go first."""
        names = set().union(*self._pool.classes, self._labels) if self._pool.classes else set()
        mean = sum(self._labels.values()) / len(names) if names else 0.0
        if not mean:
            return np.zeros(len(self._pool.ids))
        lack = {name: max(0.0, 1.0 - self._labels.get(name, 0) / mean) for name in names}
        rare = np.array([max((lack[name] for name in found), default=0.0) for found in self._pool.classes])
        return rare * (0.5 + 0.5 * self._pool.uncertainty)

    def _spread(self) -> Floats:
        if self._rows is None or self._space is None:
            return np.ones(len(self._pool.ids))
        near = self._from_chosen / (_DUPLICATE * self._space.usual)
        # Of an image without an embedding nobody can say what it is a duplicate of.
        return np.minimum(np.nan_to_num(near, nan=1.0, posinf=1.0), 1.0)

    def _take(self, index: int, name: Purpose) -> None:
        self._taken[name] += 1
        self._free[index] = False
        for named in self._pool.classes[index]:
            self._labels[named] = self._labels.get(named, 0) + 1
        if self._rows is not None and np.isfinite(self._rows[index]).all():
            self._from_chosen = np.fmin(self._from_chosen, nearest(self._rows, self._rows[index : index + 1]))
