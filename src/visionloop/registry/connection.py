"""The connection to MLflow: quiet, safe on a fresh database, quick to say that a server is not there."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from visionloop.core.errors import BusyError, ConfigError, RegistryError
from visionloop.registry.settings import RegistrySettings

_SQLITE = "sqlite:///"
_LOCK_WAIT_S = 120.0
"""A fresh database takes MLflow five to ten seconds to create; several processes may queue for it."""

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""What MLflow has no other switch for: no call home, no noise, no retrying for minutes. The user's values win."""

_KIND = ("mlflow.experimentKind", "custom_model_development")
"""What MLflow's UI reads to show runs and models of training; without it, it opens on traces of language models."""

TAG = "visionloop."
"""Prefix of every tag of ours in MLflow."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An initialised MLflow.

    Attributes:
        client: `mlflow.MlflowClient`.
        tracking_uri: With absolute paths.
        experiment_id: Of the configured experiment.
        artifacts: Where a new experiment keeps artifacts; None when the server decides.
    """

    client: Any
    tracking_uri: str
    experiment_id: str
    artifacts: str | None

    @property
    def where(self) -> str:
        """The tracking URI for messages: without user and password."""
        return redacted(self.tracking_uri)


def project_root(env: Mapping[str, str], cwd: Path) -> Path:
    """The project's folder, also inside a DVC queue run, whose workspace is thrown away afterwards.

    Args:
        env: The environment; DVC sets `DVC_ROOT` for its stages.
        cwd: The working folder, taken when DVC did not start this process.
    """
    root = env.get("DVC_ROOT") or str(cwd)
    return Path(root.replace("\\", "/").split("/.dvc/tmp/exps", 1)[0]).resolve()


def connect(settings: RegistrySettings, root: Path) -> Connection:
    """Open MLflow; creates database and experiment where they are missing, one process at a time.

    Args:
        settings: Where.
        root: The project's folder, for relative paths.

    Raises:
        RegistryError: the server does not answer, or the database cannot be used.
        BusyError: another process has been initialising the database for minutes.
    """
    uri, local = _absolute_uri(settings.tracking_uri, root)
    artifacts = _artifact_location(settings, root)
    if uri.startswith(("http://", "https://")):
        _probe(uri, settings.timeout_s)
    with registry_errors(redacted(uri)), registry_lock(settings, root, "initialisation"):
        if local is not None:
            local.parent.mkdir(parents=True, exist_ok=True)
        client = import_mlflow().MlflowClient(uri, uri)
        experiment_id = _experiment(client, settings.experiment, artifacts)
        if local is not None:
            _use_wal(local)
    return Connection(client, uri, experiment_id, artifacts)


@contextlib.contextmanager
def registry_errors(where: str) -> Iterator[None]:
    """MLflow's and the database's errors as ours, one line instead of their traces."""
    import_mlflow()
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, RequestException, sqlite3.Error, OSError) as error:
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise RegistryError(
            f"MLflow refuses: {first[:300]}",
            where=where,
            expected="an MLflow of the installed version that this user may write to",
            action="check registry.tracking_uri and the rights on it; an old database needs `mlflow db upgrade <uri>`",
        ) from error


@contextlib.contextmanager
def registry_lock(settings: RegistrySettings, root: Path, purpose: str) -> Iterator[None]:
    """Hold the registry alone on this machine.

    Raises:
        BusyError: another process holds it for longer than two minutes.
    """
    path = (root / settings.audit).parent / f".{purpose}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_LOCK_WAIT_S)
    except Timeout:
        raise BusyError(
            f"another process has been at the registry's {purpose} for {_LOCK_WAIT_S:.0f} s",
            where=str(path),
            expected="at most a few seconds",
            action="wait until it has finished, then run the command again",
        ) from None
    try:
        yield
    finally:
        lock.release()


def import_mlflow() -> Any:
    """The module `mlflow`, quiet. It takes seconds to import, so nothing imports it before it is needed."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow
    except ImportError as error:
        raise ConfigError(
            f"MLflow is not installed ({error.name} is missing)",
            where="this Python environment",
            expected="the extra `pipeline`",
            action="install visionloop[pipeline]",
        ) from None
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow


def _experiment(client: Any, name: str, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name, artifact_location=artifacts, tags=dict([_KIND])))
    if found.lifecycle_stage == "deleted":
        raise RegistryError(
            f"the experiment {name!r} is deleted",
            where="setting registry.experiment",
            expected="an experiment in use, or a new name",
            action=f"`mlflow experiments restore -x {found.experiment_id}`, or choose another name",
        )
    if _KIND[0] not in found.tags:
        client.set_experiment_tag(found.experiment_id, *_KIND)
    return str(found.experiment_id)


def _use_wal(path: Path) -> None:
    """Let readers and a writer work at the same time; the mode is kept in the file."""
    # On a file system that cannot (some network ones) the database stays as it is: slower, still correct.
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(path, timeout=20)) as database,
    ):
        database.execute("PRAGMA journal_mode=WAL")


def _absolute_uri(uri: str, root: Path) -> tuple[str, Path | None]:
    if not uri.startswith(_SQLITE):
        return uri, None
    path = (root / uri.removeprefix(_SQLITE)).resolve()
    return f"{_SQLITE}{path}", path


def _artifact_location(settings: RegistrySettings, root: Path) -> str | None:
    if settings.tracking_uri.startswith(("http://", "https://", "databricks")):
        return None
    return settings.artifacts if "://" in settings.artifacts else str((root / settings.artifacts).resolve())


def _probe(uri: str, timeout_s: float) -> None:
    parts = urllib.parse.urlsplit(uri)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/") + "/health")
    reason: object
    try:
        urllib.request.urlopen(bare.geturl(), timeout=timeout_s).close()
        return
    except urllib.error.HTTPError:
        return  # something speaks HTTP there; MLflow's own call says more
    except urllib.error.URLError as error:
        reason = error.reason
        if isinstance(reason, ssl.SSLError):
            return  # MLflow has its own settings for certificates
    except OSError as error:
        reason = error
    raise RegistryError(
        f"no MLflow server answers ({reason})",
        where=f"setting registry.tracking_uri={redacted(uri)}",
        expected=f"an answer within {timeout_s:g} s",
        action="start it with `mlflow server`, correct the address, or use registry.tracking_uri=sqlite:///mlruns/mlflow.db",
    )


def redacted(uri: str) -> str:
    """A URI without user and password, for messages."""
    parts = urllib.parse.urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri
