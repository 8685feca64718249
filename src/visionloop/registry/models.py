"""Registered models: versions with their evidence, and who is champion."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from visionloop.artifact.bundle import Bundle
from visionloop.core.errors import RegistryError
from visionloop.evaluation.gate import Verdict
from visionloop.evaluation.summary import EvaluationSummary
from visionloop.registry.catalog import refresh_catalog
from visionloop.registry.connection import TAG, Connection, connect, registry_errors, registry_lock
from visionloop.registry.lookup import (
    CHALLENGER,
    CHAMPION,
    DIGEST,
    INTERVALS,
    ROLLED_BACK,
    VERDICT,
    VERDICT_KEY,
    aliases_of,
    fetch_folder,
    known_version,
    model_names,
    resolve,
    utc_text,
    verdict_in,
    version_of_digest,
    versions_of,
)
from visionloop.registry.runs import TRAIN_KEY, find_training_run, flat, run_name
from visionloop.registry.settings import RegistrySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """A bundle in the registry.

    Attributes:
        model: Registered model's name.
        version: Its version, a number as text.
        created: Whether this call made it; False when the same bundle was there already.
        run_id: The MLflow run that holds its artifacts.
    """

    model: str
    version: str
    created: bool
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One version as `visionloop models` shows it.

    Attributes:
        model, version: Its name.
        aliases: `champion`, `challenger` and the user's own.
        metric: Name of the primary metric.
        value: Its value, None where undefined.
        dataset: Name of the dataset it was evaluated on.
        dataset_hash: That dataset's version.
        created: ISO 8601, UTC.
        decision: The gate's decision, None when it has not judged.
        reason: The verdict's summary.
        bundle_sha256: The bundle's identity.
    """

    model: str
    version: str
    aliases: tuple[str, ...]
    metric: str
    value: float | None
    dataset: str
    dataset_hash: str
    created: str
    decision: str | None
    reason: str
    bundle_sha256: str


def model_name(settings: RegistrySettings, bundle: Bundle) -> str:
    """The registered model's name for a bundle, by the pattern in the settings; what MLflow forbids becomes `-`."""
    name = settings.model_name.format(task=bundle.manifest.task, dataset=bundle.manifest.dataset["name"])
    return re.sub(r"[^\w .-]", "-", name)


def register(settings: RegistrySettings, root: Path, bundle_root: Path, evaluation_dir: Path) -> RegisteredVersion:
    """Put a bundle with its evaluation into the registry as `@challenger`.

    The same bundle again returns its version and changes nothing. The artifacts go to the training's run
    where there is one, else (a training restored from DVC's cache) to a run of their own.

    Args:
        settings: Where.
        root: The project's folder.
        bundle_root: The bundle.
        evaluation_dir: As `evaluation.evaluate` wrote it, for this bundle.

    Raises:
        BundleError: the bundle does not verify.
        RegistryError: the evaluation is another bundle's, parity is not proven, or MLflow refuses.
    """
    bundle = Bundle.open(bundle_root)
    summary = EvaluationSummary.read(evaluation_dir)
    _require_evidence(bundle, summary, evaluation_dir)
    name = model_name(settings, bundle)
    connection = connect(settings, root)
    with registry_errors(connection.where), registry_lock(settings, root, "registration"):
        _ensure_model(connection, name, summary)
        known = version_of_digest(connection, name, bundle.digest)
        if known is not None:
            return RegisteredVersion(model=name, version=str(known.version), created=False, run_id=known.run_id)
        run_id = _log_artifacts(connection, bundle, summary, evaluation_dir)
        version = _create_version(connection, name, bundle, summary, run_id)
        connection.client.set_registered_model_alias(name, CHALLENGER, version)
    refresh_catalog(settings, root)
    return RegisteredVersion(model=name, version=version, created=True, run_id=run_id)


def record_verdict(
    settings: RegistrySettings, root: Path, model: str, version: str, verdict: Verdict, key: str = ""
) -> None:
    """Store the gate's verdict with the version.

    Args:
        settings: Where.
        root: The project's folder.
        model, version: The judged version.
        verdict: The gate's answer.
        key: Hash of what the verdict depends on, by which a repeated judgement is recognised.
    """
    connection = connect(settings, root)
    with registry_errors(connection.where):
        connection.client.set_model_version_tag(model, version, VERDICT, verdict.model_dump_json())
        connection.client.set_model_version_tag(model, version, VERDICT_KEY, key)
    refresh_catalog(settings, root)


