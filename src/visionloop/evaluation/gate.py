"""The gate: the rule that makes a challenger the champion, or refuses and says why. Pure arithmetic on numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from visionloop.core.errors import ConfigError, near_matches
from visionloop.core.settings import Settings
from visionloop.evaluation.settings import GateSettings
from visionloop.evaluation.statistics import Interval, paired_bootstrap
from visionloop.evaluation.summary import EvaluationSummary

Decision = Literal["promote", "refuse", "insufficient_evidence"]


class Check(Settings):
    """One thing the gate looked at."""

    name: str
    """Stable name, such as `floor: accuracy`."""
    passed: bool
    """Whether it held."""
    found: float | int | str | None
    """What was found; a number that is not finite as text."""
    required: float | int | str | None
    """What was required."""
    explanation: str
    """One sentence a person understands."""
    failure: Decision = "refuse"
    """What the decision becomes when it does not hold."""


class Verdict(Settings):
    """The gate's answer with every number it rests on; JSON by `model_dump_json`, back by `model_validate_json`."""

    decision: Decision
    """`promote`, `refuse`, or `insufficient_evidence`: not shown to be worse, but too few images to rule it out."""
    summary: str
    """One line a person understands."""
    checks: tuple[Check, ...]
    """In the order in which they were made."""
    challenger: str
    """Digest of the judged bundle."""
    champion: str | None
    """Digest of the bundle it was compared with; None for a task's first model."""

    @property
    def promoted(self) -> bool:
        """Whether the challenger becomes the champion."""
        return self.decision == "promote"


def decide(settings: GateSettings, challenger: EvaluationSummary, champion: EvaluationSummary | None) -> Verdict:
    """Judge a challenger.

    Args:
        settings: What it must show.
        challenger: Its evaluation.
        champion: The champion's evaluation on the same images, or None where there is no champion yet;
            then only the absolute checks are made.

    Raises:
        ConfigError: a setting names a metric that the evaluation does not have.
    """
    checks = list(_absolute_checks(settings, challenger))
    if champion is not None:
        checks += _comparison_checks(settings, challenger, champion)
    decision = _decision(checks)
    return Verdict(
        decision=decision,
        summary=_summary(decision, checks, challenger, champion),
        checks=tuple(checks),
        challenger=challenger.bundle_digest,
        champion=None if champion is None else champion.bundle_digest,
    )


def _absolute_checks(settings: GateSettings, found: EvaluationSummary) -> Iterator[Check]:
    broken = [name for name, value in found.metrics.items() if value is not None and not math.isfinite(value)]
    yield Check(
        name="finite",
        passed=not broken,
        found=", ".join(broken) or "all finite",
        required="all finite",
        explanation="every metric is a number" if not broken else f"not a number: {', '.join(broken)}",
    )
    yield Check(
        name="parity",
        passed=found.parity_passed,
        found="proven" if found.parity_passed else "not proven",
        required="proven",
        explanation="the exported graph answers as the trained network does"
        if found.parity_passed
        else "it is not proven that the exported graph answers as the trained network does",
    )
    for name, floor in settings.floors.items():
        yield _floor(found, name, floor)
    if settings.max_model_mb is not None:
        yield _ceiling("model size", found.model_mb, settings.max_model_mb, "MB")
    if settings.max_latency_ms is not None:
        yield _ceiling("latency", found.latency_ms, settings.max_latency_ms, "ms per image")


def _floor(found: EvaluationSummary, name: str, floor: float) -> Check:
    if name not in found.metrics:
        raise ConfigError(
            f"there is no metric {name!r} to hold against a floor",
            where=f"setting gate.floors.{name}",
            expected=near_matches(name, found.metrics),
            action="correct the metric's name",
        )
    value = found.metrics[name]
    passed = value is not None and value >= floor
    return Check(
        name=f"floor: {name}",
        passed=passed,
        found=_number(value),
        required=floor,
        explanation=f"{name} {_text(value)} is {'at or above' if passed else 'below'} its floor {floor:g}",
    )


def _ceiling(name: str, value: float, limit: float, unit: str) -> Check:
    passed = value <= limit
    return Check(
        name=name,
        passed=passed,
        found=_number(value),
        required=limit,
        explanation=f"{name} {value:.1f} {unit} is {'within' if passed else 'over'} the {limit:g} {unit} allowed",
    )


def _comparison_checks(
    settings: GateSettings, challenger: EvaluationSummary, champion: EvaluationSummary
) -> Iterator[Check]:
    same = _same_images(challenger, champion)
    yield same
    if not same.passed:
        return
    num = challenger.num_images
    yield Check(
        name="enough images",
        passed=num >= settings.min_images,
        found=num,
        required=settings.min_images,
        explanation=f"{num} test images, at least {settings.min_images} are wanted to replace a champion",
        failure="insufficient_evidence",
    )
    not_lower = _not_lower(settings.tolerance, challenger, champion)
    yield not_lower
    if not_lower.passed:
        yield from _paired_gain(settings, challenger, champion)
    if settings.max_class_drop is not None:
        yield _class_drop(settings, settings.max_class_drop, challenger, champion)


