"""Deleting a label that was given, everywhere it lies: the prediction store, the overlay, the retrainings' reports."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from visionloop.core import files
from visionloop.core.errors import DataError, VisionloopError
from visionloop.data.overlay import LabelledImage, Overlay, write_overlay
from visionloop.monitoring.store import PredictionStore
from visionloop.retraining.collect import Collected
from visionloop.retraining.feedback import FeedbackPlace
from visionloop.retraining.steps import FEEDBACK, HELD

_HASH_LENGTH = 64
"""Of a SHA-256 in hex; predictions' ids are shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What a deletion concerns.

    Attributes:
        image: SHA-256 of the image.
        words: Words of people, by the prediction they are about.
        labelled: Whether the overlay has a label of the image.
        reports: Reports of retrainings that name it.
        predictions: Predictions that are deleted too; none unless the image is.
        kept: The kept image that is deleted too.
        remains: Words of others on the image that stay: the next retraining makes a label of them.
    """

    image: str
    words: dict[str, int]
    labelled: bool
    reports: tuple[Path, ...]
    predictions: tuple[str, ...]
    kept: Path | None
    remains: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPlaces:
    """Where the labels of a task lie.

    Attributes:
        place: Store and kept images.
        overlay: Folder of the labels.
        runs: Folder of the task's retrainings.
    """

    place: FeedbackPlace
    overlay: Path
    runs: Path


def forget(
    store: PredictionStore,
    places: LabelPlaces,
    id_: str,
    *,
    key: str | None = None,
    with_image: bool = False,
    dry_run: bool = False,
) -> Forgotten:
    """Delete the label that was given on a prediction, or on an image. Hold `retraining.job.exclusive`.

    The image leaves the overlay, so that the next dataset version lacks it. Where others' words on the same image stay,
    the retraining after that makes a label of them again.

    Args:
        store: The prediction store.
        places: Where else.
        id_: Of the prediction; or the image's SHA-256, which concerns all its predictions, and labels whose predictions
            the store has forgotten.
        key: Only what was said with this key (empty: without one); None means everybody's.
        with_image: Delete the kept image and every prediction of it as well.
        dry_run: Say what would be deleted, and delete nothing.

    Raises:
        DataError: there is no such prediction or image, or nothing was said of it.
        StoreError: the store cannot be read or written.
    """
    is_image = len(id_) == _HASH_LENGTH
    named = None if is_image else store.prediction(id_)
    image = id_ if is_image else str(named["image_sha256"]) if named is not None else ""
    overlay = Overlay.open(places.overlay)
    feedback = {
        other: [one["key_id"] or "" for one in answer["feedback"]]
        for other in sorted(store.deletions.of_image(image))
        if (answer := store.prediction(other)) is not None
    }
    meant = feedback.keys() if is_image else feedback.keys() & {id_}
    words = {other: sum(key in (None, by) for by in feedback[other]) for other in sorted(meant)}
    kept = places.place.find(image) if with_image and image else None
    if not (any(words.values()) or image in overlay.images or kept or (with_image and feedback)):
        raise _nothing("nothing was said of it" if feedback else "there is no such prediction or image", id_)
    found = Forgotten(
        image=image,
        words=words,
        labelled=image in overlay.images,
        reports=tuple(path for path in sorted(places.runs.glob(f"runs/*/{FEEDBACK}")) if image in path.read_text()),
        predictions=tuple(feedback) if with_image else (),
        kept=kept,
        remains=0 if with_image else sum(map(len, feedback.values())) - sum(words.values()),
    )
    if not dry_run:
        _delete(store, places, overlay, found, key)
    return found


def _delete(store: PredictionStore, places: LabelPlaces, overlay: Overlay, found: Forgotten, key: str | None) -> None:
    # The store first: from what it still said, a retraining would make the label again.
    for prediction_id in found.words:
        store.deletions.feedback(prediction_id, key)
    if found.predictions:
        store.deletions.predictions(found.image)
    for path in found.reports:
        _scrub(path, found.image)
    if found.labelled:
        left = [item for sha256, item in overlay.images.items() if sha256 != found.image]
        write_overlay(places.overlay, left, _unread)
    if found.kept is not None:
        found.kept.unlink(missing_ok=True)


def _scrub(path: Path, image: str) -> None:
    """Take an image out of a retraining's reports; one that goes on from them does not bring the label back."""
    try:
        collected = Collected.model_validate_json(path.read_text())
    except (ValidationError, ValueError):
        raise DataError(
            "the report names the image and cannot be read",
            where=str(path),
            expected="the JSON that `visionloop retrain` writes",
            action="delete the file; the label is gone from the store already, run the same command again",
        ) from None
    left = {
        "images": tuple(item for item in collected.images if item.sha256 != image),
        "held": tuple(item for item in collected.held if item.image != image),
        "withdrawn": tuple(sha256 for sha256 in collected.withdrawn if sha256 != image),
    }
    files.write_text(path, collected.model_copy(update=left).model_dump_json(indent=2) + "\n")
    held = path.with_name(HELD)
    if held.exists():
        rows = [row for row in csv.reader(held.read_text().splitlines()) if row and row[0] != image]
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(rows)
        files.write_text(held, buffer.getvalue())


def _unread(image: LabelledImage) -> bytes:
    raise VisionloopError(
        f"the image {image.sha256[:16]} is named and not there",
        where=image.file,
        expected="every image of the labels",
        action="bring the folder back (`dvc checkout data.dvc` if DVC has it)",
    )


def _nothing(what: str, id_: str) -> DataError:
    return DataError(
        what,
        where=f"id {id_:.80}",
        expected="the id of a prediction that somebody judged, or the SHA-256 of a labelled image",
        action="correct the id; the page and /v1/predictions?feedback=any list both",
    )
