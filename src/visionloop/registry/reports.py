"""Evaluation reports and model cards beside the deployment pointer: the service shows them, and needs no MLflow."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from visionloop.artifact.bundle import MODEL_CARD
from visionloop.core import files
from visionloop.core.errors import VisionloopError
from visionloop.evaluation.record import PICTURES, RECORD
from visionloop.registry.connection import Connection, registry_errors
from visionloop.registry.lookup import fetch_file

_log = logging.getLogger(__name__)

REPORTS = "reports"
"""Folder beside the pointer: `<id>/report.json` and `<id>/examples/`."""

_KEPT = 100
"""Latest versions of a model that have theirs; older ones only with an alias."""
_MAX_CARD = 50_000
_MAX_EXAMPLES = 24


def report_id(item: Any) -> str:
    """The name of a version's report: of its artifacts, since a version may be removed and its number not."""
    return files.hash_json([str(item.name), str(item.version), str(item.source)])[:16]


def write_reports(
    connection: Connection, folder: Path, models: Sequence[tuple[Sequence[Any], Mapping[str, str]]]
) -> set[str]:
    """Write what is missing, and remove what belongs to no version (any more).

    A version without a report (registered by an earlier release), or whose artifacts are gone, has none.

    Args:
        connection: To the registry.
        folder: Where; each report appears whole or not at all.
        models: MLflow's records of each model's versions, newest first, with its versions by alias.

    Returns:
        Ids of the reports that are there.
    """
    wanted: dict[str, Any] = {}
    for items, aliases in models:
        named = set(aliases.values())
        kept = [item for index, item in enumerate(items) if index < _KEPT or str(item.version) in named]
        wanted |= {report_id(item): item for item in kept}
    for path in folder.glob("*"):
        if path.name not in wanted:
            shutil.rmtree(path, ignore_errors=True)
    return {id_ for id_, item in wanted.items() if (folder / id_).is_dir() or _write(connection, folder / id_, item)}


def _write(connection: Connection, home: Path, item: Any) -> bool:
    fetched = home.parent / ".fetched"
    evaluation = f"{str(item.source).rpartition('/')[0]}/evaluation"
    try:
        with registry_errors(connection.where), files.new_folder(home) as folder:
            record = dict(files.read_json(fetch_file(connection, f"{evaluation}/{RECORD}", fetched)))
            card = fetch_file(connection, f"{item.source}/{MODEL_CARD}", fetched)
            record["card"] = card.read_text(encoding="utf-8", errors="replace")[:_MAX_CARD]
            record["examples"] = record["examples"][:_MAX_EXAMPLES]
            (folder / PICTURES).mkdir()
            for entry in record["examples"]:
                picture = fetch_file(connection, f"{evaluation}/{PICTURES}/{entry['picture']}", fetched / PICTURES)
                shutil.copyfile(picture, folder / PICTURES / Path(entry["picture"]).name)
            files.write_json(folder / RECORD, {"model": str(item.name), "version": str(item.version), **record})
    except (VisionloopError, KeyError, TypeError) as error:
        _log.info("version %s of %s has no report to show: %s", item.version, item.name, error)
        return False
    finally:
        shutil.rmtree(fetched, ignore_errors=True)
    return True
