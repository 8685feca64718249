"""How the service behaves: start, memory, latency at half load, overload, swaps under load, and a soak.

python -m benchmarks.serving.bench_behaviour [--soak-minutes 20] [--only-soak] [--json build/behaviour.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import psutil

from benchmarks.serving.harness import (
    PORT,
    cpu_seconds,
    make_bundle,
    make_dataset,
    noise,
    serving,
    settle,
    visionloop,
)
from benchmarks.serving.load import Load, run
from visionloop.artifact import deployment
from visionloop.artifact.bundle import Bundle
from visionloop.artifact.deployment import Lineup, Variant

SIDE = 32
SOAK_STRETCHES = 10


def main() -> None:
    """Print each figure as it is measured, and one JSON line of all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--soak-minutes", type=float, default=1.0)
    parser.add_argument("--only-soak", action="store_true", help="leave out latency, overload and swaps")
    parser.add_argument("--json", type=Path, help="where to write everything as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = make_dataset(folder)
        bundles = [
            make_bundle(
                folder / f"b{seed}", dataset, "classification", SIDE + 8 * seed, architecture="small_cnn", width=16
            )
            for seed in range(2)
        ]
        server = visionloop()
        requests = [server.request(noise(SIDE, seed)) for seed in range(16)]
        figures: dict[str, object] = starts(folder, bundles[0])
        with serving(server, folder, bundles[0]) as pid:
            settle(pid)
            figures["worker_mb"] = [round(process.memory_info().rss / 1e6) for process in workers(pid)]
            show(figures)
            if not options.only_soak:
                figures |= show(latency(requests))
                figures |= show(swaps(folder / "home", bundles, requests))
            figures |= show(soak(pid, requests, options.soak_minutes))
    line = json.dumps(figures)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(line + "\n")
    print("\n" + line)


def starts(folder: Path, bundle: Path, times: int = 5) -> dict[str, object]:
    """Seconds from the process's start to the first answer, and what all its processes worked until none did.

    The first start, which may have to write bytecode, is left out.
    """
    seconds: list[float] = []
    cpu: list[float] = []
    for _ in range(times + 1):
        began = time.perf_counter()
        with serving(visionloop(), folder, bundle) as pid:
            seconds.append(time.perf_counter() - began)
            settle(pid)
            cpu.append(cpu_seconds(pid))
    return {
        "ready_s": round(statistics.median(seconds[1:]), 2),
        "ready_each_s": [round(value, 2) for value in seconds[1:]],
        "start_cpu_s": round(statistics.median(cpu[1:]), 2),
    }


def latency(requests: list[bytes]) -> dict[str, object]:
    """At half of what can be had, at four times of it, and after."""
    run(PORT, requests, clients=16, seconds=2)
    full = run(PORT, requests, clients=16, seconds=5)
    unloaded = run(PORT, requests, clients=1, seconds=3)
    half = run(PORT, requests, clients=16, seconds=5, rate=full.per_second / 2)
    over = run(PORT, requests, clients=600, seconds=6)
    started = time.perf_counter()
    while run(PORT, requests, clients=1, seconds=0.5).percentile(0.5) > 3 * unloaded.percentile(0.5):
        if time.perf_counter() - started > 30:
            break
    return {
        "full_per_s": round(full.per_second),
        "unloaded_ms": row(unloaded),
        "half_load_ms": row(half),
        "half_load_p99_to_p50": round(half.percentile(0.99) / half.percentile(0.5), 1),
        "overload_clients": 600,
        "overload_ms": row(over),
        "overload_statuses": over.statuses,
        "recovered_s": round(time.perf_counter() - started, 1),
    }


def swaps(home: Path, bundles: list[Path], requests: list[bytes]) -> dict[str, object]:
    """Twenty swaps under fifty requests a second."""
    variants = [
        Variant(model="bench", version=str(number), digest=Bundle.open(bundle).digest, bundle=str(bundle))
        for number, bundle in enumerate(bundles)
    ]
    found: list[Load] = []
    load = threading.Thread(target=lambda: found.append(run(PORT, requests, clients=4, seconds=32, rate=50)))
    load.start()
    for turn in range(20):
        lineup = Lineup(champion=variants[(turn + 1) % 2])
        deployment.change(home / "mlruns/deployment.json", "classification", lambda _, lineup=lineup: lineup)  # type: ignore[misc]
        time.sleep(1.5)
    load.join()
    return {"swaps": 20, "swap_statuses": found[0].statuses, "swap_ms": row(found[0])}


def soak(pid: int, requests: list[bytes], minutes: float) -> dict[str, object]:
    """Memory and descriptors of all workers, before, and after each of ten stretches of load."""
    run(PORT, requests, clients=16, seconds=10)
    first = footprint(pid)
    statuses: Counter[int] = Counter()
    growth: list[float] = []
    descriptors: list[int] = []
    for _ in range(SOAK_STRETCHES):
        statuses.update(run(PORT, requests, clients=16, seconds=60 * minutes / SOAK_STRETCHES).statuses)
        now = footprint(pid)
        growth.append(round((now["rss"] - first["rss"]) / 1e6, 1))
        descriptors.append(now["fds"] - first["fds"])
        print(f"  soak: {growth[-1]:+.1f} MB, {descriptors[-1]:+d} descriptors, {dict(statuses)}", flush=True)
    return {
        "soak_minutes": minutes,
        "soak_statuses": dict(statuses),
        "soak_growth_mb": growth,
        # The first half holds caches that fill; what leaks goes on in the second.
        "soak_growth_second_half_mb": round(growth[-1] - growth[SOAK_STRETCHES // 2 - 1], 1),
        "soak_growth_descriptors": descriptors,
    }


def footprint(pid: int) -> Counter[str]:
    """Memory and descriptors of all workers together, without connections."""
    urllib.request.urlopen(f"http://127.0.0.1:{PORT}/livez", timeout=5).read()
    time.sleep(2)
    total: Counter[str] = Counter()
    for process in workers(pid):
        total["rss"] += process.memory_info().rss
        total["fds"] += process.num_fds()
    return total


def workers(pid: int) -> list[psutil.Process]:
    """The processes that answer."""
    family = psutil.Process(pid).children(recursive=True)
    return [process for process in family if "_bentoml_impl.worker" in " ".join(process.cmdline())]


def row(load: Load) -> dict[str, float]:
    """Percentiles in milliseconds."""
    return {f"p{share}": round(load.percentile(share / 100), 1) for share in (50, 95, 99)}


def show(figures: dict[str, object]) -> dict[str, object]:
    """Print and pass on."""
    for name, value in figures.items():
        print(f"{name:<26} {value}", flush=True)
    return figures


if __name__ == "__main__":
    main()
