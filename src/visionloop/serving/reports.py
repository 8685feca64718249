"""Evaluation reports of registered versions, read from beside the pointer, where the registry puts them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from visionloop.serving.problems import Problem

REPORTS = "reports"
"""Folder beside the deployment pointer."""

_RECORD = "report.json"
_PICTURES = "examples"
# The whole of what becomes a path: neither can leave its folder.
_ID = re.compile(r"[0-9a-f]{16}")
_PICTURE = re.compile(r"[0-9]{1,6}\.(png|jpg)")
_MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg"}


class Reports:
    """Routes of reports and their pictures."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds a folder a report; it need not exist."""
        self._folder = folder

    async def report(self, request: Request) -> Response:
        """A version's numbers, tables and model card.

        Raises:
            Problem: there is no such report.
        """
        id_ = request.path_params["id"]
        path = self._folder / id_ / _RECORD if _ID.fullmatch(id_) else None
        return Response(await _read(path), media_type="application/json")

    async def picture(self, request: Request) -> Response:
        """An example's picture.

        Raises:
            Problem: there is no such report or picture.
        """
        id_, name = request.path_params["id"], request.path_params["name"]
        known = _ID.fullmatch(id_) and _PICTURE.fullmatch(name)
        path = self._folder / id_ / _PICTURES / name if known else None
        return Response(await _read(path), media_type=_MEDIA_TYPES.get(name.rpartition(".")[2]))


async def _read(path: Path | None) -> bytes:
    try:
        if path is not None:
            return await asyncio.to_thread(path.read_bytes)
    except (FileNotFoundError, NotADirectoryError):
        pass  # removed with its version
    raise Problem(
        404,
        "unknown_report",
        "there is no such report, or picture of one",
        where="path",
        expected="the `report` of a version in /v1/models/history, and a `picture` of one of its examples",
        action="correct it; a report goes when its version does",
    )
