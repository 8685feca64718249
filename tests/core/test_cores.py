from __future__ import annotations

import os
from pathlib import Path

import pytest

from visionloop.core.cores import cpu_quota, usable_cores


def system(root: Path, cgroup: str, **files: str) -> Path:
    """A `/` with these lines in /proc/self/cgroup and these files below /sys/fs/cgroup."""
    for name, text in {"proc/self/cgroup": cgroup, **{f"sys/fs/cgroup/{k}": v for k, v in files.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def v1(folder: str, quota: int) -> dict[str, str]:
    return {f"{folder}/cpu.cfs_quota_us": str(quota), f"{folder}/cpu.cfs_period_us": "100000"}


@pytest.mark.parametrize(
    ("cgroup", "files", "quota"),
    [
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/", {"cpu.max": "garbage"}, None),
        ("0::/", {}, None),
        ("0::/pods/a", {"cpu.max": "max 100000", "pods/cpu.max": "300000 100000", "pods/a/cpu.max": "max 1"}, 3.0),
        ("0::/pods/a", {"pods/cpu.max": "300000 100000", "pods/a/cpu.max": "50000 100000"}, 0.5),
        ("0::/../../elsewhere", {"cpu.max": "200000 100000"}, 2.0),
        ("4:cpu,cpuacct:/docker/1f", v1("cpu,cpuacct", 250000), 2.5),
        ("4:cpu:/", v1("cpu", -1), None),
        ("5:cpuset:/\n4:cpu:/a\n0::/", v1("cpu/a", 75000), 0.75),
        ("4:cpu:/\n0::/", v1("cpu", 400000) | {"unified/cpu.max": "200000 100000"}, 2.0),
    ],
    ids=[
        "v2", "no limit", "garbage", "no file", "a parent's", "the least", "outside", "v1 in docker", "v1 no limit",
        "v1 hybrid", "both",
    ],
)  # fmt: skip
def test_the_quota_of_the_cgroup(tmp_path: Path, cgroup: str, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(system(tmp_path, cgroup, **files)) == quota


def test_cores_are_the_least_of_affinity_and_quota_rounded_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    for quota, cores in ((150_000, 2), (100_000, 1), (20_000, 1), (6_400_000, 4)):
        assert usable_cores(system(tmp_path, "0::/", **{"cpu.max": f"{quota} 100000"})) == cores
    assert usable_cores(tmp_path / "not linux") == 4
