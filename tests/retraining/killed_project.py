"""A project whose training takes no time: everything else of the loop is real, from the store to the registry."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipelines import export, retrain, train
from tests.evaluation.fake import CLASSES, SIDE, TRUE_THRESHOLD, Brightness, make_bundle, to_png
from tests.registry.conftest import EVALUATION
from visionloop.artifact import predictor
from visionloop.config import Config, load_config
from visionloop.core.files import sha256_bytes
from visionloop.data.samples import Dataset
from visionloop.evaluation.settings import GateSettings
from visionloop.monitoring.store import FeedbackRow, PredictionRow, PredictionStore

ROOT = Path(__file__).resolve().parents[2]
TASK = "classification"


def configuration(folder: Path) -> Config:
    """Of the project in `folder`."""
    config = load_config(root=ROOT)
    gate = GateSettings(floors={"accuracy": 0.5}, min_images=1, max_class_drop=None)
    block = replace(config.selected, gate=gate, evaluation=EVALUATION)
    return replace(config, root=folder, blocks=config.blocks | {TASK: block})


def write_source(folder: Path) -> None:
    """Grey pictures in class folders."""
    for level in range(0, 256, 4):
        place = folder / "data" / TASK / _name(level)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{level:03d}.png").write_bytes(_picture(level, 0))


def acknowledge(store: PredictionStore, folder: Path, number: int) -> tuple[str, str]:
    """What the service does with a picture and somebody's label for it; returns the picture's hash and the label."""
    level = 96 + 7 * number % 64
    data = _picture(level, number + 1)
    digest = sha256_bytes(data)
    kept = folder / "mlruns/images" / digest[:2] / f"{digest}.png"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(data)
    now = datetime.now(UTC)
    row = PredictionRow(
        id=f"{number:032x}", created_at=now, task=TASK, model="m", version="1", digest="d", variant="champion",
        request_id="r", image_sha256=digest, width=SIDE, height=SIDE, image_bytes=len(data), result={"class": "dark"},
        latency_ms=1.0,
    )  # fmt: skip
    store.log(row)
    store.flush()
    store.add_feedback(FeedbackRow(prediction_id=row.id, created_at=now, verdict="corrected", label=_name(level)))
    return digest, _name(level)


def call(config: Config) -> int:
    """`visionloop retrain --force`, in this process; the model is the better the more labels it was made from."""
    os.chdir(config.root)
    patch = pytest.MonkeyPatch()
    patch.setattr(predictor, "load_task", lambda name: Brightness())
    patch.setattr(retrain, "load_config", lambda: config)
    patch.setattr(train, "stage", lambda config: "trained")
    patch.setattr(export, "stage", _export)
    return retrain.main(["--task", TASK, "--force"])


def _export(config: Config) -> str:
    dataset = Dataset.open(config.build("dataset"))
    target, temporary = config.build("bundle"), config.build("bundle.tmp")
    for path in (target, temporary):
        shutil.rmtree(path, ignore_errors=True)
    make_bundle(temporary, threshold=TRUE_THRESHOLD - 0.5 + 200 / len(dataset), train_key=dataset.info.content_hash)
    temporary.rename(target)
    return "exported"


def _name(level: int) -> str:
    return CLASSES[int(level >= TRUE_THRESHOLD)]


def _picture(level: int, number: int) -> bytes:
    """Grey of a level, with a number in its corner."""
    picture = np.full((SIDE, SIDE, 3), level, np.uint8)
    picture[0, 0] = (number % 256, number // 256, 0)
    return to_png(picture)
