"""Where feedback and images come from: the prediction store and the kept images of the service."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from visionloop.core.errors import DataError
from visionloop.data.overlay import TrueObject
from visionloop.data.requirements import Requirements
from visionloop.data.samples import Dataset
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import PredictionStore
from visionloop.monitoring.store.engine import parse_url
from visionloop.retraining.judgements import Judgement, Truth, read_judgements
from visionloop.serving.kept import kept_image


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackPlace:
    """What the service left.

    Attributes:
        store: Settings of the prediction store.
        state: Folder at which relative paths of what the service writes start.
        images: Folder of the kept images, relative to `state`.
    """

    store: StoreSettings
    state: Path
    images: str

    def find(self, sha256: str) -> Path | None:
        """The kept image of a hash, or None."""
        return kept_image(self.state / self.images, sha256)


def read_feedback(place: FeedbackPlace, task: str, requirements: Requirements, *, expected: bool) -> list[Judgement]:
    """Everything that was said about a task's answers.

    Args:
        place: Where.
        task: Its name.
        requirements: Whether its objects have boxes.
        expected: Whether there must be a store, because feedback was gathered from it before.

    Raises:
        StoreError: the database cannot be read.
        DataError: it is gone.
    """
    if not place.store.enabled:
        return []
    _, path = parse_url(place.store.url, place.state)
    if path is not None and not path.exists():
        # Opening would make an empty one, in which the loss could not be seen any more.
        if expected:
            raise DataError(
                "the prediction store is gone, though labels were gathered from it before",
                where=str(path),
                expected="the database that the service writes",
                action="bring it back, or correct serving.store.url and VISIONLOOP_STATE; with serving.store.enabled "
                "false retraining goes on with the labels there are",
            )
        return []
    with contextlib.closing(PredictionStore.open(place.store, place.state)) as store:
        rows = store.judged(task=task)
    return read_judgements(rows, boxes=requirements.boxes)


def known_truths(dataset_root: Path) -> dict[str, Truth]:
    """What a prepared dataset says of its own source's images, by hash of their bytes; empty where there is none."""
    if not (dataset_root / "dataset.json").is_file():
        return {}
    dataset = Dataset.open(dataset_root)
    return {
        sample.sha256: tuple(
            TrueObject(name=dataset.classes[item.class_id], box_xyxy=item.box_xyxy) for item in sample.objects
        )
        for sample in dataset.iter_samples()
        # What came from feedback is named by another hash than that of its bytes, and is judged anew.
        if sample.group == sample.sha256
    }
