"""One window against one reference profile: every test, one verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from visionloop.core.errors import BundleError, ConfigError
from visionloop.monitoring.drift.embedding_tests import embedding_tests
from visionloop.monitoring.drift.estimate import estimate_accuracy
from visionloop.monitoring.drift.features import FEATURES
from visionloop.monitoring.drift.hypotheses import TestResult, class_test, holm, ks_test
from visionloop.monitoring.drift.observations import Observations
from visionloop.monitoring.drift.profile import Profile
from visionloop.monitoring.drift.result import ClassShare, DriftResult, Histogram, NewImage, TestReport
from visionloop.monitoring.drift.windows import Status, Window
from visionloop.monitoring.settings import DriftSettings

_BINS = 20
_NEIGHBOURS = 3
_EMBEDDING_TESTS = ("embedding_mmd", "embedding_domain")
_SHARES = {"image": 0.3, "answer": 0.2, "classes": 0.25, "embedding": 0.25}
"""Of alpha, by group. Alike for all tests, most of it would go to the many numbers of the image, whose drift is plain
to see, and hardly any to the classes, whose drift is not."""


@dataclass(frozen=True, slots=True)
class _Test:
    """A test of the family before Holm's correction."""

    name: str
    subject: Literal["image", "answer", "embedding"]
    method: Literal["ks", "chi_square", "mmd", "domain_classifier"]
    effect_name: Literal["D", "V", "MMD2", "AUC"]
    result: TestResult


def check(profile: Profile, window: Window, settings: DriftSettings, *, brief: bool = False) -> DriftResult:
    """Compare a window with the reference.

    Deterministic: the same profile, window and settings give the same result. An incomplete window is not tested.

    Args:
        profile: The reference.
        window: Answers of the same bundle.
        settings: Of drift.
        brief: Without histograms and without the newest images: for windows of the past.

    Raises:
        BundleError: the window's answers are another version's.
        ConfigError: scipy is not installed.
    """
    if window.digest is not None and profile.digest is not None and window.digest != profile.digest:
        raise BundleError(
            f"the window holds answers of bundle {window.digest[:12]}, the reference profile is of another version",
            where="drift check",
            expected=f"answers of bundle {profile.digest[:12]}",
            action="check each version's answers against its own bundle",
        )
    _require_scipy()
    reference, rows = profile.observations, window.observations
    tests: list[TestReport] = []
    newest: tuple[NewImage, ...] = ()
    valid = np.isfinite(rows.embeddings).all(axis=1)
    if window.complete:
        family, newest = _run(reference, rows, settings, newest=0 if brief else settings.newest_images)
        tests = _corrected(family, reference, rows, settings, histograms=not brief)
    status = _status(tests, settings) if window.complete else "insufficient_data"
    return DriftResult(
        status=status,
        alpha=settings.alpha,
        model_digest=profile.info.model_digest,
        bundle_digest=profile.digest,
        num_reference=len(reference),
        small_reference=profile.info.small,
        num_seen=window.num_seen,
        num_images=len(rows),
        num_required=settings.window_images,
        num_duplicates=window.num_duplicates,
        num_capped=window.num_capped,
        num_invalid_embeddings=int((~valid).sum()),
        tests=tuple(tests),
        classes=_classes(profile, rows),
        newest=newest,
        accuracy=estimate_accuracy(
            rows.expected_scores,
            profile.info,
            drifted=_embeddings_drift(tests),
        ),
        remarks=_remarks(profile, window, int((~valid).sum())),
    )


