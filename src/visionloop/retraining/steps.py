"""The steps that the pipeline's own stages do not have: labels before them, gate and promotion behind them."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from visionloop.artifact.bundle import WEIGHTS, Bundle
from visionloop.artifact.deployment import Deployment
from visionloop.core import files
from visionloop.core.errors import RegistryError, VisionloopError
from visionloop.data.overlay import LabelledImage, Overlay, write_overlay
from visionloop.evaluation.gate import Verdict
from visionloop.evaluation.settings import EvaluationSettings, GateSettings
from visionloop.evaluation.summary import EvaluationSummary
from visionloop.monitoring.history.suspects import write_suspects
from visionloop.registry.champions import point_again, promote
from visionloop.registry.deploy import deploy
from visionloop.registry.models import champion_version, model_name, record_verdict, register
from visionloop.registry.models import was_rolled_back as taken_back
from visionloop.registry.settings import RegistrySettings
from visionloop.registry.submit import champion_evaluation
from visionloop.retraining.collect import Collected
from visionloop.retraining.job import Outdated, Run, StepResult
from visionloop.retraining.judge import Pair, judge
from visionloop.retraining.settings import RetrainingSettings

FEEDBACK = "feedback.json"
"""In a run's folder: what was taken of the feedback, and what was held back."""
HELD = "held.csv"
"""The same for people: what was held back."""
VERDICT = "verdict.json"


def save_collected(run: Run, collected: Collected, state: Path) -> StepResult:
    """Keep what was collected in the run's folder; later steps see nothing newer.

    The keys whose words are held back are left below `state`, where the service finds them.
    """
    write_suspects(collected.suspects, state, run.state.task)
    files.write_text(run.folder / FEEDBACK, collected.model_dump_json(indent=2) + "\n")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["image", "reason", "text", "keys", "predictions"])
    for item in collected.held:
        writer.writerow([item.image, item.reason, item.text, " ".join(item.keys), " ".join(item.predictions)])
    files.write_text(run.folder / HELD, buffer.getvalue())
    values = {
        "images": len(collected.images),
        "added": collected.added,
        "changed": collected.changed,
        "withdrawn": len(collected.withdrawn),
        "held": len(collected.held),
        "suspicious": collected.suspicious,
    }
    return StepResult(line=collected.summary(), values=values)


def write_version(
    run: Run, overlay_root: Path, find: Callable[[str], Path | None], pin: Callable[[], str]
) -> StepResult:
    """Write the labels as the next version of the overlay, and have it pinned.

    Args:
        run: Its `collect` step has been done.
        overlay_root: The overlay's folder.
        find: The kept image of a hash.
        pin: Lets the version control of data know; returns what it did.
    """
    collected = Collected.model_validate_json((run.folder / FEEDBACK).read_text())

    def read(image: LabelledImage) -> bytes:
        path = find(image.sha256)
        if path is None:
            raise VisionloopError(
                f"the image {image.sha256[:16]} is gone since it was collected",
                where="the kept images",
                expected="every image that was collected",
                action="start anew, which leaves it out: visionloop retrain --restart",
            )
        return path.read_bytes()

    before = Overlay.open(overlay_root)
    if not collected.images and not before.images:
        return StepResult(line="no labels", values={"digest": before.digest, **before.counts()})
    overlay = write_overlay(overlay_root, collected.images, read)
    pinned = pin()
    counts = overlay.counts()
    shown = ", ".join(f"{count} {part}" for part, count in counts.items())
    return StepResult(
        line=f"labels {overlay.digest[:12]}: {shown}; {pinned}", values={"digest": overlay.digest, **counts}
    )


