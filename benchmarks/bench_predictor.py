"""Images per second of the bundle's graph against torch eager: one core, batch 8, same weights, one run.

python benchmarks/bench_predictor.py
"""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from visionloop.artifact.bundle import GRAPH, WEIGHTS, Bundle, ParityReport, write_manifest
from visionloop.artifact.export import export_graph
from visionloop.artifact.runtimes import open_runtime
from visionloop.artifact.settings import RuntimeSettings
from visionloop.core.images import Recipe
from visionloop.task import load_task

BATCH = 8
SECONDS = 6.0
CASES = (
    ("classification", {"architecture": "resnet18"}, Recipe(height=224, width=224)),
    ("detection", {"architecture": "light_fcos", "width": 16}, Recipe(height=128, width=128)),
)


def main() -> None:
    """Print a table, and one JSON line of the ratios."""
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, one thread, batch {BATCH}\n")
    ratios: dict[str, float] = {}
    for name, model, recipe in CASES:
        ratios |= bench(name, model, recipe)
    print("\n" + json.dumps(ratios))


def bench(name: str, model: dict[str, Any], recipe: Recipe) -> dict[str, float]:
    """Ratios to torch eager of one network."""
    task = load_task(name)
    settings = task.model_settings(**model)
    torch.manual_seed(0)
    learner = task.learner(settings, task.augment_settings(), num_classes=10, recipe=recipe)
    graph = learner.graph().eval()
    images = np.random.default_rng(0).integers(0, 255, (BATCH, recipe.height, recipe.width, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        bundle = _bundle(Path(folder), task, settings, recipe, graph)
        runners: dict[str, Callable[[], object]] = {"torch eager": lambda: _eager(graph, images)}
        for engine, precision in (("onnxruntime", "f32"), ("openvino", "f32"), ("openvino", "bf16")):
            choice = {"engine": engine, "precision": precision, "threads": 1}
            runtime = open_runtime(bundle, RuntimeSettings.model_validate(choice))
            runners[f"{engine} {precision}"] = lambda runtime=runtime: runtime.run(images)  # type: ignore[misc]
        speeds = _measure(runners)
    label = f"{model['architecture']} at {recipe.width}"
    for engine, speed in speeds.items():
        print(f"{label:<20} {engine:<16} {speed:8.1f} images/s  {speed / speeds['torch eager']:.2f}x")
    return {f"{label}, {engine}": round(speed / speeds["torch eager"], 2) for engine, speed in speeds.items()}


def _bundle(folder: Path, task: Any, settings: Any, recipe: Recipe, graph: torch.nn.Module) -> Bundle:
    export_graph(graph, folder / GRAPH, recipe, task.outputs)
    (folder / WEIGHTS).write_bytes(b"")
    parity = ParityReport(
        num_images=0,
        max_relative_error={},
        tolerance={},
        metric=task.primary_metric,
        metric_framework=None,
        metric_bundle=None,
        max_metric_drop=0.0,
        passed=False,
    )
    names = tuple(str(number) for number in range(10))
    manifest = write_manifest(
        folder, task=task.name, classes=names, classes_hash="", recipe=recipe, outputs=task.outputs,
        operating_point={}, model=settings.model_dump(mode="json"), dataset={}, training={}, parity=parity, versions={},
    )  # fmt: skip
    return Bundle(folder, manifest)


def _eager(graph: torch.nn.Module, images: npt.NDArray[np.uint8]) -> object:
    with torch.inference_mode():
        return graph(torch.from_numpy(images))


def _measure(runners: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Turn and turn about, so that a disturbance meets all alike."""
    spent = dict.fromkeys(runners, 0.0)
    counts = dict.fromkeys(runners, 0)
    for run in runners.values():
        run()
    while min(spent.values()) < SECONDS:
        for name, run in runners.items():
            started = time.process_time()
            run()
            spent[name] += time.process_time() - started
            counts[name] += BATCH
    return {name: counts[name] / spent[name] for name in runners}


if __name__ == "__main__":
    main()
