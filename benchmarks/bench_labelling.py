"""Labels needed against random choice, on the embedded digits.

python -m benchmarks.bench_labelling --seeds 10

A logistic regression on pixels is trained anew after each round of 20 labels, from 20 random ones on, up to 300; the
pixels are the embedding too. Three kinds of traffic, 900 scans each, 500 others to test on:

plain        scans as they are
frames       half of the scans are nine noisy frames each of 50 others, as a standing camera sends them
newcomers    the model begins with 100 upright scans; 15% of traffic and half of the test are scans turned by 90 degrees

Choices: `random`; `uncertain` (margin alone, as the queue had it before); `ours` (the default shares, a fifth of it
random). Printed: mean test accuracy by labels, and labels until the accuracy stays at or above a bound.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from visionloop.monitoring.labelling.choice import Pool, Purpose, choose, draw
from visionloop.monitoring.labelling.scores import margin
from visionloop.monitoring.labelling.space import Space
from visionloop.monitoring.settings import LabellingSettings

Rows = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]

ROUND, MOST = 20, 300
SETTINGS = LabellingSettings()
SHARES: dict[Purpose, float] = {
    "uncertain": SETTINGS.uncertain, "novel": SETTINGS.novel, "disagreement": SETTINGS.disagreement,
    "balance": SETTINGS.balance,
}  # fmt: skip
BOUNDS = {"plain": 0.93, "frames": 0.91, "newcomers": 0.75}


@dataclass(frozen=True)
class Task:
    """What is learned from, and what for; the first `start` of `rows` are labelled at the beginning."""

    rows: Rows
    truth: Classes
    start: int
    test_rows: Rows
    test_truth: Classes
    reference: Rows


def turned(rows: Rows) -> Rows:
    """Scans turned by 90 degrees."""
    return np.rot90(rows.reshape(-1, 8, 8), axes=(1, 2)).reshape(-1, 64).astype(np.float32)


def make(kind: str, seed: int) -> Task:
    """One drawing of a kind of traffic."""
    bunch: Any = load_digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(bunch.target))
    rows, truth = (bunch.data[order] / 16).astype(np.float32), bunch.target[order].astype(np.int64)
    reference, rows, truth = rows[:300], rows[300:], truth[300:]
    test_rows, test_truth = rows[:500], truth[:500]
    pool_rows, pool_truth = rows[500:1400], truth[500:1400]
    start = 20
    if kind == "frames":
        source = rng.permutation(np.repeat(np.arange(50), 9))
        frames = pool_rows[source] + rng.normal(0, 0.02, (450, 64)).astype(np.float32)
        # What is labelled first is no frame.
        pool_rows = np.concatenate([pool_rows[450:], frames])
        pool_truth = np.concatenate([pool_truth[450:], pool_truth[source]])
    if kind == "newcomers":
        start = 100
        new = start + rng.permutation(len(pool_rows) - start)[: int(0.15 * len(pool_rows))]
        pool_rows = pool_rows.copy()
        pool_rows[new] = turned(pool_rows[new])
        test_rows = np.concatenate([test_rows[:250], turned(test_rows[250:])])
    return Task(pool_rows, pool_truth, start, test_rows, test_truth, reference)


def fit(task: Task, labelled: list[int]) -> LogisticRegression:
    """A model of what is labelled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an early round need not converge
        return LogisticRegression(max_iter=150).fit(task.rows[labelled], task.truth[labelled])


class State(NamedTuple):
    """Where a learning stands.

    Attributes:
        task: What is learned.
        free: Places in its rows that are not labelled.
        labelled: Places that are.
        model: Trained on those.
        rng: For chance.
    """

    task: Task
    free: list[int]
    labelled: list[int]
    model: LogisticRegression
    rng: np.random.Generator


Chooser = Callable[[State], list[int]]


def by_chance(state: State) -> list[int]:
    """Any."""
    return [state.free[place] for place in draw(len(state.free), ROUND, state.rng)]


def by_margin(state: State) -> list[int]:
    """The least sure."""
    doubt = margin(state.model.predict_proba(state.task.rows[state.free]))
    return [state.free[place] for place in np.argsort(-doubt, kind="stable")[:ROUND]]


def ours(state: State) -> list[int]:
    """As the queue chooses."""
    task, model = state.task, state.model
    drawn = {state.free[place] for place in draw(len(state.free), round(ROUND * SETTINGS.random), state.rng)}
    left = [index for index in state.free if index not in drawn]
    probabilities = model.predict_proba(task.rows[left])
    names, counts = np.unique(task.truth[state.labelled], return_counts=True)
    pool = Pool(
        ids=[f"{index:05}" for index in left],
        uncertainty=margin(probabilities),
        disagreement=np.full(len(left), np.nan),
        classes=[frozenset({str(model.classes_[row.argmax()])}) for row in probabilities],
        embeddings=task.rows[left],
    )
    picks = choose(
        pool,
        ROUND - len(drawn),
        SHARES,
        space=Space.of(task.reference),
        labelled=task.rows[state.labelled],
        labels=dict(zip(map(str, names), counts.tolist(), strict=True)),
    )
    return [*drawn, *(left[pick.index] for pick in picks)]


CHOOSERS: dict[str, Chooser] = {"random": by_chance, "uncertain": by_margin, "ours": ours}


def curve(task: Task, chooser: Chooser, seed: int) -> list[float]:
    """Test accuracy after each round."""
    rng = np.random.default_rng(seed)
    labelled = list(range(task.start))
    found = []
    while True:
        model = fit(task, labelled)
        found.append(float(model.score(task.test_rows, task.test_truth)))
        if len(labelled) + ROUND > task.start + MOST:
            return found
        free = sorted(set(range(len(task.rows))) - set(labelled))
        labelled += chooser(State(task, free, labelled, model, rng))


def needed(accuracies: list[float], bound: float) -> float:
    """Labels beyond the first ones from which the accuracy stays at the bound; infinite where it never does."""
    below = [place for place, value in enumerate(accuracies) if value < bound]
    after = below[-1] + 1 if below else 0
    return float(after * ROUND) if after < len(accuracies) else float("inf")


def main() -> None:
    """Print tables, and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    result: dict[str, Any] = {}
    shown = [0, 40, 100, 200, 300]
    for kind, bound in BOUNDS.items():
        print(f"\n{kind}: mean accuracy after so many further labels, {arguments.seeds} drawings")
        print(f"{'choice':<10}" + "".join(f"{count:>8}" for count in shown) + f"   labels to {bound:.0%} (median)")
        for name, chooser in CHOOSERS.items():
            curves = [curve(make(kind, seed), chooser, seed) for seed in range(arguments.seeds)]
            means = np.mean(curves, axis=0)
            wanted = [needed(one, bound) for one in curves]
            median = float(np.median(wanted))
            told = f"{median:.0f}" if np.isfinite(median) else f"more than {MOST}"
            told += f" ({sum(np.isfinite(wanted))} of {len(wanted)} reached it)"
            print(f"{name:<10}" + "".join(f"{means[count // ROUND]:8.3f}" for count in shown) + f"   {told}")
            result[f"{kind} {name}"] = {"accuracy": [round(float(value), 4) for value in means], "labels": wanted}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
