"""Requests per second of the service against other servers with the same bundle, in one run on loopback.

python -m benchmarks.serving.bench_serving [--seconds 6]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image

from benchmarks.serving.load import Load, request, run
from visionloop.artifact import deployment
from visionloop.artifact.bundle import Bundle
from visionloop.artifact.deployment import Lineup, Variant
from visionloop.artifact.export import Trained, export_bundle
from visionloop.artifact.predictor import Predictor
from visionloop.artifact.runtimes import RuntimeSettings
from visionloop.artifact.settings import ExportSettings
from visionloop.core.images import Recipe
from visionloop.data.digits import generate
from visionloop.data.prepare import prepare
from visionloop.data.samples import Dataset
from visionloop.data.settings import DataSettings, SourceSettings
from visionloop.task import load_task

CLIENTS = 16
PORT = 3399
ROOT = Path(__file__).resolve().parents[2]
CASES = (("small_cnn", 32), ("mobilenet_v3_small", 224))


def main() -> None:
    """Print a table, and one JSON line of the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=6.0)
    seconds = parser.parse_args().seconds
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = make_dataset(folder)
        for architecture, side in CASES:
            bundle = make_bundle(folder / f"{architecture}-{side}", dataset, architecture, side)
            ratios |= compare(folder, bundle, side, seconds)
    print("\n" + json.dumps(ratios))


def compare(folder: Path, bundle: Path, side: int, seconds: float) -> dict[str, float]:
    """Every server on one bundle."""
    images = [noise(side, seed) for seed in range(16)]
    print(f"\n{side} px, {CLIENTS} clients, two workers of one thread each")
    speeds: dict[str, Load] = {}
    for server, command, path, field in servers():
        with serving(server, command, folder, bundle) as pid:
            requests = [form(path, field, image) for image in images]
            run(PORT, requests, clients=CLIENTS, seconds=1.5)
            before = cpu_seconds(pid)
            load = run(PORT, requests, clients=CLIENTS, seconds=seconds)
            cpu = 1000 * (cpu_seconds(pid) - before) / max(load.statuses.get(200, 0), 1)
        speeds[server] = load
        print(
            f"{server:<22} {load.per_second:8.0f} requests/s   p50 {load.percentile(0.5):7.1f} ms   "
            f"p99 {load.percentile(0.99):7.1f} ms   CPU {cpu:6.2f} ms a request   {load.statuses}"
        )
    raw = raw_runtime(bundle, side)
    print(f"{'ONNX Runtime alone':<22} {raw:8.0f} images/s     (two threads, batch 16, no decoding)")
    ours = speeds["visionloop"].per_second
    found = {f"{side} px, to {name}": round(ours / load.per_second, 2) for name, load in speeds.items()}
    return found | {f"{side} px, to ONNX Runtime alone": round(ours / raw, 2)}


def servers() -> Iterator[tuple[str, list[str], str, str]]:
    """Name, command, route and form field of each."""
    binaries = Path(sys.executable).parent
    bento = [str(binaries / "bentoml"), "serve"]
    listen = ["--host", "127.0.0.1", "--port", str(PORT)]
    yield "visionloop", [*bento, "visionloop.serving.service:VisionLoop", *listen], "/v1/classify", "image"
    yield "native BentoML route", [*bento, "benchmarks.serving.baselines:Native", *listen], "/classify", "image"
    uvicorn = [str(binaries / "uvicorn"), "--factory", "benchmarks.serving.baselines:fastapi_app", "--workers", "2"]
    yield "FastAPI, no batching", [*uvicorn, "--log-level", "warning", *listen], "/classify", "image"


@contextmanager
def serving(server: str, command: list[str], folder: Path, bundle: Path) -> Iterator[int]:
    """A server that is ready; its process id."""
    home = folder / "home"
    pointer = home / "mlruns" / "deployment.json"
    opened = Bundle.open(bundle)
    variant = Variant(model="bench", version="1", digest=opened.digest, bundle=str(bundle))
    deployment.change(pointer, "classification", lambda _: Lineup(champion=variant))
    settings = {"serving": {"keys": {"requests_per_minute": 100_000_000}, "images": {"keep": False}}}
    (home / "params.yaml").write_text(json.dumps(settings))
    environment = os.environ | {
        "BENCH_BUNDLE": str(bundle),
        "VISIONLOOP_PARAMS": str(home / "params.yaml"),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
        "OMP_NUM_THREADS": "1",
        "BENTOML_DO_NOT_TRACK": "True",
    }
    with (folder / f"{server}.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_ready(process)
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU of a process and all below it."""
    parent = psutil.Process(pid)
    family = [parent, *parent.children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in family)


def wait_ready(process: subprocess.Popen[bytes], limit_s: float = 60.0) -> None:
    """Until something answers on the port."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end and process.poll() is None:
        for path in ("/readyz", "/openapi.json"):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=2):
                    return
            except urllib.error.HTTPError:
                continue
            except OSError:
                break
        time.sleep(0.1)
    raise SystemExit("the server did not come up")


def form(path: str, field: str, image: bytes) -> bytes:
    """A request with one file."""
    boundary = "----visionloopbench"
    body = (
        (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="a.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        ).encode()
        + image
        + f"\r\n--{boundary}--\r\n".encode()
    )
    return request(path, body, f"multipart/form-data; boundary={boundary}", PORT)


def noise(side: int, seed: int) -> bytes:
    """A JPEG of smooth noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    coarse.resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def raw_runtime(bundle: Path, side: int) -> float:
    """Images per second of the graph alone on all cores."""
    predictor = Predictor.open(bundle, RuntimeSettings(threads=2))
    images = np.random.default_rng(0).integers(0, 255, (16, side, side, 3), dtype=np.uint8)
    predictor.run(images)
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < 3.0:
        predictor.run(images)
        count += len(images)
    return count / (time.perf_counter() - started)


def make_dataset(folder: Path) -> Dataset:
    """The embedded digits."""
    generate(folder / "data")
    source = SourceSettings(kind="folder", path="data/classification", name="digits")
    prepare(DataSettings(source=source), load_task("classification").requirements, folder / "dataset", root=folder)
    return Dataset.open(folder / "dataset")


def make_bundle(folder: Path, dataset: Dataset, architecture: str, side: int) -> Path:
    """A bundle of an untrained network."""
    task = load_task("classification")
    recipe = Recipe(height=side, width=side)
    model = task.model_settings.model_validate({"architecture": architecture, "width": 16})
    torch.manual_seed(0)
    learner = task.learner(model, task.augment_settings(), num_classes=len(dataset.classes), recipe=recipe)
    trained = Trained(task=task, learner=learner, model=model, recipe=recipe, training={})
    export_bundle(ExportSettings(), trained, dataset, folder / "bundle")
    return folder / "bundle"


if __name__ == "__main__":
    main()
