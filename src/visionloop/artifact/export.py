"""Training's door: a trained learner becomes a bundle, and only if the graph provably is the trained network."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import nn

from visionloop.artifact.bundle import (
    GOLDEN,
    GRAPH,
    MODEL_CARD,
    WEIGHTS,
    Bundle,
    ParityReport,
    write_manifest,
)
from visionloop.artifact.model_card import model_card
from visionloop.artifact.predictor import Predictor, relative_errors
from visionloop.artifact.runtimes import OnnxGraph
from visionloop.artifact.settings import ExportSettings, RuntimeSettings
from visionloop.core import files
from visionloop.core.errors import ModelError
from visionloop.core.images import Placement, Recipe
from visionloop.core.settings import Settings
from visionloop.data.samples import Dataset, Sample
from visionloop.task import Learner, Outputs, Task

_log = logging.getLogger(__name__)
_LIBRARIES = ("visionloop", "torch", "torchvision", "onnx", "onnxruntime", "numpy", "pillow", "albumentations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What training hands over.

    Attributes:
        task: The task.
        learner: With the trained weights loaded.
        model: The model's settings.
        recipe: The model's input.
        training: JSON-like settings and summary of the training, for the manifest.
    """

    task: Task
    learner: Learner
    model: Settings
    recipe: Recipe
    training: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Validation:
    """The validation split as the networks see it."""

    samples: list[Sample]
    inputs: npt.NDArray[np.uint8]
    placements: list[Placement]


def export_bundle(
    settings: ExportSettings,
    trained: Trained,
    dataset: Dataset,
    out_dir: Path,
    *,
    companions: Callable[[Predictor, Path], None] | None = None,
) -> Bundle:
    """Export, choose the operating point, prove parity, and write the bundle.

    Args:
        settings: Tolerances and sizes.
        trained: The trained learner.
        dataset: The dataset it was trained on; its validation split is the evidence.
        out_dir: Where the bundle appears, whole or not at all.
        companions: Writes further files into the bundle's folder, from a predictor on it: the drift reference.

    Raises:
        ModelError: the graph cannot be exported, or its answers differ from the framework's.
    """
    validation = _load_validation(dataset, trained.recipe, settings.max_parity_images)
    graph = trained.learner.graph().cpu().eval()
    reference = _torch_outputs(graph, validation.inputs, settings.batch_size, trained.task.outputs)
    operating_point = trained.task.fit_operating_point(
        validation.samples, reference, validation.placements, len(dataset.classes)
    )
    with files.new_folder(out_dir) as folder:
        export_graph(graph, folder / GRAPH, trained.recipe, trained.task.outputs)
        weights = {
            name: value.detach().cpu().contiguous() for name, value in trained.learner.module.state_dict().items()
        }
        save_file(weights, folder / WEIGHTS)
        golden = validation.inputs[: settings.golden_images]
        arrays: dict[str, Any] = {name: value[: len(golden)] for name, value in reference.items()}
        np.savez_compressed(folder / GOLDEN, images=golden, **arrays)
        parity = _prove_parity(settings, trained, dataset, validation, reference, operating_point, folder)
        values: dict[str, Any] = {
            "task": trained.task.name,
            "classes": dataset.classes,
            "classes_hash": dataset.info.classes_hash,
            "recipe": trained.recipe,
            "outputs": trained.task.outputs,
            "operating_point": operating_point.model_dump(mode="json"),
            "model": trained.model.model_dump(mode="json"),
            "dataset": {
                "name": dataset.info.name,
                "content_hash": dataset.info.content_hash,
                "split_counts": dataset.info.split_counts,
                "licence": dataset.info.licence,
            },
            "training": trained.training,
            "parity": parity,
            "versions": _versions(),
        }
        files.write_text(folder / MODEL_CARD, model_card(values))
        write_manifest(folder, **values)
        if companions is not None:
            companions(Predictor.open(folder, RuntimeSettings(threads=torch.get_num_threads())), folder)
            write_manifest(folder, **values)
    # Opened the way a service opens it: hashes, golden batch, graph.
    return Predictor.open(out_dir, RuntimeSettings(threads=torch.get_num_threads())).bundle


