"""Model versions and their history, and who serves: read from a file beside the pointer, changed by the registry.

The registry runs in a process of its own, by the functions of the command line: MLflow takes seconds to load and
hundreds of megabytes, which a service has no use for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from visionloop.core import files
from visionloop.core.errors import VisionloopError
from visionloop.serving.caller import caller_of
from visionloop.serving.json_body import read_json
from visionloop.serving.problems import Problem, json_answer
from visionloop.serving.schema_review import ChangeBody
from visionloop.serving.settings import ServingSettings

_log = logging.getLogger(__name__)

CATALOG = "catalog.json"
"""File beside the deployment pointer that the registry writes after every change."""

_TIMEOUT_S = 180.0
"""A registry on a slow machine takes ten seconds to load, and copies a bundle."""

_NOTHING: dict[str, Any] = {"models": [], "changes": []}


class Administration:
    """Routes for people who decide what serves."""

    def __init__(self, settings: ServingSettings, root: Path) -> None:
        """`root` is the project's folder."""
        self._catalog = (root / settings.pointer).parent / CATALOG
        self._root = root
        self._body_timeout_s = settings.upload.body_timeout_s
        self._changing = asyncio.Lock()

    async def history(self, _: Request) -> Response:
        """Every registered version, and every change of a champion; empty before the first."""
        return json_answer(await asyncio.to_thread(self._read))

    async def change(self, request: Request) -> Response:
        """Promote, roll back, or let a version answer a share or unseen.

        Raises:
            Problem: refused by the registry, or it is not there.
        """
        body = await read_json(request, self._body_timeout_s)
        try:
            change = ChangeBody.model_validate(body)
        except ValidationError as error:
            raise _bad_change(error) from None
        known = [model["model"] for model in (await asyncio.to_thread(self._read))["models"]]
        if change.model not in known:
            raise _unknown_model(change.model, known)
        who = f"key {caller_of(request).key_id}" if caller_of(request).key_id else "the service, without a key"
        asked = change.model_dump() | {"who": who, "root": str(self._root)}
        async with self._changing:
            answer = await _ask_registry(asked)
        if "refused" in answer:
            raise Problem(409, "registry_refused", **answer["refused"])
        return json_answer({"summary": answer["done"]})

    def _read(self) -> dict[str, Any]:
        try:
            return dict(files.read_json(self._catalog)) if self._catalog.exists() else _NOTHING
        except VisionloopError as error:
            _log.warning("the catalog of models cannot be read: %s", error)
            return _NOTHING


async def _ask_registry(asked: dict[str, Any]) -> dict[str, Any]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "visionloop.registrar", stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            told, log = await process.communicate(json.dumps(asked).encode())
    except TimeoutError:
        raise _registry_unavailable(f"it did not answer within {_TIMEOUT_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        # The last line: libraries may print before it.
        return dict(json.loads(told.decode().splitlines()[-1]))
    except (ValueError, IndexError):
        _log.error("the registry ended with status %s: %s", process.returncode, log.decode(errors="replace")[-2000:])
        raise _registry_unavailable("it failed; the service's log says why") from None


def _registry_unavailable(what: str) -> Problem:
    return Problem(
        503,
        "registry_unavailable",
        f"the registry cannot be asked: {what}",
        where="registry",
        expected="an installation with the extra `pipeline` beside the service",
        action="try again, or use `visionloop promote` and `visionloop deploy` where the registry is",
    )


def _unknown_model(name: str, known: list[str]) -> Problem:
    return Problem(
        404,
        "unknown_model",
        f"there is no model {name[:64]!r}",
        where="model",
        expected=f"one of {', '.join(known)}" if known else "a registered model; there is none yet",
        action="correct the name; /v1/models/history lists them",
    )


def _bad_change(error: ValidationError) -> Problem:
    first = error.errors()[0]
    return Problem(
        422,
        "bad_change",
        first["msg"],
        where=".".join(map(str, first["loc"])) or "body",
        expected="see ChangeBody in /openapi.json",
        action="correct the field",
    )
