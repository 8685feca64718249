"""Windows without drift for the drift benchmark: in several processes, and going on where an interrupted run was."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.drift_pools import Pool
from visionloop.monitoring.drift.check import check
from visionloop.monitoring.drift.observations import Observations
from visionloop.monitoring.drift.profile import FORMAT_VERSION, Profile, ProfileInfo
from visionloop.monitoring.drift.windows import Window
from visionloop.monitoring.settings import DriftSettings

SETTINGS = DriftSettings()


class Stretch(NamedTuple):
    """Windows without drift that share a reference.

    Attributes:
        first: Number of the first.
        windows: How many.
        alarms: How many of them alarmed.
        tests: How often each test was what did.
        cpu_s: Seconds.
    """

    first: int
    windows: int
    alarms: int
    tests: dict[str, int]
    cpu_s: float


@dataclass(frozen=True)
class Stretches:
    """How the windows without drift are worked through: by stretches, in processes, remembered in a file.

    Attributes:
        pool: Images.
        per_reference: Windows of a stretch.
        processes: At a time.
        progress: Where stretches that are done are kept, by `key`.
        key: What the results depend on.
    """

    pool: Pool
    per_reference: int
    processes: int
    progress: Path | None
    key: str

    def results(self, windows: int) -> list[Stretch]:
        """Of so many windows, from the file as far as they are there."""
        size = self.per_reference
        stretches = [(first, min(size, windows - first)) for first in range(0, windows, size)]
        found = self._remembered()
        missing = [stretch for stretch in stretches if stretch not in found]
        # Children inherit the images, which come with what cannot be pickled.
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(self.processes, context, _inherit, (self.pool,)) as workers:
            for future in as_completed([workers.submit(_stretch, *stretch) for stretch in missing]):
                one = future.result()
                found[one.first, one.windows] = one
                self._remember(one)
                print(f"  {len(found)} of {len(stretches)} stretches, {one.cpu_s:.0f} s CPU", flush=True)
        return [found[stretch] for stretch in stretches]

    def _remembered(self) -> dict[tuple[int, int], Stretch]:
        if self.progress is None or not self.progress.is_file():
            return {}
        records = [json.loads(line) for line in self.progress.read_text().splitlines()]
        stretches = [Stretch(**record["stretch"]) for record in records if record["key"] == self.key]
        return {(one.first, one.windows): one for one in stretches}

    def _remember(self, one: Stretch) -> None:
        if self.progress is not None:
            self.progress.parent.mkdir(parents=True, exist_ok=True)
            with self.progress.open("a") as file:
                file.write(json.dumps({"key": self.key, "stretch": one._asdict()}) + "\n")


_inherited: list[Pool] = []
"""In a worker process: the images."""


def _inherit(pool: Pool) -> None:
    _inherited[:] = [pool]


def _stretch(first: int, count: int) -> Stretch:
    (pool,) = _inherited
    alarms, names, spent = 0, Counter[str](), 0.0
    order = np.random.default_rng([1, first]).permutation(len(pool.rows))
    profile = make_profile(pool, order[: pool.num_reference])
    for number in range(first, first + count):
        # Where there are hardly more images than a reference and a window, every window draws its own reference.
        if len(pool.rows) < 5 * SETTINGS.window_images:
            order = np.random.default_rng([2, number]).permutation(len(pool.rows))
            profile = make_profile(pool, order[: pool.num_reference])
        rest = order[pool.num_reference :]
        chosen = np.random.default_rng([3, number]).choice(rest, SETTINGS.window_images, replace=False)
        started = time.process_time()
        result = check(profile, make_window(pool.rows.take(chosen)), SETTINGS)
        spent += time.process_time() - started
        alarms += result.status != "ok"
        names.update(result.drifted)
    return Stretch(first, count, alarms, dict(names), spent)


def make_profile(pool: Pool, chosen: npt.NDArray[np.integer]) -> Profile:
    """A reference of these images of the pool."""
    rows = pool.rows.take(chosen)
    gap = error = None
    if len(pool.truth):
        gaps = rows.expected_scores - (rows.class_counts.argmax(axis=1) == pool.truth[chosen])
        gap, error = float(gaps.mean()), float(gaps.std() / np.sqrt(len(gaps)))
    info = ProfileInfo(
        format_version=FORMAT_VERSION, task=pool.task, model_digest="", dataset=pool.name, split="val",
        num_images=len(rows), num_available=len(rows), small=False, metric="accuracy", metric_value=None,
        calibration_gap=gap, calibration_error=error, duplicate_bits=-1,
    )  # fmt: skip
    return Profile(info=info, observations=rows, classes=pool.classes)


def make_window(rows: Observations) -> Window:
    """A full window of these answers."""
    return Window(observations=rows, complete=True, num_seen=len(rows))
