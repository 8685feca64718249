"""How many cores this process may keep busy, in a container too."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")
_V1 = ("cpu", "cpu,cpuacct", "cpuacct,cpu")
"""Names that systems mount version 1's controller under."""


def usable_cores(root: Path = _ROOT) -> int:
    """The least of what the process may run on (its affinity) and its cgroup's quota, rounded up; at least 1.

    The standard library knows the affinity alone, so that a container limited to two of 64 cores would start 64
    threads and be throttled.

    Args:
        root: Folder that stands for `/`, where `proc` and `sys` lie.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(root)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Cores' worth of time that the cgroups of this process grant, or None where they set no limit.

    A limit holds for everything below it, so the least on the way up counts. Both versions are read: a system may
    mount both, and have the controller in either.

    Args:
        root: Folder that stands for `/`.
    """
    return min(_quotas(root), default=None)


def _quotas(root: Path) -> Iterator[float]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if not controllers:
            # In a hybrid system version 2 has a folder of its own.
            for folder in _upwards(own, mounted, mounted / "unified"):
                yield from _read_v2(folder / "cpu.max")
        elif "cpu" in controllers.split(","):
            for folder in _upwards(own, *(mounted / name for name in _V1)):
                yield from _read_v1(folder)


def _upwards(own: str, *mounts: Path) -> Iterator[Path]:
    """The process's own group and those above it. In a container the path may be the host's, and only the top exist."""
    parts = [part for part in PurePosixPath(own).parts if part not in ("/", "..")]
    for mount in mounts:
        for depth in range(len(parts), -1, -1):
            yield mount.joinpath(*parts[:depth])


def _read_v2(path: Path) -> Iterator[float]:
    with contextlib.suppress(OSError, ValueError):  # no file, or `max 100000`: no limit
        quota, period = path.read_text().split()
        if int(quota) > 0 and int(period) > 0:
            yield int(quota) / int(period)


def _read_v1(folder: Path) -> Iterator[float]:
    with contextlib.suppress(OSError, ValueError):
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
        if quota > 0 and period > 0:  # -1: no limit
            yield quota / period
