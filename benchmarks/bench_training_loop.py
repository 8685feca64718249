"""Our Lightning loop against a bare PyTorch loop: same network, data, views, steps; CPU time per image in one run.

python benchmarks/bench_training_loop.py
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from visionloop.core.images import Recipe
from visionloop.data.digits import generate
from visionloop.data.prepare import prepare
from visionloop.data.samples import Dataset
from visionloop.data.settings import DataSettings, SourceSettings
from visionloop.task import load_task
from visionloop.training.datamodule import EpochBatches, InputSet
from visionloop.training.fit import fit
from visionloop.training.plan import TrainingPlan
from visionloop.training.settings import TrainingSettings

EPOCHS = 6


def main() -> None:
    """Print both speeds and their ratio."""
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder / "data")
        task = load_task("classification")
        source = SourceSettings(kind="folder", path="data/classification", name="digits")
        prepare(DataSettings(source=source), task.requirements, folder / "dataset", root=folder)
        dataset = Dataset.open(folder / "dataset")
        plan = TrainingPlan(
            task=task,
            model=task.model_settings(width=24),  # type: ignore[call-arg]
            augment=task.augment_settings(),
            recipe=Recipe(height=32, width=32),
            training=TrainingSettings(
                max_epochs=EPOCHS, batch_size=64, ema_decay=0.0, precision="bf16", threads=2, validate_every=EPOCHS
            ),
        )
        bare(plan, dataset)  # warms up allocator and kernels
        reference = bare(plan, dataset)
        ours = lightning(plan, dataset, folder)
    print(f"bare PyTorch {reference:8.1f} images/s\nvisionloop   {ours:8.1f} images/s  {ours / reference:.3f}x")
    print(json.dumps({"lightning_to_bare": round(ours / reference, 3)}))


def bare(plan: TrainingPlan, dataset: Dataset) -> float:
    """Images per second of a loop written by hand."""
    learner = plan.learner(len(dataset.classes))
    data = InputSet(dataset, "train", learner, plan.recipe, seed=7, cache_mb=4096)
    batches = EpochBatches(len(data), plan.training.batch_size, 7)
    optimizer = torch.optim.AdamW(learner.module.parameters(), 1e-3)
    learner.module.train()
    times: list[float] = []
    for epoch in range(EPOCHS):
        batches.epoch = data.epoch = epoch
        started = time.perf_counter()
        for indices in batches:
            items: list[Any] = [data[index] for index in indices]
            images = torch.from_numpy(np.stack([image for image, _, _ in items]))
            with torch.autocast("cpu", torch.bfloat16):
                targets = learner.collate([target for _, target, _ in items])
                loss = learner.losses(images, targets, progress=0.0)["loss"]
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        times.append(time.perf_counter() - started)
    return len(batches) * batches.batch_size / float(np.median(times[1:]))


def lightning(plan: TrainingPlan, dataset: Dataset, folder: Path) -> float:
    """Images per second of `fit`, from its own history, without the epoch that validates."""
    result = fit(plan, dataset, folder / "model", resume_dir=folder / "resume")
    rows = np.genfromtxt(result.folder / "history.csv", delimiter=",", names=True)
    batches = EpochBatches(dataset.info.split_counts["train"], plan.training.batch_size, 7)
    return len(batches) * batches.batch_size / float(np.median(rows["seconds"][1:-1]))


if __name__ == "__main__":
    main()
