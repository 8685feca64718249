"""The machine: room on the disk."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

from visionloop.core.errors import VisionloopError
from visionloop.monitoring.alerts.observations import Observation
from visionloop.monitoring.alerts.settings import RuleSettings


class DiskSource:
    """`disk_free`: the share of the file system under `folder` that this user may still fill, 0 to 1."""

    signals = frozenset({"disk_free"})

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def refresh(self, now: datetime) -> None:
        """Nothing to prepare."""

    def observe(self, rule: RuleSettings, now: datetime) -> list[Observation]:  # noqa: ARG002
        """As `Source`."""
        try:
            usage = shutil.disk_usage(self._folder)
        except OSError as error:
            raise VisionloopError(
                f"the room on the disk cannot be told ({error.strerror})",
                where="the state folder",
                expected="a folder that exists",
                action="run from the project's folder, or correct VISIONLOOP_STATE",
            ) from None
        share = usage.free / usage.total if usage.total else 0.0
        gigabytes = (usage.free / 1e9, usage.total / 1e9)
        text = f"{share:.1%} of the disk is free ({gigabytes[0]:,.1f} of {gigabytes[1]:,.0f} GB)"
        return [Observation(value=share, text=text)]