def _run(
    reference: Observations, rows: Observations, settings: DriftSettings, *, newest: int
) -> tuple[list[_Test], tuple[NewImage, ...]]:
    # As long as the profile lists it; a number that only the window has cannot be compared.
    family: list[_Test] = [
        _Test(
            name,
            "image" if name in FEATURES else "answer",
            "ks",
            "D",
            ks_test(values, rows.scalars.get(name, np.zeros(0))),
        )
        for name, values in reference.scalars.items()
    ]
    # Twice as many as the smallest p-value that can be significant at a test's share of alpha.
    num_answers = sum(test.subject == "answer" for test in family) + 1
    permutations = {
        "classes": math.ceil(2 / (settings.alpha * _SHARES["classes"])),
        "missing_values": math.ceil(2 * num_answers / (settings.alpha * _SHARES["answer"])),
        "embedding": math.ceil(4 / (settings.alpha * _SHARES["embedding"])),
    }
    # What has no finite value takes no part in the other tests, so its share is a test of its own.
    for name, columns in (("classes", _named), ("missing_values", _missing)):
        rng = np.random.default_rng(settings.seed)
        found = class_test(columns(reference), columns(rows), permutations=permutations[name], rng=rng)
        family.append(_Test(name, "answer", "chi_square", "V", found))
    chosen_reference = _subsample(reference.embeddings, settings.max_test_images, settings.seed)
    chosen = _subsample(rows.embeddings, settings.max_test_images, settings.seed + 1)
    embedding = embedding_tests(
        reference.embeddings[chosen_reference],
        rows.embeddings[chosen],
        permutations=permutations["embedding"],
        rng=np.random.default_rng(settings.seed),
    )
    family.append(_Test("embedding_mmd", "embedding", "mmd", "MMD2", embedding.mmd))
    family.append(_Test("embedding_domain", "embedding", "domain_classifier", "AUC", embedding.domain))
    if embedding.domain.outcome != "tested":
        return family, ()
    scores = (embedding.reference_scores, embedding.scores)
    return family, _newest(reference, rows, chosen, *scores, newest)


def _named(rows: Observations) -> npt.NDArray[np.int32]:
    """int32 [N,C+1]: the counts of classes, and 1 in the last column where an answer names none."""
    nothing = rows.class_counts.sum(axis=1, keepdims=True) == 0
    return np.concatenate([rows.class_counts, nothing.astype(np.int32)], axis=1)


def _missing(rows: Observations) -> npt.NDArray[np.int32]:
    """int32 [N,2]: whether all numbers of an image and its embedding are finite, or some are not."""
    finite = np.isfinite(rows.embeddings).all(axis=1)
    for values in rows.scalars.values():
        finite &= np.isfinite(values)
    return np.stack([finite, ~finite], axis=1).astype(np.int32)


def _subsample(embeddings: npt.NDArray[np.float32], limit: int, seed: int) -> npt.NDArray[np.intp]:
    """Positions of at most `limit` rows with finite embeddings, in order."""
    valid = np.flatnonzero(np.isfinite(embeddings).all(axis=1))
    if len(valid) <= limit:
        return valid
    return np.sort(np.random.default_rng(seed).choice(valid, limit, replace=False))


def _corrected(
    family: list[_Test], reference: Observations, rows: Observations, settings: DriftSettings, *, histograms: bool
) -> list[TestReport]:
    smallest = {"D": settings.min_d, "V": settings.min_v}
    tested = [test for test in family if test.result.p is not None]
    groups = [_group(test) for test in tested]
    weights = [_SHARES[group] / groups.count(group) for group in groups]
    p_adjusted = holm([test.result.p or 0.0 for test in tested], weights)
    adjusted = dict(zip((test.name for test in tested), p_adjusted, strict=True))
    reports = []
    for test in family:
        here = rows.scalars.get(test.name)
        there = reference.scalars.get(test.name)
        info = FEATURES.get(test.name)
        shown = histogram(there, here) if histograms and there is not None and here is not None else None
        reports.append(
            TestReport(
                name=test.name,
                subject=test.subject,
                method=test.method,
                outcome=test.result.outcome,
                p=test.result.p,
                p_adjusted=adjusted.get(test.name),
                effect=test.result.effect,
                effect_name=test.effect_name,
                drifted=adjusted.get(test.name, math.inf) <= settings.alpha
                and (test.result.effect or 0.0) >= smallest.get(test.effect_name, -math.inf),
                num_reference=test.result.num_reference,
                num_window=test.result.num_window,
                num_missing=0 if here is None else int((~np.isfinite(here)).sum()),
                reference_median=_median(there),
                window_median=_median(here),
                unit=info.unit if info else "",
                meaning=info.meaning if info else "",
                histogram=shown,
            )
        )
    return reports


def _group(test: _Test) -> str:
    return test.name if test.name in _SHARES else test.subject


def _status(tests: list[TestReport], settings: DriftSettings) -> Status:
    drifted = {test.name for test in tests if test.drifted}
    auc = next((test.effect for test in tests if test.method == "domain_classifier"), None)
    if drifted.intersection(_EMBEDDING_TESTS) and auc is not None and auc >= settings.critical_auc:
        return "critical"
    return "drift" if drifted else "ok"


