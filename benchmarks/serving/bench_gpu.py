"""Images per second of the engines and the service against raw torch on the same device, in one run.

python -m benchmarks.serving.bench_gpu --json build/bench_gpu.json       (on a machine with a GPU; about 6 minutes)
python -m benchmarks.serving.bench_gpu --device cpu --quick             (tries this script; its figures mean nothing)

Needs the extras `train` and `serve`, for ONNX Runtime on CUDA its GPU build (docs/serving.md), and no network: the
networks are untrained, the images made here.

Raw torch is the network in eager mode with uint8 arrays in and float arrays out, as a service has them; "resident"
leaves them on the GPU and is there for comparison only. The service's images arrive as JPEG over HTTP; its figure
holds decoding, on the CPU, and the client.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from benchmarks.serving.harness import PORT, form, make_bundle, make_dataset, noise, serving, settle, visionloop
from benchmarks.serving.load import run
from visionloop.artifact.bundle import WEIGHTS, Bundle
from visionloop.artifact.predictor import Predictor
from visionloop.artifact.settings import CudaSettings, RuntimeSettings
from visionloop.core.errors import ConfigError
from visionloop.core.settings import parse_settings
from visionloop.task import load_task

TARGET = 0.8
BATCHES = (1, 8, 32)
BASELINE = "raw torch"
NETWORKS: tuple[tuple[str, int, dict[str, object]], ...] = (
    ("classification", 224, {"architecture": "resnet18"}),
    ("detection", 128, {"architecture": "light_fcos", "width": 16}),
)
ROUTES = {"classification": "/v1/classify", "detection": "/v1/detect"}
Runner = Callable[[], object]


def main() -> None:
    """Print a table, and one JSON line of everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="small images, few turns, only fp32")
    parser.add_argument("--no-service", action="store_true", help="leave out the service over HTTP")
    parser.add_argument("--json", type=Path, help="where to write everything as JSON")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU here; `--device cpu --quick` tries the script without one")
    seconds = 0.5 if options.quick else 5.0
    turns = 2 if options.quick else 10
    batches = BATCHES[:2] if options.quick else BATCHES
    precisions = (False,) if options.quick or options.device == "cpu" else (False, True)
    found: dict[str, Any] = {"machine": machine(options.device), "quick": options.quick, "rows": []}
    print(json.dumps(found["machine"]) + "\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for task, side, model in NETWORKS:
            side = 64 if options.quick else side
            root = make_bundle(folder / f"{task}-model", make_dataset(folder, task), task, side, **model)
            for tf32 in precisions:
                found["rows"] += engines(root, options.device, batches, seconds, turns, tf32=tf32)
            if not options.no_service:
                for engine in ("onnxruntime", "torch"):
                    found["rows"] += service(folder, root, engine, options.device, batches, seconds)
    missed = [row for row in found["rows"] if row.get("ratio", TARGET) < TARGET and row["name"] in ENGINE_NAMES]
    print(f"\n{len(missed)} of the engines' rows below {TARGET}x of {BASELINE}")
    line = json.dumps(found)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(line + "\n")
    print("\n" + line)


ENGINE_NAMES = ("Predictor, onnxruntime", "Predictor, torch")


def machine(device: str) -> dict[str, str]:
    """What the figures were measured on."""
    found = {"cpu": platform.processor() or platform.machine(), "cores": str(len(os.sched_getaffinity(0)))}
    if device == "cuda":
        found |= {"gpu": torch.cuda.get_device_name(0), "cuda": str(torch.version.cuda)}
        found["cudnn"] = str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    for package in ("torch", "onnxruntime", "onnxruntime-gpu", "visionloop"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def engines(
    root: Path, device: str, batches: tuple[int, ...], seconds: float, turns: int, *, tf32: bool
) -> list[dict[str, Any]]:
    """Our engines and raw torch on a bundle's graph, turn and turn about."""
    predictors: dict[str, Predictor] = {}
    for engine, name in zip(("onnxruntime", "torch"), ENGINE_NAMES, strict=True):
        cuda = CudaSettings(batch_sizes=batches, tf32=tf32)
        settings = RuntimeSettings.model_validate({"engine": engine, "device": device, "cuda": cuda.model_dump()})
        started = time.perf_counter()
        try:
            predictors[name] = Predictor.open(root, settings)
        except ConfigError as error:
            print(f"{name} is left out: {error}")
            continue
        print(f"{name}: opened and warm in {time.perf_counter() - started:.1f} s")
    graph = raw_graph(Bundle.open(root), device)
    if device == "cuda":
        # Said here too, in case torch's engine could not be opened.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    manifest = Bundle.open(root).manifest
    recipe = manifest.recipe
    rows: list[dict[str, Any]] = []
    for batch in batches:
        images = np.random.default_rng(0).integers(0, 255, (batch, recipe.height, recipe.width, 3), dtype=np.uint8)
        resident = torch.from_numpy(images).to(device)
        runners: dict[str, Runner] = {
            BASELINE: lambda images=images: _raw(graph, images, device),  # type: ignore[misc]
            "raw torch, resident": lambda resident=resident: _resident(graph, resident),  # type: ignore[misc]
        }
        for name, predictor in predictors.items():
            runners[name] = lambda predictor=predictor, images=images: predictor.run(images)  # type: ignore[misc]
        speeds = {name: batch * rate for name, rate in _rates(runners, seconds, turns).items()}
        label = f"{manifest.task} {recipe.width} px, {'tf32' if tf32 else 'fp32'}, batch {batch}"
        for name, speed in speeds.items():
            ratio = speed / speeds[BASELINE]
            rows.append({"case": label, "name": name, "images_per_s": round(speed, 1), "ratio": round(ratio, 3)})
            print(f"{label:<40} {name:<26} {speed:10.1f} images/s   {ratio:5.2f}x", flush=True)
    return rows


def raw_graph(bundle: Bundle, device: str) -> torch.nn.Module:
    """The bundle's network as torch alone would run it."""
    manifest = bundle.manifest
    task = load_task(manifest.task)
    model = parse_settings(task.model_settings, manifest.model | {"weights": None}, where=str(bundle.root))
    learner = task.learner(model, task.augment_settings(), num_classes=len(manifest.classes), recipe=manifest.recipe)
    learner.module.load_state_dict(load_file(bundle.root / WEIGHTS))
    return learner.graph().eval().to(device)


def _raw(graph: torch.nn.Module, images: np.ndarray[Any, Any], device: str) -> object:
    with torch.inference_mode():
        return [value.cpu().numpy() for value in graph(torch.from_numpy(images).to(device))]


def _resident(graph: torch.nn.Module, images: torch.Tensor) -> object:
    with torch.inference_mode():
        outputs = graph(images)
    if images.is_cuda:
        torch.cuda.synchronize()
    return outputs


def _rates(runners: dict[str, Runner], seconds: float, num_turns: int) -> dict[str, float]:
    """Calls per second of each, in short turns, so that a disturbance meets all alike; the median turn counts."""
    turns: dict[str, list[float]] = {name: [] for name in runners}
    for runner in runners.values():
        for _ in range(3):
            runner()
    slice_s = seconds / num_turns
    for _ in range(num_turns):
        for name, runner in runners.items():
            started, count = time.perf_counter(), 0
            while time.perf_counter() - started < slice_s or not count:
                runner()
                count += 1
            turns[name].append(count / (time.perf_counter() - started))
    return {name: float(np.median(found)) for name, found in turns.items()}


def service(
    folder: Path, root: Path, engine: str, device: str, batches: tuple[int, ...], seconds: float
) -> list[dict[str, Any]]:
    """The service over HTTP, with so many images in a request."""
    manifest = Bundle.open(root).manifest
    settings = {
        "workers": 1,
        "runtime": {"engine": engine, "device": device, "threads": 0, "cuda": {"batch_sizes": list(BATCHES)}},
        # While one batch is on the GPU, others are decoded.
        "batching": {"max_batch": 32, "parallel": 4, "max_queue": 1024, "timeout_s": 60},
    }
    images = [noise(manifest.recipe.width, seed) for seed in range(32)]
    server = visionloop(ROUTES[manifest.task])
    rows = []
    with serving(server, folder, root, settings) as pid:
        settle(pid)
        for batch in batches:
            requests = [form(ROUTES[manifest.task], "image", *images[:batch])]
            clients = max(4, 64 // batch)
            run(PORT, requests, clients=clients, seconds=seconds / 2)
            load = run(PORT, requests, clients=clients, seconds=seconds)
            speed = load.per_second * batch
            label = f"{manifest.task} {manifest.recipe.width} px, {batch} in a request, {clients} clients"
            name = f"service, {engine}"
            rows.append({"case": label, "name": name, "images_per_s": round(speed, 1), "statuses": load.statuses})
            print(f"{label:<40} {name:<26} {speed:10.1f} images/s   {load.statuses}", flush=True)
    return rows


if __name__ == "__main__":
    main()