def pin_by_dvc(root: Path, overlay_root: Path, data: str = "data") -> str:
    """`dvc add` of the folder that `data.dvc` tracks, where the labels lie in it.

    Raises:
        VisionloopError: DVC refuses, for instance because another DVC command is at work.
    """
    tracked = (root / data).resolve()
    if not (root / f"{data}.dvc").is_file() or not (root / ".dvc").is_dir():
        return "not tracked by DVC"
    if not overlay_root.resolve().is_relative_to(tracked):
        return f"outside {data}/, not tracked by {data}.dvc"
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "add", "--quiet", data], cwd=root, capture_output=True, text=True
    )
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if "ERROR" in line), done.stderr.strip()[-300:])
        raise VisionloopError(
            f"DVC refuses: {said}",
            where=f"dvc add {data}",
            expected=f"{data}.dvc brought up to date",
            action="wait for other DVC commands, then run `visionloop retrain` again: it continues here",
        )
    return f"{data}.dvc is up to date; commit it"


def nothing_new(champion: Bundle | None, dataset_hash: str, plan: dict[str, Any]) -> bool:
    """Whether a training would repeat the champion's: the same data, the same settings.

    Args:
        champion: Its bundle.
        dataset_hash: Content hash of the prepared dataset.
        plan: `TrainingPlan.describe()`.
    """
    if champion is None or champion.manifest.dataset.get("content_hash") != dataset_hash:
        return False
    return _without_weights(champion.manifest.training.get("plan", {})) == _without_weights(plan)


def _without_weights(plan: dict[str, Any]) -> dict[str, Any]:
    model = {key: value for key, value in plan.get("model", {}).items() if key != "weights"}
    return {**plan, "model": model}


def serving_champion(registry: RegistrySettings, root: Path, task: str) -> Bundle | None:
    """The bundle that serves a task, by the deployment pointer; None where none does."""
    pointer = root / registry.pointer
    deployment = Deployment.read(pointer)
    lineup = deployment.tasks.get(task)
    return None if lineup is None else Bundle.open(deployment.bundle_path(pointer, lineup.champion))


def champion_weights(champion: Bundle, folder: Path) -> Path:
    """The champion's weights as a state dict that `model.weights` can name; the name holds the bundle's identity."""
    import torch
    from safetensors.torch import load_file

    target = folder / f"champion-{champion.digest[:16]}.pt"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(".tmp")
        torch.save(load_file(champion.root / WEIGHTS), temporary)
        temporary.replace(target)
    return target


def judge_run(
    run: Run,
    registry: RegistrySettings,
    gate: GateSettings,
    evaluation: EvaluationSettings,
    settings: RetrainingSettings,
    root: Path,
    build: Path,
) -> StepResult:
    """Champion and challenger on the frozen and the recent images; the verdict goes into the run's folder."""
    bundle = Bundle.open(build / "bundle")
    model = model_name(registry, bundle)
    champion = champion_version(registry, root, model)
    pairs: dict[str, Pair] = {}
    for name, dataset in (("evaluation", "dataset"), ("evaluation-recent", "recent")):
        if not (build / name).is_dir():
            continue
        mine = EvaluationSummary.read(build / name)
        rival = None
        if champion is not None:
            rival = champion_evaluation(registry, evaluation, root, model, mine, build / dataset)
        pairs[name] = Pair(challenger=mine, champion=rival)
    frozen, recent = pairs["evaluation"], pairs.get("evaluation-recent")
    if frozen.champion is not None and frozen.champion.bundle_digest == bundle.digest:
        line = f"version {champion} is this very model already"
        return StepResult(line=line, values={"model": model, "champion": champion}, outcome="unchanged")
    verdict = judge(gate, settings.gate, frozen, recent)
    files.write_text(run.folder / VERDICT, verdict.model_dump_json(indent=2) + "\n")
    values = {"model": model, "champion": champion, "decision": verdict.decision, **_figures(frozen, recent)}
    return StepResult(line=verdict.summary, values=values)