def _same_images(challenger: EvaluationSummary, champion: EvaluationSummary) -> Check:
    reason = "both were measured on the same frozen images"
    if challenger.classes != champion.classes:
        reason = "the classes differ, so the numbers cannot be compared"
    elif challenger.dataset_hash != champion.dataset_hash:
        reason = "they were measured on different versions of the dataset, so the numbers cannot be compared"
    elif not challenger.same_images(champion):
        reason = "they were measured on different images, so the numbers cannot be compared"
    passed = challenger.classes == champion.classes and challenger.same_images(champion)
    return Check(
        name="same test images",
        passed=passed,
        found=_images(challenger),
        required=_images(champion),
        explanation=reason,
    )


def _not_lower(tolerance: float, challenger: EvaluationSummary, champion: EvaluationSummary) -> Check:
    name = challenger.primary_metric
    found, required = challenger.metrics.get(name), champion.metrics.get(name)
    # A champion without a value (nothing to find in its test split) sets no bar; NaN never compares as higher.
    passed = found is not None and (required is None or found >= required - tolerance)
    relation = "not lower than" if passed else "lower than"
    if passed and found is not None and required is not None and found < required:
        relation = f"at most {tolerance:g} lower than"
    return Check(
        name=f"not worse: {name}",
        passed=passed,
        found=_number(found),
        required=_number(required),
        explanation=f"{name} {_text(found)} is {relation} the champion's {_text(required)}",
    )


def _paired_gain(settings: GateSettings, challenger: EvaluationSummary, champion: EvaluationSummary) -> Iterator[Check]:
    after, before = challenger.contributions(), champion.contributions()
    if after is None or before is None:
        return
    gain = paired_bootstrap(
        after, before, confidence=settings.confidence, resamples=settings.resamples, seed=settings.seed
    )
    passed = gain.lower > -settings.margin
    yield Check(
        name=f"gain: {challenger.primary_metric}",
        passed=passed,
        found=round(gain.lower, 6),
        required=-settings.margin,
        explanation=_gain_text(gain, settings.margin, passed),
        failure="insufficient_evidence",
    )


def _class_drop(
    settings: GateSettings, bound: float, challenger: EvaluationSummary, champion: EvaluationSummary
) -> Check:
    name = settings.class_metric
    _require_class_metric(name, challenger)
    before = {row["class"]: row.get(name) for row in champion.per_class}
    drops = {
        row["class"]: before[row["class"]] - row[name]
        for row in challenger.per_class
        if row["support"] >= settings.min_class_support
        and row[name] is not None
        and before.get(row["class"]) is not None
    }
    worst = max(drops, key=lambda key: drops[key], default=None)
    if worst is None:
        return Check(
            name="class drop",
            passed=True,
            found=None,
            required=bound,
            explanation=f"no class has the {settings.min_class_support} objects needed to be judged alone",
        )
    passed = drops[worst] <= bound
    change = f"loses {drops[worst]:.3f} of {name}" if drops[worst] > 0 else f"loses nothing of {name}"
    return Check(
        name="class drop",
        passed=passed,
        found=_number(round(drops[worst], 6)),
        required=bound,
        explanation=f"{worst}, the class that fares worst, {change}; {bound:g} is allowed",
    )


def _require_class_metric(name: str, summary: EvaluationSummary) -> None:
    columns = [key for key in (summary.per_class[0] if summary.per_class else {}) if key not in ("class", "support")]
    if summary.per_class and name not in columns:
        raise ConfigError(
            f"there is no per-class metric {name!r}",
            where="setting gate.class_metric",
            expected=near_matches(name, columns),
            action="correct the metric's name, or set gate.max_class_drop to null",
        )


def _decision(checks: list[Check]) -> Decision:
    failures = {check.failure for check in checks if not check.passed}
    if "refuse" in failures:
        return "refuse"
    return "insufficient_evidence" if failures else "promote"


def _summary(
    decision: Decision, checks: list[Check], challenger: EvaluationSummary, champion: EvaluationSummary | None
) -> str:
    name = challenger.primary_metric
    value = f"{name} {_text(challenger.metrics.get(name))} on {challenger.num_images} images"
    if decision == "promote" and champion is None:
        return f"promote: the first model, {value}, above every floor"
    if decision == "promote" and champion is not None:
        return f"promote: {value}, champion {_text(champion.metrics.get(name))}"
    words = "refuse" if decision == "refuse" else "insufficient evidence"
    reasons = [check.explanation for check in checks if not check.passed]
    return f"{words}: " + "; ".join([*reasons, *challenger.remarks])


def _gain_text(gain: Interval, margin: float, passed: bool) -> str:
    bounds = f"gain {gain.mean:+.4f}, {gain.confidence:.0%} interval {gain.lower:+.4f} to {gain.upper:+.4f}"
    if passed:
        return f"{bounds}: a loss of more than {margin:g} is ruled out"
    return f"{bounds}: the test images are too few to rule out a loss of more than {margin:g}"


def _images(summary: EvaluationSummary) -> str:
    return f"{summary.dataset} {summary.dataset_hash[:12]}, {summary.split}, {summary.num_images} images"


def _number(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else str(value)


def _text(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
