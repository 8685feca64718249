"""Requests per second of the service against other servers with the same graph, in one run on loopback.

python -m benchmarks.serving.bench_serving [--seconds 6] [--peers] [--case small] [--json build/bench_serving.json]

Requests per second depend on what else the machine does, the client included; the CPU time of a request, summed over
the server's processes, hardly does. Both are printed. `--peers` adds LitServe and `mlflow models serve`, in an
environment of their own (see peers.py).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.serving.harness import (
    BINARIES,
    LISTEN,
    PORT,
    NotServingError,
    Server,
    cpu_seconds,
    form,
    make_bundle,
    make_dataset,
    noise,
    serving,
    settle,
    visionloop,
)
from benchmarks.serving.load import run
from benchmarks.serving.peers import NoPeersError, peers
from visionloop.artifact.predictor import Predictor
from visionloop.artifact.settings import RuntimeSettings

CLIENTS = 16


@dataclass(frozen=True)
class Case:
    """A network and its images.

    Attributes:
        architecture: By name.
        side: Of the images, in pixels.
        targets: By how much visionloop is to be faster, by the other server's name.
    """

    architecture: str
    side: int
    targets: Mapping[str, float]


_SMALL = {
    "native BentoML route": 3.0,
    "mlflow models serve": 8.0,
    "LitServe": 5.0,
    "LitServe, batches of 16": 5.0,
    "FastAPI, no batching": 1.3,
}
CASES = {
    "small": Case("mobilenet_v3_small", 32, _SMALL),
    "large": Case("mobilenet_v3_small", 224, {"native BentoML route": 2.0}),
    # The demo's own: three quarters of a millisecond of arithmetic an image, which no batching makes less.
    "digits": Case("small_cnn", 32, {}),
}


@dataclass(frozen=True)
class Row:
    """What was measured of one server.

    Attributes:
        per_second: Requests answered with 200.
        p50_ms: Median latency.
        p99_ms: Of a hundred requests one takes longer.
        cpu_ms: CPU time of all the server's processes, per request.
        statuses: Count by HTTP status.
        load: Processes that wanted a core, mean over the last minute, before the measurement.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    statuses: dict[int, int]
    load: float


def main() -> None:
    """Print a table for each size of image, and one JSON line of everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--peers", action="store_true", help="LitServe and mlflow models serve, too")
    parser.add_argument("--case", choices=CASES, help="all where it is left out")
    parser.add_argument("--json", type=Path, help="where to write everything as JSON")
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores, load {load_average()}")
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        dataset = make_dataset(folder)
        for name in [options.case] if options.case else CASES:
            case = CASES[name]
            bundle = make_bundle(
                folder / name, dataset, "classification", case.side, architecture=case.architecture, width=16
            )
            found[name] = compare(folder, bundle, case, options.seconds, with_peers=options.peers)
    line = json.dumps(found)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(line + "\n")
    print("\n" + line)


def compare(folder: Path, bundle: Path, case: Case, seconds: float, *, with_peers: bool) -> dict[str, object]:
    """Every server on one bundle."""
    images = [noise(case.side, seed) for seed in range(16)]
    print(f"\n{case.architecture} at {case.side} px, {CLIENTS} clients, two workers of one thread each")
    rows: dict[str, Row] = {}
    for server in servers(folder, bundle, with_peers=with_peers):
        try:
            row = measure(server, folder, bundle, images, seconds)
        except NotServingError as error:
            print(f"{server.name} is left out: {error}")
            continue
        rows[server.name] = row
        print(
            f"{server.name:<24} {row.per_second:8.0f} requests/s   p50 {row.p50_ms:7.1f} ms   p99 {row.p99_ms:7.1f} ms"
            f"   CPU {row.cpu_ms:6.2f} ms a request   {row.statuses}   load {row.load}",
            flush=True,
        )
    raw = raw_runtime(bundle, case.side)
    print(f"{'ONNX Runtime alone':<24} {raw:8.0f} images/s     (two threads, batch 16, no decoding)\n")
    if "visionloop" not in rows:
        raise SystemExit("visionloop itself did not come up")
    ours = rows["visionloop"]
    ratios: dict[str, dict[str, float | None]] = {}
    for name, row in rows.items():
        if row is ours or not row.per_second:
            continue
        target = case.targets.get(name)
        ratios[name] = {
            "requests": round(ours.per_second / row.per_second, 2),
            "cpu": round(row.cpu_ms / ours.cpu_ms, 2),
            "target": target,
        }
        print(
            f"visionloop to {name:<24} {ratios[name]['requests']:6.2f}x the requests/s   "
            f"{ratios[name]['cpu']:6.2f}x less CPU a request   target {f'{target}x' if target else '-'}"
        )
    share = round(ours.per_second / raw, 3)
    print(f"visionloop to ONNX Runtime alone: {share:.1%}")
    return {"servers": {name: asdict(row) for name, row in rows.items()}, "ratios": ratios, "share_of_runtime": share}


def measure(server: Server, folder: Path, bundle: Path, images: list[bytes], seconds: float) -> Row:
    """Start it, warm it up, measure it, stop it."""
    requests = [server.request(image) for image in images]
    with serving(server, folder, bundle) as pid:
        settle(pid)
        run(PORT, requests, clients=CLIENTS, seconds=2.0)
        settle(pid)
        busy = load_average()
        before = cpu_seconds(pid)
        load = run(PORT, requests, clients=CLIENTS, seconds=seconds)
        cpu = 1000 * (cpu_seconds(pid) - before) / max(load.statuses.get(200, 0), 1)
    return Row(
        per_second=round(load.per_second, 1),
        p50_ms=round(load.percentile(0.5), 2),
        p99_ms=round(load.percentile(0.99), 2),
        cpu_ms=round(cpu, 3),
        statuses=load.statuses,
        load=busy,
    )


def servers(folder: Path, bundle: Path, *, with_peers: bool) -> Iterator[Server]:
    """Ours first."""
    yield visionloop()
    native = (str(BINARIES / "bentoml"), "serve", "benchmarks.serving.baselines:Native", *LISTEN)
    yield Server("native BentoML route", native, partial(form, "/classify", "image"))
    uvicorn = (
        str(BINARIES / "uvicorn"), "--factory", "benchmarks.serving.baselines:fastapi_app", "--workers", "2",
        "--log-level", "warning", *LISTEN,
    )  # fmt: skip
    yield Server("FastAPI, no batching", uvicorn, partial(form, "/classify", "image"))
    if with_peers:
        try:
            yield from peers(folder, bundle)
        except NoPeersError as error:
            print(f"LitServe and MLflow are left out: {error}")


def load_average() -> float:
    """Processes that wanted a core, mean over the last minute."""
    return round(os.getloadavg()[0], 2)


def raw_runtime(bundle: Path, side: int) -> float:
    """Images per second of the graph alone on two cores."""
    predictor = Predictor.open(bundle, RuntimeSettings(threads=2))
    images = np.random.default_rng(0).integers(0, 255, (16, side, side, 3), dtype=np.uint8)
    predictor.run(images)
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < 3.0:
        predictor.run(images)
        count += len(images)
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