def _figures(frozen: Pair, recent: Pair | None) -> dict[str, Any]:
    metric = frozen.challenger.primary_metric
    figures: dict[str, Any] = {"metric": metric}
    for name, pair in (("frozen", frozen), ("recent", recent)):
        if pair is not None:
            figures[name] = {
                "images": pair.challenger.num_images,
                "challenger": _finite(pair.challenger.flat_metrics().get(metric)),
                "champion": None if pair.champion is None else _finite(pair.champion.flat_metrics().get(metric)),
            }
    return figures


def _finite(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def register_run(run: Run, registry: RegistrySettings, root: Path, build: Path) -> StepResult:
    """Register the bundle with its verdict; what the gate does not promote ends here."""
    verdict = Verdict.model_validate_json((run.folder / VERDICT).read_text())
    version = register(registry, root, build / "bundle", build / "evaluation")
    key = files.hash_json(["retraining", verdict.challenger, verdict.champion, verdict.summary])
    record_verdict(registry, root, version.model, version.version, verdict, key)
    values = {"model": version.model, "version": version.version}
    name = f"{version.model} version {version.version}"
    if not verdict.promoted:
        return StepResult(line=f"{name}: {verdict.summary}", values=values, outcome="refused")
    when = taken_back(registry, root, version.model, version.version)
    if when:
        return StepResult(
            line=f"{name} was taken back by hand on {when}; visionloop promote {version.model} {version.version}",
            values=values,
            outcome="refused",
        )
    return StepResult(line=name, values=values)


def promote_run(
    run: Run, registry: RegistrySettings, settings: RetrainingSettings, root: Path, *, now: datetime
) -> StepResult:
    """Give an approved version the champion's place, or a share of the traffic, or leave that to a person."""
    judged, registered = run.state.result("judge"), run.state.result("register")
    model, version, expected = registered["model"], registered["version"], judged["champion"]
    verdict = Verdict.model_validate_json((run.folder / VERDICT).read_text())
    current = champion_version(registry, root, model)
    if current == version:
        point_again(registry, root, model)
        return StepResult(line=f"{model} version {version} is the champion", values=registered, outcome="promoted")
    if current != expected:
        raise Outdated(
            f"the champion changed to version {current or 'none'} since the verdict",
            step="judge",
            where=f"model {model}",
            expected=f"version {expected or 'none'}",
            action="none: the new champion is judged against",
        )
    if settings.promotion == "none":
        line = f"approved; visionloop promote {model} {version}"
        return StepResult(line=line, values=registered, outcome="approved")
    if settings.promotion == "canary" and current is not None:
        deploy(
            registry, root, model, version, role="canary", share=settings.canary_share,
            who=f"{run.state.who} (retraining)", why=f"retraining {run.state.run}: {verdict.summary}", now=now,
        )  # fmt: skip
        line = f"{model} version {version} answers {settings.canary_share:.0%}; visionloop promote {model} {version}"
        return StepResult(line=line, values=registered, outcome="canary")
    try:
        promote(
            registry, root, model, version, expected_champion=expected, who=f"{run.state.who} (retraining)",
            why=f"retraining {run.state.run}: {verdict.summary}", now=now,
        )  # fmt: skip
    except RegistryError:
        if champion_version(registry, root, model) == expected:
            raise
        raise Outdated(
            "the champion changed while it was being replaced",
            step="judge",
            where=f"model {model}",
            expected=f"version {expected or 'none'}",
            action="none: the new champion is judged against",
        ) from None
    line = f"{model} version {version} is the champion, was {expected or 'none'}"
    return StepResult(line=line, values=registered, outcome="promoted")


def keep_reports(run: Run, build: Path) -> StepResult:
    """Move the evaluations to the run's folder; everything else the run made is removed."""
    kept = []
    for name in ("evaluation", "evaluation-recent"):
        source, target = build / name, run.folder / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            source.rename(target)
        if target.is_dir():
            kept.append(f"{name}/report.html")
    return StepResult(line=", ".join(kept) or "nothing to keep", values={"reports": kept})
