"""The verdict of a retraining: the gate on the frozen test set, and on the recent one where it is large enough."""

from __future__ import annotations

from dataclasses import dataclass

from visionloop.core.errors import DataError
from visionloop.evaluation.gate import Check, Decision, Verdict, decide
from visionloop.evaluation.settings import GateSettings
from visionloop.evaluation.summary import EvaluationSummary
from visionloop.retraining.settings import RecentGateSettings

_GRAVER: tuple[Decision, ...] = ("promote", "insufficient_evidence", "refuse")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two models' numbers on the same images.

    Attributes:
        challenger: The new model's.
        champion: The champion's; None where there is none.
    """

    challenger: EvaluationSummary
    champion: EvaluationSummary | None


def judge(gate: GateSettings, recent_gate: RecentGateSettings, frozen: Pair, recent: Pair | None) -> Verdict:
    """One verdict over both sets; it is as good as the worse of the two.

    With enough recent images the challenger must hold its own there, and may be a little lower on the frozen set; with
    fewer it is judged on the frozen set as any model is.

    Args:
        gate: The task's.
        recent_gate: What is asked beyond.
        frozen: On the frozen test set.
        recent: On the recent one; None where it is empty.

    Raises:
        DataError: both pairs are not of the same bundles.
        ConfigError: a setting names a metric that the evaluation does not have.
    """
    if recent is not None and recent.challenger.bundle_digest != frozen.challenger.bundle_digest:
        raise DataError(
            "the two evaluations are of different bundles",
            where="the retraining's evaluations",
            expected="both of the same bundle",
            action="start the retraining anew: visionloop retrain --restart",
        )
    num = 0 if recent is None else recent.challenger.num_images
    if recent is None or num < recent_gate.min_images:
        verdict = decide(gate, frozen.challenger, frozen.champion)
        note = Check(
            name="recent images",
            passed=True,
            found=num,
            required=recent_gate.min_images,
            explanation=f"{num} recent images, too few to judge by ({recent_gate.min_images})",
        )
        return verdict.model_copy(update={"checks": (*verdict.checks, note)})
    softer = gate.model_copy(
        update={
            "tolerance": max(gate.tolerance, recent_gate.frozen_tolerance),
            "margin": max(gate.margin, recent_gate.frozen_margin),
        }
    )
    there = gate.model_copy(update={"floors": {}, "margin": recent_gate.margin, "min_images": recent_gate.min_images})
    old = decide(softer, frozen.challenger, frozen.champion)
    new = decide(there, recent.challenger, recent.champion)
    return old.model_copy(
        update={
            "decision": max(old.decision, new.decision, key=_GRAVER.index),
            "summary": f"{old.summary}; on recent images {new.summary}",
            "checks": (
                *old.checks,
                *(check.model_copy(update={"name": f"recent: {check.name}"}) for check in new.checks),
            ),
        }
    )
