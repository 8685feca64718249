"""The reference profile: what the model was made for, in numbers, as two files of the bundle.

Layout::

    reference.json   what it was made of, and of which model it speaks
    reference.npz    the columns of its images; no pickle

The bundle's manifest hashes both. A bundle's digest is the hash of that manifest, so the profile cannot name it;
it names the model by `model_digest`, over everything that decides an answer.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from visionloop.artifact.bundle import GRAPH, Bundle, Manifest
from visionloop.artifact.predictor import Predictor
from visionloop.core import files
from visionloop.core.errors import BundleError, DataError
from visionloop.core.images import ImageArray
from visionloop.core.settings import Settings
from visionloop.data.samples import Dataset, Sample, Split
from visionloop.monitoring.drift.observations import Observations, observe
from visionloop.monitoring.drift.windows import natural_duplicate_bits
from visionloop.monitoring.settings import ProfileSettings
from visionloop.task import Prediction

FORMAT_VERSION = 1
"""Of the files and of what the image features mean: another version's numbers cannot be compared."""
REFERENCE = "reference.json"
COLUMNS = "reference.npz"

_DUPLICATE_BITS = 16
"""Where the search for the profile's own limit of near duplicates begins; settings lower it further."""


class ProfileInfo(Settings):
    """What `reference.json` holds."""

    format_version: int
    """Version of this layout and of the image features."""
    task: str
    """Name of the task."""
    model_digest: str
    """Of the model whose answers these are."""
    dataset: str
    """Name of the dataset."""
    split: Split
    """The split the images come from; the model never learned from it."""
    num_images: int = Field(ge=1)
    """Images in the profile."""
    num_available: int = Field(ge=1)
    """Images of the split."""
    small: bool
    """Whether there were fewer images than a profile should have: only gross drift is found then."""
    metric: str
    """The task's primary metric."""
    metric_value: float | None
    """Its value on these images."""
    calibration_gap: float | None
    """Mean expected score less the true score on these images; None for tasks without an expected score."""
    calibration_error: float | None
    """Standard error of that gap."""
    duplicate_bits: int = Field(ge=-1, le=64)
    """Hash distance up to which images may be taken for near duplicates without confusing distinct ones."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """A reference profile in memory.

    Attributes:
        info: What it was made of.
        observations: Its images, in order of sample id.
        classes: Class names in the order of their ids.
        digest: Of the bundle it was opened from; None before it lies in one.
    """

    info: ProfileInfo
    observations: Observations
    classes: tuple[str, ...]
    digest: str | None = None

    def save(self, folder: Path) -> None:
        """Write the two files into a bundle's folder, before the manifest is written."""
        rows = self.observations
        scalars = {f"scalar_{name}": values.astype(np.float32) for name, values in rows.scalars.items()}
        with (folder / COLUMNS).open("wb") as file:
            np.savez_compressed(
                file,
                ids=np.array(rows.ids, dtype=np.str_),
                class_counts=rows.class_counts,
                embeddings=rows.embeddings.astype(np.float16),
                expected_scores=rows.expected_scores.astype(np.float32),
                dhash=rows.dhash,
                **scalars,  # type: ignore[arg-type]  # the stub takes every keyword for `allow_pickle`
            )
        files.write_text(folder / REFERENCE, self.info.model_dump_json(indent=2) + "\n")

    @classmethod
    def open(cls, bundle: Bundle) -> Self:
        """The profile of an opened (verified) bundle.

        Raises:
            BundleError: the bundle has none, it is damaged, or it was made for another model or by another version.
        """
        root, manifest = bundle.root, bundle.manifest
        if REFERENCE not in manifest.files or COLUMNS not in manifest.files:
            raise BundleError(
                "the bundle has no reference profile",
                where=str(root / REFERENCE),
                expected=f"{REFERENCE} and {COLUMNS} among the bundle's files",
                action="export the model again with this version, and deploy that bundle",
            )
        info = _read_info(root / REFERENCE)
        expected = model_digest(manifest)
        if info.model_digest != expected:
            raise BundleError(
                f"the reference profile is of another model (model {info.model_digest[:12]})",
                where=str(root / REFERENCE),
                expected=f"the profile of this bundle's model {expected[:12]}",
                action="export the model again; a profile is never carried over from another version",
            )
        rows = _read_columns(root / COLUMNS)
        if len(rows) != info.num_images or rows.class_counts.shape[1] != len(manifest.classes):
            raise _damaged(root / COLUMNS, f"{len(rows)} images of {rows.class_counts.shape[1]} classes")
        return cls(info=info, observations=rows, classes=manifest.classes, digest=bundle.digest)


