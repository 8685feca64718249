"""Other people's model servers, in an environment of their own: LitServe and `mlflow models serve`.

`python -m benchmarks.serving.peers` makes that environment in build/bench-peers; the project's own is left alone.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.serving.harness import BINARIES, PORT, ROOT, Server, form
from benchmarks.serving.load import request

FOLDER = ROOT / "build" / "bench-peers"
REQUIREMENTS = (
    "litserve==0.2.19",
    "mlflow==3.17.2",
    "onnxruntime==1.31.1",
    "pillow==13.0.0",
    "python-multipart==0.0.34",
)
"""What is compared; the libraries under it are the versions that visionloop's environment has."""
WORKERS = 2


class NoPeersError(Exception):
    """The environment cannot be had; the message says why."""


def make_environment() -> Path:
    """The environment's Python, made where it is not there or has other versions.

    Raises:
        NoPeersError: no uv, no network, or a package is not to be had.
    """
    python, stamp = FOLDER / "bin" / "python", FOLDER / "requirements.txt"
    wanted = "\n".join(REQUIREMENTS) + "\n"
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return python
    uv = shutil.which("uv", path=str(BINARIES)) or shutil.which("uv")
    if uv is None:
        raise NoPeersError("uv is not installed (extra `serve`)")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    commands = (
        [uv, "venv", "--clear", "--python", version, str(FOLDER)],
        [uv, "pip", "install", "--python", str(python), "--constraint", "requirements.lock", *REQUIREMENTS],
    )
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=ROOT)
        except subprocess.TimeoutExpired:
            raise NoPeersError(f"`uv {command[1]}` took more than 15 minutes") from None
        if done.returncode:
            raise NoPeersError(f"`uv {command[1]}` failed: {done.stderr.strip().splitlines()[-1]}")
    stamp.write_text(wanted)
    return python


def peers(folder: Path, bundle: Path) -> Iterator[Server]:
    """Each peer with the bundle's graph; its own code decodes the same JPEG bytes.

    Raises:
        NoPeersError: the environment cannot be had.
    """
    python = make_environment()
    module = [str(python), "-m", "benchmarks.serving.peer_servers"]
    for batch in (1, 16):
        name = "LitServe" if batch == 1 else f"LitServe, batches of {batch}"
        yield Server(
            name, (*module, "litserve", str(PORT), str(WORKERS), str(batch)), partial(form, "/predict", "image")
        )
    model = folder / f"{bundle.parent.name}-mlflow"
    save = [*module, "save-mlflow", str(bundle), str(model)]
    saved = subprocess.run(save, cwd=ROOT, capture_output=True, text=True, timeout=600)
    if saved.returncode:
        raise NoPeersError(f"MLflow could not store the model: {saved.stderr.strip().splitlines()[-1]}")
    serve = (
        str(python.parent / "mlflow"), "models", "serve", "--model-uri", str(model), "--env-manager", "local",
        "--workers", str(WORKERS), "--host", "127.0.0.1", "--port", str(PORT),
    )  # fmt: skip
    # It starts uvicorn by its name.
    yield Server("mlflow models serve", serve, _invocation, {"PATH": f"{python.parent}:/usr/bin:/bin"})


def _invocation(image: bytes) -> bytes:
    """MLflow's protocol has no files: bytes travel as base64 in a data frame of JSON."""
    frame = {"columns": ["image"], "data": [[base64.b64encode(image).decode()]]}
    return request("/invocations", json.dumps({"dataframe_split": frame}).encode(), "application/json", PORT)


if __name__ == "__main__":
    try:
        print(make_environment())
    except NoPeersError as error:
        raise SystemExit(str(error)) from None
