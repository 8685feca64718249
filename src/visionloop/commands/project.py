"""The project in the working directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visionloop.registry.settings import RegistrySettings


def registry() -> tuple[RegistrySettings, Path]:
    """Its registry's settings, and its root."""
    from visionloop.config import load_config

    root = Path.cwd()
    return load_config(root=root).general.registry, root