def _embeddings_drift(tests: list[TestReport]) -> bool | None:
    tested = [test for test in tests if test.subject == "embedding" and test.outcome == "tested"]
    return any(test.drifted for test in tested) if tested else None


def histogram(reference: npt.NDArray[np.float64], window: npt.NDArray[np.float64]) -> Histogram | None:
    """Both sides over 20 even bins between the 0.5th and 99.5th percentile of both; None without finite values."""
    here, there = window[np.isfinite(window)], reference[np.isfinite(reference)]
    if not len(here) and not len(there):
        return None
    # Either side's percentiles: a small window far away must not all lie in the last bin.
    sides = [side for side in (here, there) if len(side)]
    low = min(float(np.percentile(side, 0.5)) for side in sides)
    high = max(float(np.percentile(side, 99.5)) for side in sides)
    if high - low <= 1e-12 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    counts = [np.histogram(np.clip(side, low, high), edges)[0] for side in (there, here)]
    return Histogram(edges=tuple(edges.tolist()), reference=tuple(counts[0].tolist()), window=tuple(counts[1].tolist()))


def _median(values: npt.NDArray[np.float64] | None) -> float | None:
    finite = values[np.isfinite(values)] if values is not None else np.zeros(0)
    return float(np.median(finite)) if len(finite) else None


def _classes(profile: Profile, rows: Observations) -> tuple[ClassShare, ...]:
    totals = zip(
        profile.classes,
        profile.observations.class_counts.sum(axis=0).tolist(),
        rows.class_counts.sum(axis=0).tolist(),
        strict=True,
    )
    return tuple(ClassShare(name=name, reference=there, window=here) for name, there, here in totals)


def _newest(
    reference: Observations,
    rows: Observations,
    chosen: npt.NDArray[np.intp],
    reference_scores: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
    limit: int,
) -> tuple[NewImage, ...]:
    order = np.argsort(-scores, kind="stable")[:limit]
    if not len(order):
        return ()
    there = _unit_length(reference.embeddings)
    nearest = np.argsort(-(_unit_length(rows.embeddings[chosen[order]]) @ there.T), axis=1, kind="stable")
    ranked = np.sort(reference_scores)
    return tuple(
        NewImage(
            id=rows.ids[chosen[index]],
            score=float(np.searchsorted(ranked, scores[index]) / len(ranked)),
            nearest_reference=tuple(reference.ids[neighbour] for neighbour in neighbours[:_NEIGHBOURS]),
        )
        for index, neighbours in zip(order, nearest, strict=True)
    )


def _unit_length(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    finite = np.where(np.isfinite(embeddings), embeddings, 0.0).astype(np.float32)
    lengths = np.maximum(np.linalg.norm(finite, axis=1, keepdims=True), np.float32(1e-12))
    return np.asarray(finite / lengths, np.float32)


def _remarks(profile: Profile, window: Window, num_invalid: int) -> tuple[str, ...]:
    info, rows = profile.info, window.observations
    remarks = []
    if info.small:
        remarks.append(f"the reference profile has only {info.num_images} images; only gross drift is found")
    if info.duplicate_bits < 0:
        remarks.append("this model's images cannot be told apart by their hash; near duplicates are not thinned")
    if num_invalid:
        remarks.append(f"{num_invalid} of {len(rows)} embeddings are not finite")
    for name, values in rows.scalars.items():
        infinite = int(np.isinf(values).sum())
        if infinite:
            remarks.append(f"{infinite} of {len(rows)} values of {name} are infinite")
    here, there = rows.class_counts.sum(axis=0), profile.observations.class_counts.sum(axis=0)
    unseen = [profile.classes[index] for index in np.flatnonzero((here > 0) & (there == 0))]
    if unseen:
        remarks.append(f"never predicted on reference images: {', '.join(unseen)}")
    return tuple(remarks)


def _require_scipy() -> None:
    try:
        import scipy.stats  # noqa: F401
    except ImportError:
        raise ConfigError(
            "drift cannot be checked: scipy is not installed",
            where="drift check",
            expected="scipy",
            action="install visionloop[train], or scipy alone",
        ) from None
