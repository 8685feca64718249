from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract import tiny_plan
from visionloop.artifact.export import Trained, export_bundle
from visionloop.artifact.settings import ExportSettings
from visionloop.data.samples import Dataset
from visionloop.task import task_names


@pytest.fixture(scope="session", params=task_names())
def bundle_root(
    request: pytest.FixtureRequest, datasets: dict[str, Dataset], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A real bundle of every task, of an untrained network."""
    plan, dataset = tiny_plan(request.param), datasets[request.param]
    trained = Trained(
        task=plan.task,
        learner=plan.learner(len(dataset.classes)),
        model=plan.model,
        recipe=plan.recipe,
        training={"key": plan.key(dataset)},
    )
    out = tmp_path_factory.mktemp(request.param) / "bundle"
    export_bundle(ExportSettings(), trained, dataset, out)
    return out
