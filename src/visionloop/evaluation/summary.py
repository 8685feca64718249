"""The numbers of one evaluation: what the gate judges, what is stored beside a registered model."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from visionloop.core import files
from visionloop.core.errors import DataError
from visionloop.evaluation.statistics import paired_bootstrap, wilson_interval

SUMMARY = "evaluation.json"
PER_IMAGE = "per_image.npz"
METRICS = "metrics.json"
_IDS = "sample_ids"
_ARRAYS = ("sample_ids", "per_image")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSummary:
    """One bundle's numbers on one split of one dataset.

    Attributes:
        task: The task's name.
        primary_metric: Key of `metrics` that models are compared by; higher is better.
        metrics: Name to value in [0, 1]; None where undefined, NaN where the computation broke down.
        per_class: One row a class: `class`, `support`, then metrics.
        per_image: Name to float64 [N], in the order of `sample_ids`; see `visionloop.task.Evaluation`.
        sample_ids: The evaluated images, length N.
        dataset: Name of the dataset.
        dataset_hash: Content hash of the dataset.
        split: The evaluated split.
        classes: Names in the order of their ids.
        bundle_digest: The bundle's identity.
        parity_passed: Whether the bundle's graph was proven to be the trained network.
        model_mb: Size of the graph in megabytes (10**6 bytes).
        latency_ms: Milliseconds per image from file bytes to prediction, median over batches.
        runtime: The engine, device, threads and batch size the numbers were measured with.
        remarks: See `visionloop.task.Evaluation`.
    """

    task: str
    primary_metric: str
    metrics: dict[str, float | None]
    per_class: list[dict[str, Any]]
    per_image: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    sample_ids: tuple[str, ...]
    dataset: str
    dataset_hash: str
    split: str
    classes: tuple[str, ...]
    bundle_digest: str
    parity_passed: bool
    model_mb: float
    latency_ms: float
    runtime: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def num_images(self) -> int:
        """Images evaluated."""
        return len(self.sample_ids)

    def contributions(self) -> npt.NDArray[np.float64] | None:
        """What each image adds to the primary metric, float64 [N], all finite.

        None where there is no such thing (average precision is no mean over images) or the computation broke down.
        """
        values = self.per_image.get(self.primary_metric)
        return values if values is not None and bool(np.isfinite(values).all()) else None

    def intervals(self) -> dict[str, tuple[float, float]]:
        """95% intervals of the metrics that are means over images, by name.

        Wilson's where each image is right or wrong, else by resampling images; other metrics have none.
        """
        found = {}
        for name, values in self.per_image.items():
            if name not in self.metrics or not len(values) or not np.isfinite(values).all():
                continue
            if np.isin(values, (0.0, 1.0)).all():
                interval = wilson_interval(int(values.sum()), len(values))
            else:
                interval = paired_bootstrap(values, np.zeros_like(values))
            found[name] = (interval.lower, interval.upper)
        return found

    def flat_metrics(self) -> dict[str, float]:
        """Scalars only, finite only: what `dvc metrics` and MLflow take."""
        numbers = {name: value for name, value in self.metrics.items() if value is not None and math.isfinite(value)}
        return numbers | {
            "num_images": self.num_images,
            "latency_ms": round(self.latency_ms, 3),
            "model_mb": round(self.model_mb, 3),
        }

    def same_images(self, other: EvaluationSummary) -> bool:
        """Whether both were measured on the same images of the same version of a dataset."""
        return (
            self.dataset_hash == other.dataset_hash
            and self.split == other.split
            and self.sample_ids == other.sample_ids
        )

    def write(self, folder: Path) -> None:
        """Write `evaluation.json`, `metrics.json` and `per_image.npz` into an existing folder."""
        record = {key: value for key, value in asdict(self).items() if key not in _ARRAYS}
        record["num_images"] = self.num_images
        record["not_finite"] = [
            name for name, value in self.metrics.items() if value is not None and not math.isfinite(value)
        ]
        files.write_json(folder / SUMMARY, jsonable(record))
        files.write_json(folder / METRICS, self.flat_metrics())
        arrays: dict[str, Any] = {f"image_{name}": values for name, values in self.per_image.items()}
        arrays[_IDS] = np.array(self.sample_ids, dtype=np.str_)
        np.savez_compressed(folder / PER_IMAGE, **arrays)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote.

        Raises:
            DataError: a file is missing or damaged.
        """
        record = files.read_json(folder / SUMMARY)
        try:
            with np.load(folder / PER_IMAGE, allow_pickle=False) as arrays:
                per_image = {name.removeprefix("image_"): arrays[name] for name in arrays.files if name != _IDS}
                sample_ids = tuple(str(name) for name in arrays[_IDS])
            return cls(**_fields(record), per_image=per_image, sample_ids=sample_ids)
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(
                f"the evaluation cannot be read: {error}",
                where=str(folder),
                expected=f"{SUMMARY} and {PER_IMAGE} as the evaluate stage writes them",
                action="run the evaluate stage again",
            ) from None


def _fields(record: Mapping[str, Any]) -> dict[str, Any]:
    metrics = dict(record["metrics"]) | dict.fromkeys(record["not_finite"], math.nan)
    names = set(EvaluationSummary.__slots__) - {*_ARRAYS}
    fields = {name: record[name] for name in names - {"remarks"}}
    # Evaluations registered before there were remarks have none.
    remarks = tuple(record.get("remarks", ()))
    return fields | {"metrics": metrics, "classes": tuple(record["classes"]), "remarks": remarks}


def jsonable(value: Any) -> Any:
    """Plain JSON values: numpy scalars unwrapped, numbers that are not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
