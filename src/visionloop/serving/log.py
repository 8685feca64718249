"""The log: one JSON object a line on standard error, with ids and never with images or keys."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Literal

import orjson

_log = logging.getLogger(__name__)

LogLevel = Literal["debug", "info", "warning", "error"]


def start_log(level: LogLevel) -> None:
    """Write this process's log, from a level on. Without this, only warnings appear, and in Python's own form."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines())
    logger = logging.getLogger("visionloop")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def log_request(*, status: int, seconds: float | None = None, **facts: str) -> None:
    """Log a request that was answered, or refused.

    Args:
        status: HTTP status.
        seconds: How long the answer took.
        facts: What else is known, such as `request_id`, `method`, `route`.
    """
    level = logging.INFO if status < 500 else logging.WARNING
    if not _log.isEnabledFor(level):
        return
    took = {} if seconds is None else {"ms": round(1000 * seconds, 3)}
    _log.log(level, orjson.dumps({"event": "request", **facts, "status": status, **took}).decode())


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        start = orjson.dumps({"at": at, "level": record.levelname.lower()}).decode()
        message = record.getMessage()
        if record.name == _log.name:
            # A request's line is an object already; parsing it again would cost more than writing it.
            return f"{start[:-1]},{message[1:]}"
        rest = {"event": "log", "logger": record.name, "message": message}
        if record.exc_info:
            rest["trace"] = self.formatException(record.exc_info)
        return f"{start[:-1]},{orjson.dumps(rest, option=orjson.OPT_NON_STR_KEYS).decode()[1:]}"
