"""The embedded digits into data/, after comparing them with the hash that data.dvc pins."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import yaml

from pipelines.stage import guarded
from visionloop.core import files
from visionloop.core.errors import DataError

DATA = Path("data")
PIN = Path("data.dvc")


def main() -> None:
    """Write data/ if there is none; what is there is the user's and is left alone."""
    if DATA.exists() and any(DATA.iterdir()):
        print("data: already there, left alone")
        return
    from visionloop.data.digits import generate

    print("data: writing the embedded digits (scikit-learn, CC BY 4.0)", flush=True)
    with files.new_folder(DATA) as folder:
        generate(folder)
        _compare(folder)
    print(f"data: {sum(path.is_file() for path in DATA.rglob('*')):,} files, as {PIN} pins them")


def _compare(folder: Path) -> None:
    """`dvc repro` would rewrite data.dvc without a word, so the generator looks itself."""
    if not PIN.exists():
        return
    pinned = yaml.safe_load(PIN.read_text())["outs"][0]["md5"]
    found = dvc_hash(folder)
    if found != pinned:
        raise DataError(
            f"the digits made here have the hash {found}",
            where=str(PIN),
            expected=pinned,
            action="install the locked versions (`make install`); or, if data.dvc pins data of your own, "
            "fetch it with `dvc pull`",
        )


def dvc_hash(folder: Path) -> str:
    """DVC's hash of a folder: the MD5 of the JSON list of its files' MD5s, in order of their names."""
    entries = [
        {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "relpath": path.relative_to(folder).as_posix()}
        for path in folder.rglob("*")
        if path.is_file()
    ]
    entries.sort(key=lambda entry: tuple(entry["relpath"].split("/")))
    return hashlib.md5(json.dumps(entries).encode()).hexdigest() + ".dir"


if __name__ == "__main__":
    sys.exit(guarded(main))
