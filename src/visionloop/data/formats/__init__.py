"""Sources: somebody else's layouts, one module each, behind one interface."""

from __future__ import annotations

from pathlib import Path

from visionloop.core.errors import DataError
from visionloop.data.formats.coco import CocoSource
from visionloop.data.formats.folder import FolderSource
from visionloop.data.formats.members import open_members
from visionloop.data.formats.names import likely_kind
from visionloop.data.formats.source import RawObject, Record, Source
from visionloop.data.formats.table import TableSource
from visionloop.data.formats.voc import VocSource
from visionloop.data.formats.yolo import YoloSource
from visionloop.data.settings import SourceSettings

__all__ = ["RawObject", "Record", "Source", "open_source", "suggest_kind"]


def open_source(settings: SourceSettings, *, root: Path) -> Source:
    """Open a source; close it after use.

    Args:
        settings: Kind and place.
        root: Folder at which a relative path starts.

    Raises:
        DataError: the path is missing, is not of that layout, or is an archive we do not trust.
    """
    members = open_members(root / settings.path, max_unpacked_bytes=int(settings.max_unpacked_gb * 1e9))
    try:
        match settings.kind:
            case "voc":
                return VocSource(members, one_based=settings.one_based)
            case "coco":
                return CocoSource(members)
            case "yolo":
                return YoloSource(members)
            case "csv":
                return TableSource(members, one_based=settings.one_based)
        return FolderSource(members)
    except DataError as error:
        suggest_kind(error, settings.kind, likely_kind(members.names))
        members.close()
        raise
    except BaseException:
        members.close()
        raise


def suggest_kind(error: DataError, kind: str, likely: str | None) -> None:
    """Say in an error about a source of `kind` that its files look like `likely`, where that is another."""
    if likely not in (None, kind):
        error.action += (
            f"; the files look like data.source.kind={likely}: `source: {likely}` in conf/<task>/default.yaml"
        )
