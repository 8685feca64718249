"""Choosing in rounds from the prediction store, within a day's budget, with the chance of each pick on record.

A round begins with the share that is drawn by chance: among all distinct images answered since the draw before, judged
or not, each as likely. Draws follow each other without gap or overlap, so together they are a stratified random
sample of the traffic, whatever the other reasons choose; `estimate` makes an accuracy of it. The rest of the round is
chosen among the latest answers that nobody has judged or chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from visionloop.monitoring.labelling.choice import Pool, Purpose, choose, draw
from visionloop.monitoring.labelling.scores import named_classes, uncertainty
from visionloop.monitoring.labelling.space import Space
from visionloop.monitoring.settings import LabellingSettings
from visionloop.monitoring.store import Candidate, PredictionStore, SelectionRow

_DRAWN_AMONG = 20_000
"""Most answers between two draws that the later one is made among, the latest; earlier ones have no chance."""
_LABELLED = 2000
"""Latest labels that near duplicates and rare classes are known by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The model that serves, as far as a choice depends on it.

    Attributes:
        digest: Of its bundle; only its own embeddings can be compared.
        num_classes: It knows.
        space: Of its reference profile; None without one.
    """

    digest: str
    num_classes: int
    space: Space | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A prediction that people are asked to judge.

    Attributes:
        id: Of the prediction.
        reason: Why it was chosen.
        usefulness: 0 to 1, by that reason.
    """

    id: str
    reason: str
    usefulness: float


def to_label(
    store: PredictionStore,
    task: str,
    settings: LabellingSettings,
    model: Model | None,
    *,
    limit: int,
    has_image: Callable[[str], bool],
    now: datetime,
) -> list[Asked]:
    """What to label next: what `waits`, and a further round where that is too little.

    Args:
        store: Where answers are; the choice is kept there.
        task: Whose.
        settings: Budget and shares.
        model: What serves; None where nothing does.
        limit: Most predictions.
        has_image: Whether the image of a hash is kept; others cannot be labelled.
        now: With a time zone.

    Raises:
        StoreError: the store cannot be read or written.
    """
    found = waits(store, task, settings, limit=limit, has_image=has_image, now=now)
    if len(found) < limit:
        num = max(settings.round_images, limit - len(found))
        if choose_round(store, task, settings, model, num=num, has_image=has_image, now=now):
            found = waits(store, task, settings, limit=limit, has_image=has_image, now=now)
    return found


def waits(
    store: PredictionStore,
    task: str,
    settings: LabellingSettings,
    *,
    limit: int,
    has_image: Callable[[str], bool],
    now: datetime,
) -> list[Asked]:
    """What was chosen before and judged by nobody, in the order in which it was chosen; chooses nothing.

    Args:
        store: Where the choices are.
        task: Whose.
        settings: How long they are asked for.
        limit: Most predictions; of further ones no image is looked for.
        has_image: Whether the image of a hash is kept; others cannot be labelled.
        now: With a time zone.

    Raises:
        StoreError: the store cannot be read.
    """
    rows = store.selections.waiting(task=task, since=now - timedelta(days=settings.keep_days))
    images: set[str] = set()
    found: list[Asked] = []
    for row in rows:
        if len(found) == limit:
            break
        if row["image_sha256"] not in images and has_image(row["image_sha256"]):
            found.append(Asked(id=row["id"], reason=row["reason"], usefulness=row["usefulness"]))
        images.add(row["image_sha256"])
    return found


def left_today(store: PredictionStore, task: str, settings: LabellingSettings, now: datetime) -> int:
    """How many images may still be chosen today."""
    return max(0, settings.per_day - store.selections.spent(task=task, day=_day(now)))


def choose_round(
    store: PredictionStore,
    task: str,
    settings: LabellingSettings,
    model: Model | None,
    *,
    num: int,
    has_image: Callable[[str], bool],
    now: datetime,
) -> int:
    """Choose up to `num` images, no more than today's budget allows, and keep the choice; see `to_label`.

    Returns:
        How many.
    """
    spent = store.selections.spent(task=task, day=_day(now))
    candidates = _distinct(store.selections.candidates(task=task, limit=settings.pool), has_image)
    num = min(num, settings.per_day - spent, len(candidates))
    if num <= 0:
        return 0
    rng = np.random.default_rng([settings.seed, now.astimezone(UTC).toordinal(), spent])
    doubts = np.array([_doubt(one, settings, model) for one in candidates])
    by_id = {one.id: float(doubt) for one, doubt in zip(candidates, doubts, strict=True)}
    rows = _drawn(store, task, settings, by_id, num, spent, has_image, now, rng)
    taken = {row.prediction_id for row in rows}
    free = [index for index, one in enumerate(candidates) if one.id not in taken]
    used = sum(row.slot is not None for row in rows)
    pool = _pool([candidates[index] for index in free], doubts[free], model)
    labelled, labels = _known(store, task, model)
    picks = choose(
        pool,
        num - used,
        _shares(settings),
        space=None if model is None else model.space,
        labelled=labelled,
        labels=labels,
    )
    for place, pick in enumerate(picks):
        row = _row(pool.ids[pick.index], task, now, spent + used + place, pick.reason, pick.usefulness)
        rows.append(row)
    store.selections.add(rows)
    return used + len(picks)


def _drawn(
    store: PredictionStore,
    task: str,
    settings: LabellingSettings,
    doubts: dict[str, float],
    num: int,
    spent: int,
    has_image: Callable[[str], bool],
    now: datetime,
    rng: np.random.Generator,
) -> list[SelectionRow]:
    """The round's share of chance, among what was answered since the last draw."""
    # Rounded by chance, so that small rounds have their share too.
    wanted = int(num * settings.random + rng.random())
    if not wanted:
        return []
    after = store.selections.drawn_until(task=task)
    fresh = store.selections.answered_since(task=task, after=after, limit=_DRAWN_AMONG)
    images = list({row["image_sha256"]: row for row in fresh}.values())
    kept: list[dict[str, Any]] = []
    tried = 0
    # Only what is drawn is looked for on the disk.
    for place in draw(len(images), len(images), rng).tolist():
        if len(kept) == wanted:
            break
        tried += 1
        if has_image(images[place]["image_sha256"]):
            kept.append(images[place])
    if not kept:
        return []
    among = max(len(kept), round(len(images) * len(kept) / tried))
    rows: list[SelectionRow] = []
    slot = spent
    for one in kept:
        asked = not one["is_judged"] and not one["is_chosen"]
        row = _row(
            one["id"], task, now, slot if asked else None, "random", doubts.get(one["id"], 0.0),
            draw=now.astimezone(UTC).isoformat(), draw_images=among, draw_size=len(kept),
            draw_until=fresh[0]["created_at"],
        )  # fmt: skip
        rows.append(row)
        slot += asked
    return rows


def _row(
    id_: str, task: str, now: datetime, slot: int | None, reason: str, usefulness: float, **of_draw: Any
) -> SelectionRow:
    return SelectionRow(
        prediction_id=id_, task=task, chosen_at=now, day=_day(now), slot=slot, reason=reason,
        usefulness=round(usefulness, 4), **of_draw,
    )  # fmt: skip


def _distinct(candidates: Sequence[Candidate], has_image: Callable[[str], bool]) -> list[Candidate]:
    images: dict[str, Candidate] = {}
    for one in candidates:
        images.setdefault(one.image_sha256, one)
    return [one for one in images.values() if has_image(one.image_sha256)]


def _doubt(one: Candidate, settings: LabellingSettings, model: Model | None) -> float:
    num_classes = None if model is None else model.num_classes
    return uncertainty(one.result, num_classes=num_classes, measure=settings.measure, per_image=settings.boxes)


def _pool(candidates: Sequence[Candidate], doubts: npt.NDArray[np.float64], model: Model | None) -> Pool:
    return Pool(
        ids=[one.id for one in candidates],
        uncertainty=doubts,
        disagreement=np.array([np.nan if one.agreement is None else 1.0 - one.agreement for one in candidates], float),
        classes=[named_classes(one.result) for one in candidates],
        embeddings=_embeddings([(one.digest, one.embedding) for one in candidates], model),
    )


def _embeddings(rows: Sequence[tuple[str, bytes | None]], model: Model | None) -> npt.NDArray[np.float32]:
    """float32 [N,D]; NaN in rows of another model, or without an embedding."""
    width = 0 if model is None or model.space is None else model.space.width
    found = np.full((len(rows), width), np.nan, np.float32)
    for index, (digest, stored) in enumerate(rows):
        if model is not None and stored and digest == model.digest and len(stored) == 2 * width:
            found[index] = np.frombuffer(stored, np.float16)
    return found


def _known(store: PredictionStore, task: str, model: Model | None) -> tuple[npt.NDArray[np.float32], dict[str, int]]:
    """Embeddings of what is labelled, and how many labels each class has."""
    rows = store.selections.labelled(task=task, limit=_LABELLED)
    labels: dict[str, int] = {}
    for row in rows:
        if row["verdict"] == "wrong":
            continue
        label = row["label"]
        if label is None:
            names = named_classes(row["result"])
        else:
            names = frozenset({label} if isinstance(label, str) else {str(item["class"]) for item in label})
        for name in names:
            labels[name] = labels.get(name, 0) + 1
    return _embeddings([(row["digest"], row["embedding"]) for row in rows], model), labels


def _shares(settings: LabellingSettings) -> dict[Purpose, float]:
    return {
        "uncertain": settings.uncertain,
        "novel": settings.novel,
        "disagreement": settings.disagreement,
        "balance": settings.balance,
    }


def _day(now: datetime) -> str:
    return now.astimezone(UTC).date().isoformat()