def stored_verdict(settings: RegistrySettings, root: Path, model: str, version: str) -> tuple[Verdict | None, str]:
    """The verdict stored with a version, None when the gate has not judged it, and its key."""
    connection = connect(settings, root)
    with registry_errors(connection.where):
        tags = known_version(connection, model, version).tags
    return verdict_in(tags), tags.get(VERDICT_KEY, "")


def was_rolled_back(settings: RegistrySettings, root: Path, model: str, version: str) -> str | None:
    """When a person took this version back, ISO 8601; None if nobody did since its last promotion."""
    connection = connect(settings, root)
    with registry_errors(connection.where):
        return known_version(connection, model, version).tags.get(ROLLED_BACK) or None


def aliased_version(settings: RegistrySettings, root: Path, model: str, alias: str) -> str | None:
    """The version behind an alias, or None.

    Raises:
        RegistryError: there is no such model.
    """
    connection = connect(settings, root)
    with registry_errors(connection.where):
        return aliases_of(connection, model).get(alias)


def champion_version(settings: RegistrySettings, root: Path, model: str) -> str | None:
    """The champion's version; None where there is no champion, or no such model yet."""
    connection = connect(settings, root)
    with registry_errors(connection.where):
        return aliases_of(connection, model).get(CHAMPION) if model in model_names(connection) else None


def fetch_bundle(settings: RegistrySettings, root: Path, model: str, alias_or_version: str, dest: Path) -> Path:
    """The verified bundle of a version.

    Args:
        settings: Where.
        root: The project's folder.
        model: Registered model's name.
        alias_or_version: `champion`, `challenger`, or a version.
        dest: Folder below which it is downloaded; not used when the artifacts lie on this machine.

    Returns:
        The bundle's folder.

    Raises:
        RegistryError: no such version, or its artifacts are gone.
        BundleError: it was altered.
    """
    connection = connect(settings, root)
    with registry_errors(connection.where):
        version = resolve(connection, model, alias_or_version)
        folder = fetch_folder(connection, str(version.source), dest / model / str(version.version) / "bundle")
    bundle = Bundle.open(folder)
    if bundle.digest != version.tags.get(DIGEST):
        raise RegistryError(
            f"the artifacts hold another bundle (sha256 {bundle.digest[:12]})",
            where=str(folder),
            expected=f"sha256 {version.tags.get(DIGEST, 'unknown')[:12]}, as registered",
            action="do not use it; register the bundle again",
        )
    return folder


def fetch_evaluation(
    settings: RegistrySettings, root: Path, model: str, alias_or_version: str, dest: Path
) -> EvaluationSummary:
    """The evaluation stored with a version; arguments and errors as `fetch_bundle`."""
    connection = connect(settings, root)
    with registry_errors(connection.where):
        version = resolve(connection, model, alias_or_version)
        source = str(version.source).rpartition("/")[0] + "/evaluation"
        folder = fetch_folder(connection, source, dest / model / str(version.version) / "evaluation")
    return EvaluationSummary.read(folder)


def list_models(settings: RegistrySettings, root: Path) -> list[ModelRow]:
    """Every version of every model, by model, newest version first."""
    connection = connect(settings, root)
    with registry_errors(connection.where):
        return [
            _row(version, aliases_of(connection, name))
            for name in model_names(connection)
            for version in sorted(versions_of(connection, name), key=lambda item: -int(item.version))
            if DIGEST in version.tags
        ]


def _row(version: Any, aliases: dict[str, str]) -> ModelRow:
    tags = version.tags
    metric, verdict = tags.get(TAG + "primary_metric", ""), verdict_in(tags)
    return ModelRow(
        model=version.name,
        version=str(version.version),
        aliases=tuple(sorted(alias for alias, held in aliases.items() if held == str(version.version))),
        metric=metric,
        value=json.loads(tags.get(TAG + "metrics", "{}")).get(metric),
        dataset=tags.get(TAG + "dataset", ""),
        dataset_hash=tags.get(TAG + "dataset_hash", ""),
        created=utc_text(datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)),
        decision=verdict.decision if verdict else None,
        reason=verdict.summary if verdict else "",
        bundle_sha256=tags[DIGEST],
    )