def model_digest(manifest: Manifest) -> str:
    """Hex SHA-256 over all that decides an answer: graph, classes, recipe, operating point."""
    return files.hash_json(
        {
            "task": manifest.task,
            "graph": manifest.files[GRAPH],
            "classes": manifest.classes_hash,
            "recipe": manifest.recipe.model_dump(mode="json"),
            "operating_point": manifest.operating_point,
        }
    )


def build_profile(
    predictor: Predictor, dataset: Dataset, settings: ProfileSettings, *, split: Split = "val"
) -> Profile:
    """Ask the model about held-out images and keep what they and its answers look like.

    Args:
        predictor: Of the bundle that the profile will belong to.
        dataset: The dataset the model was made for.
        settings: How many images.
        split: A split the model did not learn from.

    Raises:
        DataError: the split is empty.
    """
    samples = dataset.samples(split)
    available = len(samples)
    if not samples:
        raise DataError(
            f"the {split} split is empty, there is nothing to make a reference profile of",
            where=str(dataset.root / "dataset.json"),
            expected=f"at least one image in {split}; 1,000 make a good profile",
            action="give the split a share in the data settings, and prepare again",
        )
    if available > settings.max_images:
        chosen = np.random.default_rng(0).choice(available, settings.max_images, replace=False)
        samples = [samples[index] for index in np.sort(chosen)]
    task = predictor.task
    scorer = task.scorer(predictor.classes)
    rows = []
    for sample, image, prediction in _answered(predictor, dataset, samples):
        scorer.add(sample, prediction)
        rows.append(observe(task, image, prediction, id=sample.id))
    evaluation = scorer.evaluate()
    observations = Observations.stack(rows, num_classes=len(predictor.classes))
    gap, error = _calibration(observations.expected_scores, evaluation.per_image.get(task.primary_metric))
    info = ProfileInfo(
        format_version=FORMAT_VERSION,
        task=task.name,
        model_digest=model_digest(predictor.bundle.manifest),
        dataset=dataset.info.name,
        split=split,
        num_images=len(rows),
        num_available=available,
        small=len(rows) < settings.min_images,
        metric=task.primary_metric,
        metric_value=evaluation.metrics[task.primary_metric],
        calibration_gap=gap,
        calibration_error=error,
        duplicate_bits=natural_duplicate_bits(observations.dhash, _DUPLICATE_BITS),
    )
    return Profile(info=info, observations=observations, classes=predictor.classes)


def _answered(
    predictor: Predictor, dataset: Dataset, samples: list[Sample]
) -> Iterator[tuple[Sample, ImageArray, Prediction]]:
    for start in range(0, len(samples), predictor.batch_size):
        batch = samples[start : start + predictor.batch_size]
        images = [dataset.read_image(sample) for sample in batch]
        yield from zip(batch, images, predictor.predict_stream(images), strict=True)


def _calibration(
    expected: npt.NDArray[np.float64], truth: npt.NDArray[np.float64] | None
) -> tuple[float | None, float | None]:
    if truth is None or not np.isfinite(expected).all() or not len(expected):
        return None, None
    gaps = expected - truth
    return float(gaps.mean()), float(gaps.std() / np.sqrt(len(gaps)))


def _read_info(path: Path) -> ProfileInfo:
    try:
        values = json.loads(path.read_text())
        version = values.get("format_version")
        if version != FORMAT_VERSION:
            raise BundleError(
                f"the reference profile has format version {version!r}",
                where=str(path),
                expected=f"format version {FORMAT_VERSION}",
                action="check drift with the visionloop version that exported the bundle, or export it again",
            )
        return ProfileInfo.model_validate_json(json.dumps(values))
    except (OSError, ValueError, AttributeError, ValidationError) as error:
        raise _damaged(path, str(error).splitlines()[0][:200]) from None


def _read_columns(path: Path) -> Observations:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            ids = tuple(arrays["ids"].tolist())
            return Observations(
                ids=ids,
                scalars={
                    name.removeprefix("scalar_"): arrays[name].astype(np.float64)
                    for name in arrays.files
                    if name.startswith("scalar_")
                },
                class_counts=arrays["class_counts"],
                embeddings=arrays["embeddings"].astype(np.float32),
                expected_scores=arrays["expected_scores"].astype(np.float64),
                dhash=arrays["dhash"],
                clients=(None,) * len(ids),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, str(error).splitlines()[0][:200]) from None


def _damaged(path: Path, what: str) -> BundleError:
    return BundleError(
        f"the reference profile is damaged: {what}",
        where=str(path),
        expected="a profile as the export wrote it",
        action="fetch the bundle again from the registry, or export the model again",
    )
