"""Files that are whole or absent: temporary name first, rename last; hashes; one lock per workspace."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from visionloop.core.errors import BusyError, DataError

_CHUNK = 1 << 20


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hash_json(value: Any) -> str:
    """Hex SHA-256 of the canonical JSON of `value`: sorted keys, no white space."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def hash_folder(root: Path) -> str:
    """Hex SHA-256 over the sorted relative names and contents of all files under `root`."""
    listing = {path.relative_to(root).as_posix(): sha256_file(path) for path in root.rglob("*") if path.is_file()}
    return hash_json(listing)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that readers see the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Indented JSON, written atomically. NaN and infinity are refused: they are not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise DataError(
            "a file is missing", where=str(path), expected="a JSON file", action="run the stage that writes it"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"not valid JSON: {error}",
            where=str(path),
            expected="a JSON file",
            action="run the stage that writes it again",
        ) from None


@contextlib.contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Build a folder under a temporary name; it replaces `final` only when the block ends without an error.

    Yields:
        The temporary folder, beside `final` (same file system, so that the rename is atomic).
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    for stale in final.parent.glob(f".{final.name}.*.tmp"):
        shutil.rmtree(stale, ignore_errors=True)
    temporary = final.with_name(f".{final.name}.{uuid.uuid4().hex}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        if final.exists():
            old = final.with_name(f".{final.name}.{uuid.uuid4().hex}.tmp")
            final.rename(old)
            temporary.rename(final)
            shutil.rmtree(old)
        else:
            temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def workspace_lock(folder: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold `folder/.lock` so that one pipeline at a time works there.

    Raises:
        BusyError: another process still holds it after `wait_s` seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    owner = folder / ".lock-owner"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        holder = owner.read_text().strip() if owner.exists() else "unknown"
        raise BusyError(
            f"another pipeline is at work here (process {holder})",
            where=str(path),
            expected="one pipeline at a time in one workspace",
            action="wait until it has finished, or give this run another folder with build=<folder>",
        ) from None
    try:
        owner.write_text(f"{os.getpid()}\n")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
