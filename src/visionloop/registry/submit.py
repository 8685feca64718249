"""From a bundle to a decision: register, let the gate judge it against the champion, promote."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from visionloop.core import files
from visionloop.evaluation.evaluate import summarise
from visionloop.evaluation.gate import Verdict, decide
from visionloop.evaluation.settings import EvaluationSettings, GateSettings
from visionloop.evaluation.summary import EvaluationSummary
from visionloop.registry.audit import ChampionChange
from visionloop.registry.champions import promote
from visionloop.registry.lookup import CHAMPION
from visionloop.registry.models import (
    RegisteredVersion,
    aliased_version,
    fetch_bundle,
    fetch_evaluation,
    record_verdict,
    register,
    stored_verdict,
    was_rolled_back,
)
from visionloop.registry.settings import RegistrySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What became of a bundle.

    Attributes:
        version: The registered version.
        verdict: The gate's answer.
        champion: The champion's version afterwards, None if there is none.
        change: The promotion made by this call, None if it made none.
        note: One line that says what happened.
    """

    version: RegisteredVersion
    verdict: Verdict
    champion: str | None
    change: ChampionChange | None
    note: str


def submit(
    settings: RegistrySettings,
    gate: GateSettings,
    evaluation: EvaluationSettings,
    root: Path,
    *,
    bundle_root: Path,
    evaluation_dir: Path,
    dataset_root: Path,
    who: str,
    now: datetime,
) -> Submission:
    """Register a bundle, judge it, and promote it if the gate says so. The same call again changes nothing.

    A version that a person took back by `rollback` is not promoted again by itself.

    Args:
        settings: The registry.
        gate: What a challenger must show.
        evaluation: How a champion is evaluated again when its stored evaluation is on other images.
        root: The project's folder.
        bundle_root: The challenger.
        evaluation_dir: The challenger's evaluation.
        dataset_root: The dataset of that evaluation.
        who, now: For the audit.

    Raises:
        RegistryError: MLflow refuses, or the champion changed while the gate was judging.
    """
    version = register(settings, root, bundle_root, evaluation_dir)
    champion = aliased_version(settings, root, version.model, CHAMPION)
    challenger = EvaluationSummary.read(evaluation_dir)
    verdict, known_key = stored_verdict(settings, root, version.model, version.version)
    if champion == version.version and verdict is not None:
        return _unchanged(version, verdict, champion, f"version {champion} is the champion already")
    key = _judgement_key(gate, challenger, champion)
    if verdict is not None and known_key == key:
        return _unchanged(version, verdict, champion, f"judged before; {verdict.summary}")
    rival = None
    if champion is not None and champion != version.version:
        rival = champion_evaluation(settings, evaluation, root, version.model, challenger, dataset_root)
    verdict = decide(gate, challenger, rival)
    record_verdict(settings, root, version.model, version.version, verdict, key)
    if not verdict.promoted or champion == version.version:
        return _unchanged(version, verdict, champion, verdict.summary)
    taken_back = was_rolled_back(settings, root, version.model, version.version)
    if taken_back:
        note = f"not promoted: taken back by hand on {taken_back}; visionloop promote {version.model} {version.version}"
        return _unchanged(version, verdict, champion, note)
    change = promote(
        settings, root, version.model, version.version,
        expected_champion=champion, who=who, why=verdict.summary, now=now,
    )  # fmt: skip
    return Submission(version=version, verdict=verdict, champion=version.version, change=change, note=verdict.summary)


def champion_evaluation(
    settings: RegistrySettings,
    evaluation: EvaluationSettings,
    root: Path,
    model: str,
    challenger: EvaluationSummary,
    dataset_root: Path,
) -> EvaluationSummary:
    """The champion's numbers on the challenger's images.

    The stored ones where they are on the same images; else the champion answers the current ones, unless its
    classes are others, when the gate is given the stored numbers and says so.

    Raises:
        RegistryError: there is no champion, or its artifacts are gone.
    """
    with tempfile.TemporaryDirectory(prefix="visionloop-") as folder:
        dest = Path(folder)
        stored = fetch_evaluation(settings, root, model, CHAMPION, dest)
        if stored.same_images(challenger) or stored.classes != challenger.classes:
            return stored
        again = evaluation.model_copy(update={"split": challenger.split})
        return summarise(again, fetch_bundle(settings, root, model, CHAMPION, dest), dataset_root)


def _judgement_key(gate: GateSettings, challenger: EvaluationSummary, champion: str | None) -> str:
    rules = gate.model_dump(mode="json")
    return files.hash_json([rules, challenger.bundle_digest, challenger.dataset_hash, champion])


def _unchanged(version: RegisteredVersion, verdict: Verdict, champion: str | None, note: str) -> Submission:
    return Submission(version=version, verdict=verdict, champion=champion, change=None, note=note)
