"""Settings: frozen, unknown keys forbidden, every mistake reported at once with its dotted key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from visionloop.core.errors import ConfigError, near_matches


class Settings(BaseModel):
    """Base of every component's settings.

    Values are strict (no string for a number) but come through JSON, so that a YAML list may be a
    tuple and an integer may stand for a float.

    What is written below a field is for readers and `pipelines.reference`. Pydantic (`use_attribute_docstrings`) would
    look for it in the source at every start of a process: a third of what importing the service's own code took.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


S = TypeVar("S", bound=Settings)


def parse_settings(cls: type[S], values: Mapping[str, Any], *, where: str, prefix: str = "") -> S:
    """Validate plain values (as YAML or JSON gives them) into `cls`.

    Args:
        cls: The settings class.
        values: JSON-like mapping.
        where: The file or command the values come from, for the error.
        prefix: Dotted key of this block inside the whole configuration, for the error.

    Raises:
        ConfigError: lists every unknown, missing or ill-typed key at once.
    """
    problems, parsed = collect_problems(cls, values, prefix=prefix)
    if parsed is None:
        raise settings_error(problems, where=where)
    return parsed


def load_block(cls: type[S], path: Path, block: str) -> S:
    """One block of a composed `params.yaml`; the defaults where there is no such file or block.

    Raises:
        ConfigError: lists everything wrong with it.
    """
    import yaml

    if not path.is_file():
        return cls()
    try:
        # libyaml's loader, where PyYAML has it, is ten times as fast; each process of the service reads its settings.
        values = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ConfigError(
            f"not YAML: {str(error).splitlines()[0]}",
            where=str(path),
            expected="the composed settings",
            action="run `python -m pipelines.config`",
        ) from None
    found = values.get(block, {}) if isinstance(values, dict) else {}
    return parse_settings(cls, found or {}, where=str(path), prefix=block)


def settings_error(problems: list[str], *, where: str, generated: bool = False) -> ConfigError:
    """One error for all `problems` (lines such as `training.lr: must be greater than 0, found -1`).

    Args:
        problems: The lines.
        where: The file or command the values come from.
        generated: Whether that is a params.yaml, which nobody should mend by hand.
    """
    count = len(problems)
    todo = "run `python -m pipelines.config`, which composes this file anew from conf/" if generated else ""
    noun = "setting is" if count == 1 else "settings are"
    return ConfigError(
        f"{count} {noun} wrong:\n" + "\n".join(f"  - {line}" for line in problems),
        where=where,
        expected="the keys, types and ranges of docs/configuration.md",
        action=todo or "correct the keys above; nothing has been run or written",
    )


def collect_problems(cls: type[S], values: Mapping[str, Any], *, prefix: str = "") -> tuple[list[str], S | None]:
    """As `parse_settings`, but returns the problem lines, so that several blocks can be reported together."""
    try:
        payload = json.dumps(values)
    except (TypeError, ValueError) as error:
        return [f"{prefix or '(root)'}: {error}"], None
    try:
        return [], cls.model_validate_json(payload)
    except ValidationError as error:
        lines = [_problem(cls, dict(item), prefix) for item in error.errors(include_url=False)]
        return lines, None


def _problem(cls: type[BaseModel], item: dict[str, Any], prefix: str) -> str:
    location = [str(part) for part in item["loc"]]
    key = ".".join(([prefix] if prefix else []) + location) or "(root)"
    if item["type"] == "extra_forbidden":
        owner = _owner(cls, location[:-1])
        known = list(owner.model_fields) if owner is not None else []
        return f"{key}: unknown key; {near_matches(location[-1], known)}"
    if item["type"] == "missing":
        return f"{key}: missing"
    found = item.get("input")
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if not message.startswith(("must", "expected")):
        message = f"must be {message}"
    # What follows a scheme may be a password or a token.
    shown = re.sub(r"(\w+://)[^\s'\"]+", r"\1***", repr(found))
    return f"{key}: {message}, found {shown} ({type(found).__name__})"


def _owner(cls: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    """The settings class that owns the key at `path`, or None where the path leaves plain nesting."""
    owner: type[BaseModel] = cls
    for part in path:
        field = owner.model_fields.get(part)
        annotation = field.annotation if field is not None else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return None
        owner = annotation
    return owner