def export_graph(graph: nn.Module, path: Path, recipe: Recipe, outputs: Sequence[str]) -> None:
    """Write an ONNX file with input `images` uint8 [N,H,W,3] and a free batch axis.

    Raises:
        ModelError: the network does not go through the exporter.
    """
    # Two images: torch.export would take a batch of one for a constant.
    example = torch.zeros(2, recipe.height, recipe.width, 3, dtype=torch.uint8)
    with _quiet_exporter(), torch.inference_mode():
        try:
            program = torch.onnx.export(
                graph,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
                input_names=["images"],
                output_names=list(outputs),
                verbose=False,
            )
        except Exception as error:  # the exporter raises many kinds, none of them documented
            first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ModelError(
                f"the network cannot be exported to ONNX: {first[:300]}",
                where=f"architecture {type(graph).__name__}",
                expected="operations that torch.onnx.export(dynamo=True) knows, shapes that depend on the batch only",
                action="choose another architecture, or report this with the architecture's name",
            ) from error
    assert program is not None
    program.save(str(path), external_data=False)


def _load_validation(dataset: Dataset, recipe: Recipe, limit: int) -> _Validation:
    samples = dataset.samples("val")
    if len(samples) > limit:
        # Evenly over the ids, which are in no order of class when many classes follow each other.
        chosen = np.linspace(0, len(samples) - 1, limit).round().astype(int)
        samples = [samples[index] for index in chosen]
    applied = [recipe.apply(dataset.read_image(sample)) for sample in samples]
    return _Validation(samples, np.stack([array for array, _ in applied]), [place for _, place in applied])


def _torch_outputs(
    graph: nn.Module, inputs: npt.NDArray[np.uint8], batch_size: int, names: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    parts: list[tuple[torch.Tensor, ...]] = []
    with torch.inference_mode():
        for start in range(0, len(inputs), batch_size):
            parts.append(graph(torch.from_numpy(inputs[start : start + batch_size])))
    return {name: np.concatenate([part[index].numpy() for part in parts]) for index, name in enumerate(names)}


def _prove_parity(
    settings: ExportSettings,
    trained: Trained,
    dataset: Dataset,
    validation: _Validation,
    reference: Outputs,
    operating_point: Settings,
    folder: Path,
) -> ParityReport:
    found = _graph_outputs(settings, folder, trained, validation.inputs)
    errors = relative_errors(reference, found)
    metric = trained.task.primary_metric
    before = _metric(trained.task, dataset, validation, reference, operating_point)
    after = _metric(trained.task, dataset, validation, found, operating_point)
    drop = (before or 0.0) - (after or 0.0)
    passed = all(error <= settings.relative_tolerance for error in errors.values()) and drop <= settings.max_metric_drop
    _log.info("parity on %d images: %s, %s %s -> %s", len(validation.samples), errors, metric, before, after)
    if not passed:
        raise ModelError(
            "the exported graph does not answer as the trained network does: "
            + ", ".join(f"{name} differs by {error:.2g}" for name, error in errors.items())
            + f"; {metric} {before} -> {after}",
            where=f"parity proof on {len(validation.samples)} validation images",
            expected=f"at most {settings.relative_tolerance:g} per output and {settings.max_metric_drop:g} of {metric}",
            action="do not loosen the tolerance; report this with the architecture's name",
        )
    return ParityReport(
        num_images=len(validation.samples),
        max_relative_error=errors,
        tolerance=dict.fromkeys(errors, settings.relative_tolerance),
        metric=metric,
        metric_framework=before,
        metric_bundle=after,
        max_metric_drop=settings.max_metric_drop,
        passed=passed,
    )


def _graph_outputs(
    settings: ExportSettings, folder: Path, trained: Trained, inputs: npt.NDArray[np.uint8]
) -> dict[str, npt.NDArray[Any]]:
    runtime = OnnxGraph(folder / GRAPH, trained.task.outputs, RuntimeSettings(threads=torch.get_num_threads()))
    parts = [
        runtime.run(inputs[start : start + settings.batch_size]) for start in range(0, len(inputs), settings.batch_size)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in trained.task.outputs}


def _metric(
    task: Task, dataset: Dataset, validation: _Validation, outputs: Outputs, operating_point: Settings
) -> float | None:
    scorer = task.scorer(dataset.classes)
    for sample, prediction in zip(
        validation.samples, task.finish(outputs, validation.placements, operating_point), strict=True
    ):
        scorer.add(sample, prediction)
    return scorer.evaluate().metrics[task.primary_metric]


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter warns of its own deprecations and logs at warning level; none of it concerns the user."""
    names = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")
    levels = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
