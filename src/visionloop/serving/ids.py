"""Identifiers of requests and answers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

_BYTES = 16
_AT_ONCE = 256


def _blocks() -> Iterator[bytes]:
    while True:
        # Asking the system for random bytes costs the same for one identifier as for many.
        pool = os.urandom(_BYTES * _AT_ONCE)
        yield from (pool[start : start + _BYTES] for start in range(0, len(pool), _BYTES))


_BLOCKS = _blocks()
_LOCK = threading.Lock()


def new_id() -> str:
    """32 hexadecimal digits of 128 bits from the system's generator: neither repeated nor guessed."""
    with _LOCK:
        return next(_BLOCKS).hex()
