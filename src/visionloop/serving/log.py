"""The log: one line of JSON a request, with ids and never with images or keys."""

from __future__ import annotations

import logging

import orjson

_log = logging.getLogger(__name__)


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
