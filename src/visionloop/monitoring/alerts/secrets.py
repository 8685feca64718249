"""Secrets: read from where the settings point, and taken out of what is shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, unquote

from pydantic import SecretStr

from visionloop.core.errors import ConfigError

_SHORTEST = 4
"""Parts of a URL below so many characters are no secrets; taking them out would leave nothing to read."""
_HIDDEN = "***"


def read_secret(value: SecretStr, *, where: str, root: Path, environment: Mapping[str, str] = os.environ) -> str:
    """What `env:NAME` and `file:PATH` point at, or the value itself.

    Args:
        value: From the settings.
        where: The setting's dotted key, for the error.
        root: Where a relative path starts.
        environment: Variables.

    Raises:
        ConfigError: the variable is not set, or the file cannot be read; never repeats the secret.
    """
    text = value.get_secret_value()
    kind, _, name = text.partition(":")
    if kind == "env":
        found = environment.get(name, "")
        problem = f"the environment variable {name} is not set"
    elif kind == "file":
        try:
            found = (root / name).read_text()
        except (OSError, UnicodeDecodeError):
            found = ""
        problem = f"the file {Path(name).name} cannot be read, or is empty"
    else:
        found, problem = text, "it is empty"
    if not found.strip():
        raise ConfigError(
            problem,
            where=f"setting {where}",
            expected="env:NAME of a variable that is set, file:PATH of a file with one line, or the value",
            action="set the variable or write the file, or correct the setting",
        )
    return found.strip()


def redact(text: str, urls: Iterable[str]) -> str:
    """`text` without any part of `urls` that may be a secret: which part is one depends on the service."""
    for secret in sorted({part for url in urls for part in _parts(url)}, key=len, reverse=True):
        text = re.sub(re.escape(secret), _HIDDEN, text, flags=re.IGNORECASE)
    return text


def _parts(url: str) -> set[str]:
    rest = url.partition("://")[2] or url
    parts = {url, rest, *re.split(r"[/:@?&=#,;+]", rest), *re.split(r"[/?&#]", rest)}
    parts |= {unquote(part) for part in parts} | {quote(part, safe="") for part in parts}
    return {part for part in parts if len(part) >= _SHORTEST}
