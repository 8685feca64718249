"""Many answered images as columns: what a reference profile and a window both consist of. No scipy here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from visionloop.core.images import ImageArray
from visionloop.monitoring.drift.features import FEATURES, ImageFeatures, image_features
from visionloop.task import Prediction, Task


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observation:
    """One answered image.

    Attributes:
        id: Of the prediction or sample.
        features: Of the image.
        class_counts: How often the answer names each class, by id.
        outputs: The task's numbers of the answer; None where it has none of that kind.
        expected_score: The answer's own probability of being right, or None.
        embedding: float [D].
        client: Who sent the image; None where that is not known.
    """

    id: str
    features: ImageFeatures
    class_counts: Mapping[int, int]
    outputs: Mapping[str, float | None]
    expected_score: float | None
    embedding: npt.NDArray[np.floating]
    client: str | None = None

    def to_record(self) -> dict[str, Any]:
        """JSON-like, for the prediction store's `features`; the embedding has a column of its own."""
        return self.features.to_record() | {
            "classes": {str(class_id): count for class_id, count in self.class_counts.items()},
            "outputs": {
                # JSON knows neither NaN nor infinity; as text they come back as what they were.
                name: value if value is None or np.isfinite(value) else str(value)
                for name, value in self.outputs.items()
            },
            "expected_score": _finite_or_none(self.expected_score),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], *, id: str, embedding: bytes, client: str | None = None) -> Self:
        """The inverse of `to_record`.

        Args:
            record: As the prediction store gave it back.
            id: Of the prediction.
            embedding: A float16 array's bytes.
            client: Who sent the image.

        Raises:
            KeyError, ValueError: the record was not written by `to_record`.
        """
        outputs = {name: None if value is None else float(value) for name, value in record["outputs"].items()}
        return cls(
            id=id,
            features=ImageFeatures.from_record(record),
            class_counts={int(class_id): int(count) for class_id, count in record["classes"].items()},
            outputs=outputs,
            expected_score=record["expected_score"],
            embedding=np.frombuffer(embedding, np.float16),
            client=client,
        )


def observe(
    task: Task, image: ImageArray, prediction: Prediction, *, id: str = "", client: str | None = None
) -> Observation:
    """One answered image as an observation.

    Args:
        task: The task that answered.
        image: uint8 [H,W,3], upright, as large as it came.
        prediction: The answer.
        id: Of the prediction or sample.
        client: Who sent the image.
    """
    return observed(task, image_features(image), prediction, id=id, client=client)


def observed(
    task: Task, features: ImageFeatures, prediction: Prediction, *, id: str = "", client: str | None = None
) -> Observation:
    """As `observe`, of an image that has been measured already."""
    summary = task.output_summary(prediction, width=int(features.width), height=int(features.height))
    return Observation(
        id=id,
        features=features,
        class_counts=summary.class_counts,
        outputs=summary.scalars,
        expected_score=summary.expected_score,
        embedding=prediction.embedding,
        client=client,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observations:
    """N answered images as columns.

    Attributes:
        ids: Length N.
        scalars: Name to float64 [N]: image features, then the task's numbers; NaN where there is none.
        class_counts: int32 [N,C].
        embeddings: float32 [N,D]; may hold values that are not finite.
        expected_scores: float64 [N], NaN where there is none.
        dhash: uint64 [N].
        clients: Length N; None where the sender is not known.
    """

    ids: tuple[str, ...]
    scalars: dict[str, npt.NDArray[np.float64]]
    class_counts: npt.NDArray[np.int32]
    embeddings: npt.NDArray[np.float32]
    expected_scores: npt.NDArray[np.float64]
    dhash: npt.NDArray[np.uint64]
    clients: tuple[str | None, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.ids), len(self.clients), len(self.class_counts), len(self.embeddings), len(self.dhash)}
        lengths |= {len(column) for column in (self.expected_scores, *self.scalars.values())}
        if len(lengths) != 1 or self.class_counts.ndim != 2 or self.embeddings.ndim != 2:
            raise ValueError(f"expected columns of one length, counts [N,C], embeddings [N,D], got lengths {lengths}")

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def stack(cls, rows: Iterable[Observation], *, num_classes: int) -> Self:
        """Observations of one model as columns, in order.

        Args:
            rows: May be empty.
            num_classes: Of the model.

        Raises:
            ValueError: embeddings of different length, or a class id outside of the model's: rows of another model.
        """
        rows = list(rows)
        counts = np.zeros((len(rows), num_classes), np.int32)
        for index, row in enumerate(rows):
            for class_id, count in row.class_counts.items():
                if not 0 <= class_id < num_classes:
                    raise ValueError(f"class id {class_id} of {row.id!r} is none of the model's {num_classes} classes")
                counts[index, class_id] = count
        outputs = {name: None for row in rows for name in row.outputs}
        scalars = {name: _column(getattr(row.features, name) for row in rows) for name in FEATURES}
        scalars |= {name: _column(row.outputs.get(name) for row in rows) for name in outputs}
        widths = {row.embedding.shape for row in rows}
        if len(widths) > 1:
            raise ValueError(f"embeddings of shapes {sorted(widths)}: rows of different models")
        embeddings = [row.embedding for row in rows]
        return cls(
            ids=tuple(row.id for row in rows),
            scalars=scalars,
            class_counts=counts,
            embeddings=np.stack(embeddings).astype(np.float32) if rows else np.zeros((0, 0), np.float32),
            expected_scores=_column(row.expected_score for row in rows),
            dhash=np.array([row.features.dhash for row in rows], np.uint64),
            clients=tuple(row.client for row in rows),
        )

    def take(self, indices: Sequence[int] | npt.NDArray[np.integer]) -> Observations:
        """The rows at these positions, in this order."""
        at = np.asarray(indices, np.intp)
        return Observations(
            ids=tuple(self.ids[index] for index in at),
            scalars={name: values[at] for name, values in self.scalars.items()},
            class_counts=self.class_counts[at],
            embeddings=self.embeddings[at],
            expected_scores=self.expected_scores[at],
            dhash=self.dhash[at],
            clients=tuple(self.clients[index] for index in at),
        )


def _column(values: Iterable[float | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _finite_or_none(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
