"""What the benchmarks of the service share: bundles of untrained networks, servers that are started and stopped."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from benchmarks.serving.load import request
from visionloop.artifact import deployment
from visionloop.artifact.bundle import Bundle
from visionloop.artifact.deployment import Lineup, Variant
from visionloop.artifact.export import Trained, export_bundle
from visionloop.artifact.settings import ExportSettings
from visionloop.core.images import Recipe
from visionloop.data.digits import generate
from visionloop.data.prepare import prepare
from visionloop.data.samples import Dataset
from visionloop.data.settings import DataSettings, SourceSettings
from visionloop.task import load_task

PORT = 3399
ROOT = Path(__file__).resolve().parents[2]
BINARIES = Path(sys.executable).parent
LISTEN = ("--host", "127.0.0.1", "--port", str(PORT))


class NotServingError(Exception):
    """A server did not come up; the message says why."""


@dataclass(frozen=True)
class Server:
    """One of those compared.

    Attributes:
        name: As it is printed.
        command: Starts it, on PORT.
        request: From an image's bytes to a whole HTTP request.
        environment: Variables of its own.
    """

    name: str
    command: tuple[str, ...]
    request: Callable[[bytes], bytes]
    environment: Mapping[str, str] = field(default_factory=dict)


def visionloop(route: str = "/v1/classify") -> Server:
    """This project's service."""
    command = (str(BINARIES / "bentoml"), "serve", "visionloop.serving.service:VisionLoop", *LISTEN)
    return Server("visionloop", command, partial(form, route, "image"))


@contextmanager
def serving(server: Server, folder: Path, bundle: Path, settings: Mapping[str, Any] | None = None) -> Iterator[int]:
    """A server that answers; its process id.

    Args:
        server: Which.
        folder: For its files and its log.
        bundle: What it serves.
        settings: Of the block `serving`, for visionloop.

    Raises:
        NotServingError: it ended, or answered nothing in two minutes.
    """
    _require_free_port()
    home = folder / "home"
    opened = Bundle.open(bundle)
    variant = Variant(model="bench", version="1", digest=opened.digest, bundle=str(bundle))
    pointer = home / "mlruns" / "deployment.json"
    pointer.unlink(missing_ok=True)
    deployment.change(pointer, opened.manifest.task, lambda _: Lineup(champion=variant))
    base = {"keys": {"requests_per_minute": 100_000_000}, "images": {"keep": False}}
    (home / "params.yaml").write_text(json.dumps({"serving": base | dict(settings or {})}))
    # Without bytecode every process compiles what it imports; the Makefile takes this away as well.
    outer = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = outer | {
        "BENCH_BUNDLE": str(bundle),
        "VISIONLOOP_PARAMS": str(home / "params.yaml"),
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        "OMP_NUM_THREADS": "1",
        "BENTOML_DO_NOT_TRACK": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **server.environment,
    }
    path = folder / f"{server.name}.log"
    with path.open("w") as log:
        process = subprocess.Popen(
            server.command, env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait_ready(server, process, path)
            yield process.pid
        finally:
            _stop(process)


def _require_free_port() -> None:
    # Another server there would be measured in the name of this one.
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            raise NotServingError(f"something listens on port {PORT} already")


def _wait_ready(server: Server, process: subprocess.Popen[bytes], log: Path, limit_s: float = 120.0) -> None:
    """Until an image is answered, and then until no worker is still starting."""
    probe = server.request(noise(32, 0))
    end = time.monotonic() + limit_s
    while problem := _refusal(probe):
        if time.monotonic() > end or process.poll() is not None:
            raise NotServingError(f"{server.name} did not come up: {problem}\n{log.read_text()[-3000:]}")
        time.sleep(0.05)


def _refusal(probe: bytes) -> str:
    """Why the request is not answered; empty if it is."""
    head, _, body = probe.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    url = f"http://127.0.0.1:{PORT}{lines[0].split()[1]}"
    try:
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10).close()
    except urllib.error.HTTPError as error:
        return f"{error.code}: {error.read()[:300]!r}"
    except OSError as error:
        return str(error)
    return ""


def settle(pid: int, limit_s: float = 60.0) -> None:
    """Until the server is at rest: with several workers, one answers while others still start."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        before = cpu_seconds(pid)
        time.sleep(1.0)
        if cpu_seconds(pid) - before < 0.05:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
    # A worker that its server left behind would go on listening.
    _, alive = psutil.wait_procs(family, timeout=10)
    for left in alive:
        left.kill()
    psutil.wait_procs(alive, timeout=5)


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU of a process and all below it."""
    return sum(sum(process.cpu_times()[:2]) for process in _family(pid))


def form(path: str, field_name: str, *images: bytes) -> bytes:
    """A request with files."""
    boundary = "----visionloopbench"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field_name}"; filename="{number}.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
        + image
        + b"\r\n"
        for number, image in enumerate(images)
    ]
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return request(path, body, f"multipart/form-data; boundary={boundary}", PORT)


def noise(side: int, seed: int) -> bytes:
    """A JPEG of smooth noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    coarse.resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def make_dataset(folder: Path, task: str = "classification") -> Dataset:
    """The embedded digits."""
    if not (folder / "data").exists():
        generate(folder / "data")
    kind = {"classification": "folder", "detection": "voc"}[task]
    source = SourceSettings.model_validate({"kind": kind, "path": f"data/{task}", "name": "digits"})
    prepare(DataSettings(source=source), load_task(task).requirements, folder / task, root=folder)
    return Dataset.open(folder / task)


def make_bundle(folder: Path, dataset: Dataset, task_name: str, side: int, **model: object) -> Path:
    """A bundle of an untrained network."""
    task = load_task(task_name)
    recipe = Recipe(height=side, width=side)
    settings = task.model_settings.model_validate(model)
    torch.manual_seed(0)
    learner = task.learner(settings, task.augment_settings(), num_classes=len(dataset.classes), recipe=recipe)
    trained = Trained(task=task, learner=learner, model=settings, recipe=recipe, training={})
    export_bundle(ExportSettings(max_parity_images=64), trained, dataset, folder / "bundle")
    return folder / "bundle"
