"""Recompose params.yaml, the file DVC watches, from conf/; a no-op inside `dvc exp run`, which has just composed it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import yaml

from pipelines.composed import by_experiment, changed_lines, record
from pipelines.stage import guarded
from visionloop.config import PARAMS, compose, to_yaml, validate
from visionloop.core.errors import ConfigError
from visionloop.core.files import write_text

MARKER = Path("build/config.ok")


def main() -> None:
    """Write params.yaml if conf/ says something else, and show what changed."""
    path = Path(PARAMS)
    old = path.read_text() if path.exists() else ""
    if by_experiment():
        values = yaml.safe_load(old)
        validate(values, root=Path.cwd(), where=str(path), generated=True)
        _require_watched(values)
        line = "composed by dvc exp run"
    else:
        values = compose(Path("conf"))
        validate(values, root=Path.cwd(), where="conf")
        _require_watched(values)
        new = to_yaml(values)
        line = _rewrite(path, old, new)
        record(new)
        if old and "DVC_ROOT" in os.environ and yaml.safe_load(old).get("tasks") != values["tasks"]:
            raise ConfigError(
                "the list of tasks in conf/ has changed",
                where="setting tasks",
                expected="the list DVC read when it started",
                action="run `dvc repro` again; params.yaml is up to date now",
            )
    write_text(MARKER, "ok\n")
    print(f"config: {line}")


def _require_watched(values: dict[str, Any]) -> None:
    """Refuse a source that no stage depends on: after a change of it `dvc repro` would find nothing to do."""
    for task in values["tasks"]:
        path, watched = values[task]["data"]["source"]["path"], Path("data") / task
        place = Path(os.path.relpath(path))
        if place != watched and watched not in place.parents:
            raise ConfigError(
                f"DVC would not notice a change of {path}",
                where=f"setting {task}.data.source.path",
                expected=f"{watched}, or a folder or archive in it",
                action=f"bring the data to {watched} and `dvc add data`; from elsewhere it is read by "
                f"`python -m pipelines.run task={task} source.path={path}`, without DVC",
            )


def _rewrite(path: Path, old: str, new: str) -> str:
    if new == old:
        return "params.yaml is up to date"
    write_text(path, new)
    return "params.yaml recomposed from conf/\n" + "\n".join(f"  {line}" for line in changed_lines(old, new))


if __name__ == "__main__":
    sys.exit(guarded(main))
