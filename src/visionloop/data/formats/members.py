"""A folder or an archive as named members, read without unpacking."""

from __future__ import annotations

import contextlib
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from visionloop.core.errors import DataError

MAX_MEMBER_BYTES = 200 * 1024 * 1024
"""A larger member is refused: it is no image and no annotation."""


@dataclass(frozen=True, slots=True)
class Members:
    """The files of a source.

    Attributes:
        where: The folder or archive, for errors.
        names: POSIX names in sorted order (archives: in the order they are stored, to read them in one pass).
        read: Gives a member's bytes by name.
    """

    where: str
    names: list[str]
    read: Callable[[str], bytes]


@contextlib.contextmanager
def open_members(path: Path) -> Iterator[Members]:
    """Open a folder, .zip, .tar, .tar.gz or .tgz.

    Links and names that lead out of the source are left out; hidden files too.

    Raises:
        DataError: it does not exist, is empty, or is no archive.
    """
    with contextlib.ExitStack() as stack:
        members = _open(path, stack)
        if not members.names:
            raise DataError(
                "the source is empty",
                where=str(path),
                expected="images",
                action="put images there, or correct data.source.path",
            )
        yield members


def _open(path: Path, stack: contextlib.ExitStack) -> Members:
    if path.is_dir():
        files = (file for file in path.rglob("*") if file.is_file() and not file.is_symlink())
        names = sorted(file.relative_to(path).as_posix() for file in files)
        return Members(str(path), [n for n in names if _is_plain(n)], lambda name: _capped(path / name))
    if not path.exists():
        raise DataError(
            "the source does not exist",
            where=str(path),
            expected="a folder or an archive",
            action="correct data.source.path, or put the images there",
        )
    try:
        if zipfile.is_zipfile(path):
            return _open_zip(path, stack)
        if tarfile.is_tarfile(path):
            return _open_tar(path, stack)
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError) as error:
        raise DataError(
            f"the archive is damaged: {error}", where=str(path), expected="a whole archive", action="fetch it again"
        ) from None
    raise DataError(
        "not a folder and not an archive",
        where=str(path),
        expected="a folder, .zip, .tar, .tar.gz or .tgz",
        action="correct data.source.path",
    )


def _open_zip(path: Path, stack: contextlib.ExitStack) -> Members:
    archive = stack.enter_context(zipfile.ZipFile(path))
    infos = {info.filename: info for info in archive.infolist() if not info.is_dir() and _is_plain(info.filename)}

    def read(name: str) -> bytes:
        _check_size(infos[name].file_size, f"{path}:{name}")
        return archive.read(name)

    return Members(str(path), sorted(infos), read)


def _open_tar(path: Path, stack: contextlib.ExitStack) -> Members:
    archive: tarfile.TarFile = stack.enter_context(tarfile.TarFile.open(path))
    # A compressed tar cannot be read at random without decompressing from its start each time, so its
    # members are spooled once into a temporary folder that goes with the source.
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="visionloop-")))
    names = []
    for info in archive:
        if not info.isfile() or not _is_plain(info.name):
            continue
        _check_size(info.size, f"{path}:{info.name}")
        source = archive.extractfile(info)
        assert source is not None
        target = folder / info.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read())
        names.append(PurePosixPath(info.name).as_posix())
    return Members(str(path), sorted(set(names)), lambda name: (folder / name).read_bytes())


def _is_plain(name: str) -> bool:
    """Neither hidden nor leading out of the source."""
    path = PurePosixPath(name)
    return not path.is_absolute() and not any(part == ".." or part.startswith((".", "__MACOSX")) for part in path.parts)


def _check_size(size: int, where: str) -> None:
    if size > MAX_MEMBER_BYTES:
        raise DataError(
            f"a file of {size:,} bytes",
            where=where,
            expected=f"at most {MAX_MEMBER_BYTES:,} bytes",
            action="remove it from the source",
        )


def _capped(path: Path) -> bytes:
    _check_size(path.stat().st_size, str(path))
    return path.read_bytes()
