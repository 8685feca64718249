"""Which keys' words are held back: bursts of contradictions, odd ones out, and more than one key's share."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from visionloop.retraining.judgements import Judgement, Truth, agree, by_image, contradict
from visionloop.retraining.settings import LabelSettings

_OTHERS_MIN = 20
"""Sure answers that other keys must have judged before one is compared with them."""
_OUTLIER_SHARE = 0.5
_OUTLIER_P = 1e-4
"""Chance of one key in ten thousand to be called odd without being so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """Why a key's words are held back.

    Attributes:
        key: Its id; empty for everybody without a key.
        kind: What it did.
        since: Its words from then on are held back.
        text: For people.
    """

    key: str
    kind: Literal["burst", "outlier"]
    since: datetime
    text: str


def suspicions(
    judgements: Sequence[Judgement], known: Mapping[str, Truth], settings: LabelSettings
) -> dict[str, Suspicion]:
    """Suspicious keys.

    A word is a contradiction when it cannot be true beside what the dataset says of the image (`known`), or beside an
    earlier word of anybody: the later one bears the burden.

    Args:
        judgements: Of one task.
        known: What is true, by image.
        settings: Limits.
    """
    found: dict[str, Suspicion] = {}
    for key, events in sorted(_checked(judgements, known, settings.box_iou).items()):
        burst = None if key in settings.trusted_keys else _burst(events, settings)
        if burst is not None:
            since, bad, total = burst
            text = f"{bad} of {total} checkable words within {settings.burst_hours:g} h contradict what was known"
            found[key] = Suspicion(key=key, kind="burst", since=since, text=text)
    if settings.outlier_confidence is not None:
        honest = [word for word in judgements if word.key not in found]
        found |= _outliers(honest, settings.outlier_confidence, settings)
    return found


def _checked(
    judgements: Sequence[Judgement], known: Mapping[str, Truth], iou: float
) -> dict[str, list[tuple[datetime, bool]]]:
    """By key: when each word came that could be checked, and whether it was a contradiction; in order of time."""
    events: dict[str, list[tuple[datetime, bool]]] = defaultdict(list)
    for image, words in by_image(judgements).items():
        truth = known.get(image)
        for index, word in enumerate(words):
            if truth is None and index == 0:
                continue
            bad = any(contradict(earlier, word, iou) for earlier in words[:index])
            bad = bad or (truth is not None and denies(word, truth, iou))
            events[word.key].append((word.at, bad))
    return {key: sorted(found) for key, found in events.items()}


def denies(word: Judgement, truth: Truth, iou: float) -> bool:
    """Whether a word cannot be true beside what is known of the image."""
    if word.said is None:
        return agree(word.answered, truth, iou)
    return not agree(word.said, truth, iou)


def _burst(events: Sequence[tuple[datetime, bool]], settings: LabelSettings) -> tuple[datetime, int, int] | None:
    """The start of the first burst, with its contradictions and checkable words; None without one."""
    stretch = timedelta(hours=settings.burst_hours)
    first = bad = 0
    for last, (at, is_bad) in enumerate(events):
        bad += is_bad
        while at - events[first][0] > stretch:
            bad -= events[first][1]
            first += 1
        total = last - first + 1
        if is_bad and bad >= settings.burst_min and bad >= settings.burst_share * total:
            return events[first][0], bad, total
    return None


def _outliers(judgements: Sequence[Judgement], confidence: float, settings: LabelSettings) -> dict[str, Suspicion]:
    """Keys that call sure answers wrong far more often than all others together do."""
    from scipy.stats import fisher_exact

    sure = [word for word in judgements if word.confidence is not None and word.confidence >= confidence]
    totals = Counter(word.key for word in sure)
    wrong = Counter(word.key for word in sure if word.corrects)
    found: dict[str, Suspicion] = {}
    for key, total in sorted(totals.items()):
        bad, others, others_bad = wrong[key], len(sure) - total, wrong.total() - wrong[key]
        if not key or key in settings.trusted_keys or others < _OTHERS_MIN:
            continue
        if bad < settings.burst_min or bad < _OUTLIER_SHARE * total:
            continue
        table = [[bad, total - bad], [others_bad, others - others_bad]]
        if float(fisher_exact(table, alternative="greater").pvalue) < _OUTLIER_P:
            text = (
                f"it calls {bad} of {total} answers wrong that the model was at least {confidence:.0%} sure of; "
                f"the others {others_bad} of {others}"
            )
            since = min(word.at for word in sure if word.key == key and word.corrects)
            found[key] = Suspicion(key=key, kind="outlier", since=since, text=text)
    return found


def over_share(new_labels: Mapping[str, int], settings: LabelSettings) -> dict[str, int]:
    """How many of each key's new labels its share allows; keys without a limit are absent.

    Args:
        new_labels: Labels by key.
        settings: Limits.
    """
    named = {key: count for key, count in new_labels.items() if key and count}
    if len([key for key, count in new_labels.items() if count]) < 3:
        return {}
    limits: dict[str, int] = {}
    total = sum(new_labels.values())
    for key, count in named.items():
        # At most this share of what the version then holds: x <= share * (x + the others').
        share, others = settings.max_key_share, total - count
        if key in settings.trusted_keys or share == 1:
            continue
        limit = max(settings.key_allowance, int(share * others / (1 - share)))
        if count > limit:
            limits[key] = limit
    return limits


def over_rate(days: Mapping[tuple[str, date], int], settings: LabelSettings) -> dict[tuple[str, date], int]:
    """How many of a key's labels of a day are taken; keys and days within the limit are absent."""
    return {
        (key, day): settings.max_key_per_day
        for (key, day), count in days.items()
        if key and key not in settings.trusted_keys and count > settings.max_key_per_day
    }
