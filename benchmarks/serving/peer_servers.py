"""LitServe and MLflow around a bundle's graph, as their documentation would have one write it.

Runs in the environment of `peers.py`, which has no visionloop in it:

    python -m benchmarks.serving.peer_servers litserve PORT WORKERS BATCH      (BENCH_BUNDLE names the bundle)
    python -m benchmarks.serving.peer_servers save-mlflow BUNDLE MODEL
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image


class Classifier:
    """The graph, with what a small script needs around it."""

    def __init__(self, bundle: Path) -> None:
        import onnxruntime as ort

        manifest = json.loads((bundle / "bundle.json").read_text())
        self._classes: list[str] = manifest["classes"]
        self._size = (manifest["recipe"]["width"], manifest["recipe"]["height"])
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(str(bundle / "model.onnx"), options, providers=["CPUExecutionProvider"])

    def decode(self, data: bytes) -> npt.NDArray[np.uint8]:
        """uint8 [H,W,3] as the graph takes it."""
        image = Image.open(io.BytesIO(data)).convert("RGB")
        if image.size != self._size:
            image = image.resize(self._size, Image.Resampling.BILINEAR)
        return np.asarray(image)

    def answer(self, images: npt.NDArray[np.uint8]) -> list[dict[str, Any]]:
        """The best class of each with its probability."""
        (logits,) = self._session.run(["logits"], {"images": images})
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        best = shares.argmax(axis=1)
        return [{"class": self._classes[k], "score": float(row[k])} for k, row in zip(best, shares, strict=True)]


def run_litserve(port: int, workers: int, batch: int) -> None:
    """Serve until stopped."""
    import litserve

    from benchmarks.serving.peer_lit import BatchedApi, SingleApi

    # Its batches wait for company for a bounded time; an idle graph should not.
    api = BatchedApi(max_batch_size=batch, batch_timeout=0.002) if batch > 1 else SingleApi()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=workers)
    server.run(host="127.0.0.1", port=port, log_level="warning", generate_client_file=False)


def save_mlflow(bundle: Path, out: Path) -> None:
    """Write a pyfunc model whose input is a column of encoded images."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    signature = ModelSignature(inputs=Schema([ColSpec("binary", "image")]))
    mlflow.pyfunc.save_model(
        path=str(out),
        python_model=str(Path(__file__).with_name("peer_mlflow.py")),
        artifacts={"bundle": str(bundle)},
        signature=signature,
        pip_requirements=["onnxruntime", "pillow"],
    )


if __name__ == "__main__":
    if sys.argv[1] == "litserve":
        run_litserve(*map(int, sys.argv[2:]))
    else:
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        save_mlflow(*map(Path, sys.argv[2:]))
