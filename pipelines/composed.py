"""Whether params.yaml still is what conf/ says: `dvc exp run -S` changes it before any stage may say no."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from visionloop.config import compose, to_yaml
from visionloop.core.errors import ConfigError
from visionloop.core.files import sha256_bytes, write_text

RECORD = Path("build/params.sha256")
"""Hash of the params.yaml that conf/ gave last; composing anew in every stage would cost a second each."""

_SHOWN = 40
"""Changed lines that are shown; beyond, their number."""


def by_experiment(env: Mapping[str, str] = os.environ) -> bool:
    """Whether DVC runs an experiment: then it has composed params.yaml itself, with the overrides of `-S`."""
    return "DVC_EXP_NAME" in env


def record(text: str) -> None:
    """Keep that this text of params.yaml came from conf/."""
    write_text(RECORD, sha256_bytes(text.encode()) + "\n")


def require_composed(path: Path) -> None:
    """Refuse a params.yaml that neither conf/ nor the experiment at work composed.

    Raises:
        ConfigError: it holds what an earlier experiment, or somebody's hand, left in it.
    """
    if by_experiment() or not path.is_file() or not Path("conf").is_dir():
        return
    text = path.read_text()
    if RECORD.is_file() and RECORD.read_text().strip() == sha256_bytes(text.encode()):
        return
    found, wanted = _parsed(text), compose(Path("conf"))
    if found == wanted:
        return
    # DVC writes YAML in a way of its own: values are compared, not bytes.
    lines = "\n".join(f"  {line}" for line in changed_lines(to_yaml(wanted), to_yaml(found) if found else text))
    raise ConfigError(
        f"{path.name} is not what conf/ says (`-` conf/, `+` the file):\n{lines}",
        where=str(path),
        expected="what conf/ composes; a `dvc exp run -S` leaves its own settings here, finished or not",
        action="run `python -m pipelines.config`, then this command; or repeat the `dvc exp run -S` to go on with it",
    )


def _parsed(text: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return values if isinstance(values, dict) else {}


def changed_lines(old: str, new: str) -> list[str]:
    """Lines of a difference, `-` before the old and `+` before the new; without what may be secret."""
    changes = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    lines = [line for line in changes if line[:2] not in ("--", "++", "@@")]
    # What follows a scheme may be a password or a token, and this is printed where logs are kept.
    lines = [re.sub(r"(\w+://)\S+", r"\1***", line) for line in lines]
    return lines if len(lines) <= _SHOWN else [f"{len(lines)} lines"]
