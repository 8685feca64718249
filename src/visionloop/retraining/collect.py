"""From what people said to what is true: labels that may be learned from, and everything that is held back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from visionloop.core.settings import Settings
from visionloop.data.overlay import LabelledImage, Overlay, part_of
from visionloop.data.settings import SplitSettings
from visionloop.monitoring.history.suspects import SuspectKey
from visionloop.retraining.judgements import Judgement, Truth, agree, best_word, by_image, contradict
from visionloop.retraining.settings import LabelSettings
from visionloop.retraining.trust import Suspicion, denies, over_rate, over_share, suspicions

Reason = Literal["conflict", "burst", "outlier", "distrusted", "key_rate", "key_share", "unknown_class", "no_image"]


class Held(Settings):
    """An image whose feedback was not taken."""

    image: str
    """SHA-256 of what was sent."""
    reason: Reason
    """Why."""
    text: str
    """For people: who said what."""
    keys: tuple[str, ...]
    """Whose words are concerned."""
    predictions: tuple[str, ...]
    """The answers they are about, by which the feedback can be corrected."""


class Collected(Settings):
    """A new version of a task's labels, before it is written."""

    images: tuple[LabelledImage, ...]
    """All of the version's images, in order of hash."""
    added: int
    """Images that the version before did not have."""
    changed: int
    """Images whose label is another than before."""
    withdrawn: tuple[str, ...]
    """Images that are no longer in, by hash: contradicted or distrusted since."""
    held: tuple[Held, ...]
    """What was not taken, in order of image."""
    suspicious: dict[str, str]
    """What is said against a key, by its id."""
    suspects: tuple[SuspectKey, ...] = ()
    """Keys whose words are held back, by id."""
    num_words: int
    """Words that were read."""
    num_unlabelled: int
    """Images that were only called wrong: no label to learn from."""
    num_known: int
    """Images that the dataset has already: what it says of them stays."""
    num_denied: int
    """Of these, images of which somebody says something else than the dataset."""

    def summary(self) -> str:
        """One line."""
        reasons = Counter(item.reason for item in self.held)
        held = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "none"
        rest = []
        if self.num_known:
            denied = f" ({self.num_denied} described differently)" if self.num_denied else ""
            rest.append(f"on the dataset's own images: {self.num_known}{denied}")
        if self.num_unlabelled:
            rest.append(f"only called wrong: {self.num_unlabelled}")
        return (
            f"{self.num_words:,} words; labels: {self.added} new, {self.changed} changed, "
            f"{len(self.withdrawn)} withdrawn, {len(self.images)} in all; held back: {held}"
            + "".join(f"; {part}" for part in rest)
        )


@dataclass(slots=True)
class _Sorter:
    """Takes images, or holds them back with a reason."""

    held: list[Held] = field(default_factory=list)
    taken: dict[str, tuple[Judgement, list[Judgement]]] = field(default_factory=dict)

    def hold(self, image: str, reason: Reason, text: str, words: Iterable[Judgement]) -> None:
        listed = list(words)
        self.held.append(
            Held(
                image=image,
                reason=reason,
                text=text,
                keys=tuple(sorted({word.key for word in listed})),
                predictions=tuple(sorted({word.prediction for word in listed})),
            )
        )
        self.taken.pop(image, None)


def collect(
    judgements: Sequence[Judgement],
    overlay: Overlay,
    settings: LabelSettings,
    split: SplitSettings,
    *,
    known: Mapping[str, Truth],
    classes: Collection[str] | None,
    find: Callable[[str], Path | None],
) -> Collected:
    """Judge all feedback on a task anew, and make the next version of its labels.

    Nothing is chosen silently: where two people contradict each other on an image, the image waits. The same feedback
    gives the same version.

    Args:
        judgements: Everything that was said.
        overlay: The version before; what the store has forgotten since stays as it was.
        settings: Limits.
        split: For the parts of new images.
        known: The dataset's own truth, by hash of the image's bytes.
        classes: Names that may be said; None accepts all.
        find: The kept image of a hash, or None.
    """
    suspects = suspicions(judgements, known, settings)
    sorter = _Sorter()
    speaking = _without_suspects(judgements, settings, {key: item.since for key, item in suspects.items()})
    heard = {id(word) for word in speaking}
    silenced = [word for word in judgements if id(word) not in heard]
    num_known = num_denied = num_unlabelled = 0
    for image, words in by_image(speaking).items():
        best = best_word(words)
        if image in known:
            num_known += 1
            num_denied += any(denies(word, known[image], settings.box_iou) for word in words)
        elif (quarrel := _quarrel(words, settings.box_iou)) is not None:
            sorter.hold(image, "conflict", quarrel, words)
        elif best is None:
            num_unlabelled += 1
        else:
            sorter.taken[image] = (best, words)
    settled = sorter.taken.keys() | {item.image for item in sorter.held} | known.keys()
    for image, words in by_image(silenced).items():
        if image not in settled:
            word = words[0]
            reason: Reason = suspects[word.key].kind if word.key in suspects else "distrusted"
            text = suspects[word.key].text if word.key in suspects else "the key is not to be trusted"
            sorter.hold(image, reason, text, words)
    _hold_unusable(sorter, overlay, classes, find)
    _hold_excess(sorter, overlay, settings)
    images = _merge(sorter, overlay, settings, split, find)
    before = overlay.images
    return Collected(
        images=tuple(images[key] for key in sorted(images)),
        added=len(images.keys() - before.keys()),
        changed=sum(before[key].objects != images[key].objects for key in images.keys() & before.keys()),
        withdrawn=tuple(sorted(before.keys() - images.keys())),
        held=tuple(sorted(sorter.held, key=lambda item: item.image)),
        suspicious={key: item.text for key, item in suspects.items()},
        suspects=_suspect_keys(suspects, settings),
        num_words=len(judgements),
        num_unlabelled=num_unlabelled,
        num_known=num_known,
        num_denied=num_denied,
    )


