"""What the prediction store costs a request: CPU time of the workers, with it and without, in one server.

python -m benchmarks.serving.bench_store [--pairs 30] [--seconds 2] [--case 32] [--json build/bench_store.json]

Two runs of a server differ by more than the store costs. So one server answers short windows of requests in turn with
`store=false` and without it, in pairs whose order alternates, and each pair gives one ratio. A window's CPU time is
that of the worker processes from its start until they are at rest again, so that what the writer does afterwards
counts; requests per second, which other work on the machine disturbs, are printed beside it. `store=false` also leaves
out what is noted for drift, so that is part of the cost; images are not kept. The interval is the median's by order
statistics (Conover, Practical Nonparametric Statistics, 1999, 3.2), which assumes nothing but independent pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from scipy.stats import binom

from benchmarks.serving.bench_behaviour import workers
from benchmarks.serving.bench_serving import CASES, CLIENTS, load_average
from benchmarks.serving.harness import PORT, form, make_bundle, make_dataset, noise, serving, settle, visionloop
from benchmarks.serving.load import run

LIMIT = 0.05
"""Share of throughput that the store may cost."""


class Sample(NamedTuple):
    """One window.

    Attributes:
        cpu_ms: Of the workers, per request.
        per_second: Requests.
    """

    cpu_ms: float
    per_second: float


class Estimate(NamedTuple):
    """A median with bounds that hold with at least 95%."""

    median: float
    lower: float
    upper: float


def main() -> None:
    """Print each case's cost, and one JSON line of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=30, help="of windows; six are the least for an interval")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a window")
    parser.add_argument("--case", choices=CASES, help="all where it is left out")
    parser.add_argument("--json", type=Path, help="where to write everything as JSON")
    options = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores, load {load_average()}, {CLIENTS} clients, two workers")
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        dataset = make_dataset(folder)
        for name in [options.case] if options.case else CASES:
            case = CASES[name]
            bundle = make_bundle(
                folder / name, dataset, "classification", case.side, architecture=case.architecture, width=16
            )
            found[name] = compare(folder, bundle, case.side, options.pairs, options.seconds)
    line = json.dumps(found)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(line + "\n")
    print("\n" + line)


def compare(folder: Path, bundle: Path, side: int, pairs: int, seconds: float) -> dict[str, object]:
    """The store's cost for images of so many pixels."""
    images = [noise(side, seed) for seed in range(16)]
    requests = {
        stored: [partial(form, path, "image")(image) for image in images]
        for stored, path in ((True, "/v1/classify"), (False, "/v1/classify?store=false"))
    }
    samples: dict[bool, list[Sample]] = {True: [], False: []}
    with serving(visionloop(), folder, bundle) as pid:
        settle(pid)
        answering = workers(pid)
        for warm in (True, False):
            window(answering, requests[warm], 2.0)
        for number in range(pairs):
            for stored in (True, False) if number % 2 else (False, True):
                samples[stored].append(window(answering, requests[stored], seconds))
    with_store, without = (np.array(samples[stored]) for stored in (True, False))
    cost = median_interval(with_store[:, 0] / without[:, 0] - 1)
    slower = median_interval(1 - with_store[:, 1] / without[:, 1])
    held = "held" if cost.upper <= LIMIT else "not held" if cost.lower > LIMIT else "not shown"
    print(
        f"\n{side} px, {pairs} pairs of {seconds:g} s: CPU of the workers {np.median(without[:, 0]):.3f} ms a request "
        f"without the store, {np.median(with_store[:, 0]):.3f} with it\n"
        f"cost in CPU      {_shown(cost)}   at most {LIMIT:.0%}: {held}\n"
        f"cost in requests {_shown(slower)}   ({np.median(without[:, 1]):.0f} a second without the store)",
        flush=True,
    )
    return {
        "pairs": pairs, "seconds": seconds, "limit": held,
        "cpu_cost": cost._asdict(), "requests_cost": slower._asdict(),
        "cpu_ms": {"with": with_store[:, 0].tolist(), "without": without[:, 0].tolist()},
    }  # fmt: skip


def window(answering: Sequence[psutil.Process], requests: Sequence[bytes], seconds: float) -> Sample:
    """Requests for so many seconds, and what they cost until everything about them is done.

    Raises:
        SystemExit: a request was not answered with 200, so that windows cannot be compared.
    """
    before = _cpu(answering)
    load = run(PORT, requests, clients=CLIENTS, seconds=seconds)
    if set(load.statuses) != {200}:
        raise SystemExit(f"not all requests were answered: {load.statuses}")
    spent = _at_rest(answering) - before
    return Sample(1000 * spent / load.statuses[200], load.per_second)


def _at_rest(answering: Sequence[psutil.Process], limit_s: float = 10.0) -> float:
    """CPU seconds once the writer has nothing left to do."""
    end = time.monotonic() + limit_s
    last = _cpu(answering)
    while time.monotonic() < end:
        time.sleep(0.3)
        now = _cpu(answering)
        if now - last < 0.02:
            return now
        last = now
    return last


def _cpu(answering: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in answering)


def median_interval(values: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> Estimate:
    """The median, between the order statistics that hold it with at least 95%; the extremes where there are too few."""
    ordered = np.sort(np.asarray(values, np.float64))
    rank = max(int(binom.ppf(0.025, len(ordered), 0.5)), 1)
    return Estimate(float(np.median(ordered)), float(ordered[rank - 1]), float(ordered[len(ordered) - rank]))


def _shown(cost: Estimate) -> str:
    return f"{cost.median:+6.1%} (95%: {cost.lower:+.1%} to {cost.upper:+.1%})"


if __name__ == "__main__":
    main()
