"""A user's checkout on tiny data, and the commands typed in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import yaml

from tests.factory import make_folder_source, make_voc_source

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SAID = "build/first_repro.txt"
"""What the first `dvc repro` printed."""

TINY = {
    "classification": {
        "data": {"source": {"kind": "folder", "name": "tiny"}},
        "model": {"width": 4},
        "training": {"max_epochs": 3, "batch_size": 8},
        "gate": {"floors": {"accuracy": 0.0, "f1_macro": 0.0}, "min_images": 1},
    },
    "detection": {
        "data": {"source": {"kind": "voc", "name": "tiny"}},
        "recipe": {"height": 64, "width": 64},
        "model": {"width": 8, "neck": 32, "head_convs": 1},
        "training": {"max_epochs": 2, "batch_size": 4},
        "gate": {"floors": {"map": 0.99, "map_50": 0.0}, "min_images": 1},
    },
}


def call(folder: Path, *command: str, expect: int | None = 0) -> str:
    """Run a command as a user would; the output must hold no stack trace.

    Args:
        folder: Working directory.
        command: Program and arguments.
        expect: The exit status it must end with; None for any.

    Returns:
        stdout and stderr.
    """
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=560)
    output = done.stdout + done.stderr
    assert expect is None or done.returncode == expect, output
    assert "Traceback" not in output, output
    return output


def make_project(folder: Path) -> Path:
    """A user's checkout with tiny data, in a git repository with one commit."""
    for name in ("conf", "pipelines", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "conf/experiment/tiny.yaml").write_text("# @package _global_\n" + yaml.safe_dump(TINY))
    text = (folder / "conf/config.yaml").read_text()
    (folder / "conf/config.yaml").write_text(text.replace("experiment: null", "experiment: tiny"))
    make_folder_source(folder / "data/classification")
    make_voc_source(folder / "data/detection")
    call(folder, "git", "init", "-q")
    call(folder, "dvc", "init", "-q")
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
    call(folder, sys.executable, "-m", "pipelines.config")
    call(folder, "dvc", "add", "-q", "data")
    call(folder, "git", "add", "--all")
    call(folder, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "start")
    return folder


def copy_project(finished: Path, folder: Path) -> Path:
    """The same project elsewhere; MLflow keeps absolute paths, which have to follow."""
    shutil.copytree(finished, folder, dirs_exist_ok=True, symlinks=True)
    with contextlib.closing(sqlite3.connect(folder / "mlruns/mlflow.db")) as database, database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for _, column, kind, *_ in database.execute(f"PRAGMA table_info({table})").fetchall():
                if kind.startswith(("VARCHAR", "TEXT")):
                    change = f"UPDATE {table} SET {column} = replace({column}, ?, ?) WHERE instr({column}, ?)"
                    database.execute(change, (str(finished), str(folder), str(finished)))
    return folder