def _require_evidence(bundle: Bundle, summary: EvaluationSummary, evaluation_dir: Path) -> None:
    if summary.bundle_digest != bundle.digest:
        raise RegistryError(
            f"the evaluation is of another bundle (sha256 {summary.bundle_digest[:12]})",
            where=str(evaluation_dir),
            expected=f"an evaluation of {bundle.root} (sha256 {bundle.digest[:12]})",
            action="run the evaluate stage again",
        )
    if not bundle.manifest.parity.passed:
        raise RegistryError(
            "it is not proven that the bundle's graph answers as the trained network does",
            where=str(bundle.root),
            expected="a bundle whose parity proof passed",
            action="run the export stage again",
        )


def _ensure_model(connection: Connection, name: str, summary: EvaluationSummary) -> None:
    if name not in model_names(connection):
        connection.client.create_registered_model(
            name, {TAG + "task": summary.task}, f"{summary.task} on {summary.dataset}, made by visionloop"
        )


def _log_artifacts(connection: Connection, bundle: Bundle, summary: EvaluationSummary, evaluation_dir: Path) -> str:
    """Bundle, evaluation and metrics into the training's run or a new one; returns its id."""
    client, train_key = connection.client, str(bundle.manifest.training.get("key", ""))
    found = find_training_run(connection, train_key) if train_key else None
    run_id = found or _new_run(connection, bundle, train_key)
    try:
        # By digest: one training may be exported twice, and a version's files must never change.
        client.log_artifacts(run_id, str(bundle.root), f"{bundle.digest[:12]}/bundle")
        client.log_artifacts(run_id, str(evaluation_dir), f"{bundle.digest[:12]}/evaluation")
        for name, value in summary.flat_metrics().items():
            client.log_metric(run_id, re.sub(r"[^\w\-./ ]", "_", f"{summary.split}/{name}"), value)
    except BaseException:
        if found is None:
            client.set_terminated(run_id, "FAILED")
        raise
    if found is None:
        client.set_terminated(run_id, "FINISHED")
    return run_id


def _new_run(connection: Connection, bundle: Bundle, train_key: str) -> str:
    tags = {
        TAG + "task": bundle.manifest.task,
        TAG + "dataset_hash": str(bundle.manifest.dataset.get("content_hash", "")),
        TRAIN_KEY: train_key,
        TAG + "origin": "registered from a bundle; the training itself was not logged here",
    }
    manifest = bundle.manifest
    called = run_name(manifest.task, str(manifest.dataset.get("name", "")), manifest.model)
    run = connection.client.create_run(connection.experiment_id, tags=tags, run_name=called)
    for name, value in flat({"model": bundle.manifest.model}).items():
        connection.client.log_param(run.info.run_id, name, value)
    return str(run.info.run_id)


def _create_version(connection: Connection, name: str, bundle: Bundle, summary: EvaluationSummary, run_id: str) -> str:
    manifest = bundle.manifest
    tags = {
        DIGEST: bundle.digest,
        TAG + "task": manifest.task,
        TAG + "classes_hash": manifest.classes_hash,
        TAG + "dataset": summary.dataset,
        TAG + "dataset_hash": summary.dataset_hash,
        TAG + "primary_metric": summary.primary_metric,
        TAG + "metrics": json.dumps(summary.flat_metrics()),
        INTERVALS: json.dumps(summary.intervals()),
        TRAIN_KEY: str(manifest.training.get("key", "")),
    }
    value = summary.metrics.get(summary.primary_metric)
    shown = "undefined" if value is None else f"{value:.4f}"
    artifact_uri = connection.client.get_run(run_id).info.artifact_uri
    version = connection.client.create_model_version(
        name,
        source=f"{artifact_uri}/{bundle.digest[:12]}/bundle",
        run_id=run_id,
        tags=tags,
        description=f"{summary.primary_metric} {shown} on {summary.num_images} {summary.split} images "
        f"of {summary.dataset} ({summary.dataset_hash[:12]}); bundle {bundle.digest[:12]}",
    )
    return str(version.version)
