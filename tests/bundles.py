"""Real bundles of untrained networks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.contract import tiny_plan
from visionloop.artifact.bundle import GRAPH, MANIFEST, Bundle, write_manifest
from visionloop.artifact.export import Trained, export_bundle
from visionloop.artifact.settings import ExportSettings
from visionloop.data.samples import Dataset


def make_bundle(task: str, dataset: Dataset, out: Path) -> Path:
    """An export of `tiny_plan`, whose own seed draws the weights."""
    plan = tiny_plan(task)
    trained = Trained(
        task=plan.task,
        learner=plan.learner(len(dataset.classes)),
        model=plan.model,
        recipe=plan.recipe,
        training={},
    )
    export_bundle(ExportSettings(), trained, dataset, out)
    return out


def same_with_another_digest(bundle: Path, out: Path) -> Path:
    """A copy that answers as `bundle` does and is another bundle by its manifest."""
    shutil.copytree(bundle, out, ignore=shutil.ignore_patterns(MANIFEST))
    values = dict(Bundle.open(bundle).manifest)
    del values["format_version"], values["files"]
    write_manifest(out, **values | {"training": {"note": "another"}})
    return out


def graph_of(bundle: Path) -> Callable[..., None]:
    """Stands in for `export_graph`, which takes seconds: writes the graph of another bundle.

    `export_bundle` still proves that it is the network's.
    """

    def export_graph(graph: object, path: Path, *rest: object) -> None:
        shutil.copy(bundle / GRAPH, path)

    return export_graph
