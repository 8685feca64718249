"""Where the project lies that a process works in, and what its service writes."""

from __future__ import annotations

import os
from pathlib import Path

PARAMS_VARIABLE = "VISIONLOOP_PARAMS"
"""Environment variable that names another settings file than `params.yaml`."""

STATE_VARIABLE = "VISIONLOOP_STATE"
"""Environment variable that names a folder for the prediction store, images and keys, such as a volume."""


def project_root() -> Path:
    """The folder that relative paths start at: that of the settings file, or the working directory."""
    named = os.environ.get(PARAMS_VARIABLE)
    return Path(named).resolve().parent if named else Path.cwd()


def state_root(root: Path) -> Path:
    """The folder of what the service writes and of its keys: as VISIONLOOP_STATE says, else the project's."""
    return Path(os.environ.get(STATE_VARIABLE, root))


def params_path(root: Path) -> Path:
    """The settings file: as VISIONLOOP_PARAMS says, else the project's `params.yaml`."""
    return Path(os.environ.get(PARAMS_VARIABLE, root / "params.yaml"))
