"""Reading the registry: names, versions, aliases, artifacts; what is not there is named with what is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from visionloop.core.errors import RegistryError, near_matches
from visionloop.evaluation.gate import Verdict
from visionloop.registry.connection import TAG, Connection, import_mlflow

CHAMPION = "champion"
CHALLENGER = "challenger"

DIGEST = TAG + "bundle_sha256"
VERDICT = TAG + "verdict"
VERDICT_KEY = TAG + "verdict_key"
ROLLED_BACK = TAG + "rolled_back"
CHAMPIONS = TAG + "champions"
INTERVALS = TAG + "intervals"


def model_names(connection: Connection) -> list[str]:
    """Names of all registered models, sorted."""
    return sorted(model.name for model in _pages(connection.client.search_registered_models))


def aliases_of(connection: Connection, model: str) -> dict[str, str]:
    """Version by alias.

    Raises:
        RegistryError: there is no such model.
    """
    names = model_names(connection)
    if model not in names:
        raise RegistryError(
            f"there is no model {model!r}",
            where=f"registry {connection.where}",
            expected=near_matches(model, names) if names else "a registered model; there is none yet",
            action="correct the name; `visionloop models` lists them",
        )
    aliases = connection.client.get_registered_model(model).aliases
    return {str(alias): str(version) for alias, version in aliases.items()}


def versions_of(connection: Connection, model: str) -> list[Any]:
    """MLflow's records of a model's versions."""
    return list(_pages(connection.client.search_model_versions, f"name = '{model}'"))


def version_of_digest(connection: Connection, model: str, digest: str) -> Any | None:
    """The version that holds the bundle of that digest, or None."""
    return next((item for item in versions_of(connection, model) if item.tags.get(DIGEST) == digest), None)


def known_version(connection: Connection, model: str, version: str) -> Any:
    """MLflow's record of a version.

    Raises:
        RegistryError: there is no such model or version.
    """
    aliases_of(connection, model)  # says so when the model itself is unknown
    for item in versions_of(connection, model):
        if str(item.version) == version:
            return item
    raise RegistryError(
        f"model {model} has no version {version!r}",
        where=f"registry {connection.where}",
        expected=versions_text(connection, model),
        action="correct the version; `visionloop models` lists them",
    )


def resolve(connection: Connection, model: str, alias_or_version: str) -> Any:
    """MLflow's record of the version that an alias (with or without @) or a number names.

    Raises:
        RegistryError: there is no such model or version, or none has the alias; then it is said what the gate found.
    """
    wanted, aliases = alias_or_version.removeprefix("@"), aliases_of(connection, model)
    if wanted in (CHAMPION, CHALLENGER) and wanted not in aliases:
        raise _without_alias(connection, model, wanted)
    return known_version(connection, model, aliases.get(wanted, alias_or_version))


def _without_alias(connection: Connection, model: str, alias: str) -> RegistryError:
    newest = max(versions_of(connection, model), key=lambda item: int(item.version), default=None)
    found, action = "", "name a version, or train another (edit conf/, `dvc repro`): it will be the challenger"
    if alias == CHAMPION and newest is not None:
        verdict = verdict_in(newest.tags)
        said = f"the gate says: {verdict.summary}" if verdict else "the gate has not judged it"
        found = f"; of version {newest.version} {said}"
        action = (
            f"train a better model, or try this one as {model}/{newest.version}; `visionloop promote {model} "
            f"{newest.version} --force` makes it the champion against the gate, and the audit says so"
        )
    return RegistryError(
        f"there is no {alias}{found}",
        where=f"model {model}",
        expected=f"a version with the alias @{alias} ({versions_text(connection, model)})",
        action=action,
    )


def versions_text(connection: Connection, model: str) -> str:
    """A model's versions in words, for an error."""
    numbers = sorted((str(item.version) for item in versions_of(connection, model)), key=int)
    return f"versions {', '.join(numbers)}" if numbers else "it has no versions yet"


def verdict_in(tags: dict[str, str]) -> Verdict | None:
    """The gate's verdict among a version's tags, or None."""
    return Verdict.model_validate_json(tags[VERDICT]) if tags.get(VERDICT) else None


def fetch_folder(connection: Connection, uri: str, dest: Path) -> Path:
    """The folder behind an artifact URI: itself when it is on this machine, else a download."""
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        folder = Path(unquote(parts.path))
        if not folder.is_dir():
            raise RegistryError(
                "the artifacts are gone",
                where=str(folder),
                expected="the folder written when the version was registered",
                action="put mlruns/ back where it was (MLflow stores absolute paths), or register the bundle again",
            )
        return folder
    shutil.rmtree(dest, ignore_errors=True)
    dest.mkdir(parents=True)
    import_mlflow()
    from mlflow.artifacts import download_artifacts

    return Path(download_artifacts(artifact_uri=uri, dst_path=str(dest), tracking_uri=connection.tracking_uri))


def fetch_file(connection: Connection, uri: str, dest: Path) -> Path:
    """The file behind an artifact URI: itself when it is on this machine, else a download into the folder `dest`.

    Raises:
        RegistryError: it is not there.
    """
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        folder, _, name = uri.rpartition("/")
        return fetch_folder(connection, folder, dest) / unquote(name)
    dest.mkdir(parents=True, exist_ok=True)
    import_mlflow()
    from mlflow.artifacts import download_artifacts

    return Path(download_artifacts(artifact_uri=uri, dst_path=str(dest), tracking_uri=connection.tracking_uri))


def utc_text(when: datetime) -> str:
    """ISO 8601 in UTC, to the second."""
    return when.astimezone(UTC).isoformat(timespec="seconds")


def _pages(search: Any, query: str | None = None) -> Iterator[Any]:
    token = None
    while True:
        page = search(filter_string=query, max_results=100, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