def _without_suspects(
    judgements: Sequence[Judgement], settings: LabelSettings, since: Mapping[str, datetime]
) -> list[Judgement]:
    return [
        word
        for word in judgements
        if word.key not in settings.distrusted_keys and not (word.key in since and word.at >= since[word.key])
    ]


def _suspect_keys(suspects: Mapping[str, Suspicion], settings: LabelSettings) -> tuple[SuspectKey, ...]:
    always = datetime(1970, 1, 1, tzinfo=UTC)
    keys = {key: SuspectKey(key=key, since=item.since, kind=item.kind) for key, item in suspects.items()}
    keys |= {key: SuspectKey(key=key, since=always, kind="distrusted") for key in settings.distrusted_keys}
    return tuple(keys[key] for key in sorted(keys))


def _quarrel(words: Sequence[Judgement], iou: float) -> str | None:
    """Who contradicts whom on an image, or None."""
    for index, word in enumerate(words):
        for earlier in words[:index]:
            if contradict(earlier, word, iou):
                return f"{_speaker(earlier)}, and {_speaker(word)}"
    return None


def _speaker(word: Judgement) -> str:
    names = Counter(item.name for item in word.said or ())
    what = ", ".join(f"{count} {name}" if count > 1 else name for name, count in sorted(names.items())) or "nothing"
    said = f"says {what}" if word.said is not None else "calls the answer wrong"
    return f"{word.key or 'somebody without a key'} {said} ({word.at:%Y-%m-%d %H:%M})"


def _hold_unusable(
    sorter: _Sorter, overlay: Overlay, classes: Collection[str] | None, find: Callable[[str], Path | None]
) -> None:
    for image, (best, words) in sorted(sorter.taken.items()):
        unknown = sorted({item.name for item in best.said or ()} - set(classes)) if classes is not None else []
        if unknown:
            names = ", ".join(repr(name) for name in unknown)
            sorter.hold(image, "unknown_class", f"the model has no class {names}", words)
        elif image not in overlay.images and find(image) is None:
            sorter.hold(image, "no_image", "the image was not kept", words)


def _hold_excess(sorter: _Sorter, overlay: Overlay, settings: LabelSettings) -> None:
    """Oldest labels first, so that a version only grows as its keys' days and shares do."""
    new = sorted(
        ((best.at, image) for image, (best, _) in sorter.taken.items() if image not in overlay.images),
    )
    days = Counter((sorter.taken[image][0].key, _day(at)) for at, image in new)
    for item in overlay.images.values():
        days.update((key, _day(item.judged_at)) for key in item.judged_by[:1])
    limits = over_rate(days, settings)
    used = Counter((key, _day(item.judged_at)) for item in overlay.images.values() for key in item.judged_by[:1])
    for at, image in new:
        best, words = sorter.taken[image]
        day = (best.key, _day(at))
        used[day] += 1
        if day in limits and used[day] > limits[day]:
            sorter.hold(image, "key_rate", f"more than {limits[day]} labels of one key on {day[1]}", words)
    left = [image for _, image in new if image in sorter.taken]
    shares = over_share(Counter(sorter.taken[image][0].key for image in left), settings)
    given: Counter[str] = Counter()
    for image in left:
        best, words = sorter.taken[image]
        given[best.key] += 1
        if best.key in shares and given[best.key] > shares[best.key]:
            text = f"more than {settings.max_key_share:.0%} of the new labels would be one key's"
            sorter.hold(image, "key_share", text, words)


def _merge(
    sorter: _Sorter,
    overlay: Overlay,
    settings: LabelSettings,
    split: SplitSettings,
    find: Callable[[str], Path | None],
) -> dict[str, LabelledImage]:
    """The version before without what is held back now, and with what was taken."""
    held = {item.image for item in sorter.held}
    distrusted = set(settings.distrusted_keys)
    images = {
        key: item
        for key, item in overlay.images.items()
        if key not in held and not (item.judged_by and set(item.judged_by) <= distrusted)
    }
    for image, (best, words) in sorter.taken.items():
        assert best.said is not None
        before = images.get(image)
        path = find(image)
        kept = before.file if before is not None else f"images/{image}{path.suffix if path else ''}"
        backers = {w.key for w in words if w.said is not None and agree(w.said, best.said, settings.box_iou)}
        images[image] = LabelledImage(
            sha256=image,
            file=kept,
            width=best.width,
            height=best.height,
            part=before.part if before is not None else part_of(image, split, settings.recent_share),
            objects=best.said,
            judged_at=best.at,
            # Whose label it is comes first.
            judged_by=(best.key, *sorted(backers - {best.key})),
        )
    return images


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()
