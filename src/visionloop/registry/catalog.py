"""What the registry knows, as one file beside the deployment pointer: the service shows it, and needs no MLflow."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from visionloop.core import files
from visionloop.core.errors import VisionloopError
from visionloop.registry.audit import champion_changes
from visionloop.registry.connection import TAG, Connection, connect, registry_errors, registry_lock
from visionloop.registry.lookup import (
    DIGEST,
    INTERVALS,
    ROLLED_BACK,
    aliases_of,
    model_names,
    utc_text,
    verdict_in,
    versions_of,
)
from visionloop.registry.reports import REPORTS, report_id, write_reports
from visionloop.registry.settings import RegistrySettings

_log = logging.getLogger(__name__)

CATALOG = "catalog.json"
_MAX_CHANGES = 500


def refresh_catalog(settings: RegistrySettings, root: Path) -> None:
    """Write the catalog anew. It follows a change that is made already, so a failure is logged and not raised."""
    try:
        write_catalog(settings, root)
    except VisionloopError as error:
        _log.warning("the catalog that the service shows is not up to date: %s", error)


def write_catalog(settings: RegistrySettings, root: Path) -> None:
    """Write `catalog.json`: every version with its numbers and verdict, and the latest changes of champions.

    Their reports come to lie beside it (`reports`).

    Raises:
        RegistryError: the registry cannot be read, or the file not be written.
    """
    connection = connect(settings, root)
    with registry_errors(connection.where), registry_lock(settings, root, "catalog"):
        home = (root / settings.pointer).parent
        found = {name: (_items(connection, name), aliases_of(connection, name)) for name in model_names(connection)}
        # Before the catalog, which names them.
        reports = write_reports(connection, home / REPORTS, list(found.values()))
        models = [_model(name, items, aliases, reports) for name, (items, aliases) in found.items()]
        files.write_json(
            home / CATALOG, {"models": models, "changes": champion_changes(root / settings.audit, _MAX_CHANGES)}
        )


def _items(connection: Connection, name: str) -> list[Any]:
    """MLflow's records of the versions that we registered, newest first."""
    items = sorted(versions_of(connection, name), key=lambda item: -int(item.version))
    return [item for item in items if DIGEST in item.tags]


def _model(name: str, items: Sequence[Any], aliases: dict[str, str], reports: set[str]) -> dict[str, Any]:
    task = next((item.tags[TAG + "task"] for item in items if TAG + "task" in item.tags), "")
    return {"model": name, "task": task, "versions": [_version(item, aliases, reports) for item in items]}


def _version(item: Any, aliases: dict[str, str], reports: set[str]) -> dict[str, Any]:
    tags = item.tags
    verdict = verdict_in(tags)
    return {
        "version": str(item.version),
        "aliases": sorted(alias for alias, held in aliases.items() if held == str(item.version)),
        "created": utc_text(datetime.fromtimestamp(item.creation_timestamp / 1000, UTC)),
        "digest": tags[DIGEST],
        "dataset": tags.get(TAG + "dataset", ""),
        "dataset_hash": tags.get(TAG + "dataset_hash", ""),
        "primary_metric": tags.get(TAG + "primary_metric", ""),
        "metrics": json.loads(tags.get(TAG + "metrics", "{}")),
        "intervals": json.loads(tags.get(INTERVALS, "{}")),
        "verdict": verdict.model_dump(mode="json", include={"decision", "summary", "checks"}) if verdict else None,
        "rolled_back": tags.get(ROLLED_BACK) or None,
        "report": report_id(item) if report_id(item) in reports else None,
    }
