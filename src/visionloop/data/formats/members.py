"""The files of a source by name, alike for a folder, a zip and a tar archive.

Nothing is unpacked under a name that an archive chooses, so no archive can write outside. A compressed
tar is decompressed once into an anonymous temporary file, which makes its members readable in any order.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import tempfile
import threading
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Self

from visionloop.core.errors import DataError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
"""File name endings of the archives that can be a source."""

MAX_MEMBER_BYTES = 1 << 29
"""A single file larger than this is refused (512 MiB)."""

_IGNORED = {"__MACOSX", "Thumbs.db", "desktop.ini"}
_CHUNK = 1 << 20


class Members(ABC):
    """Readable files by POSIX name relative to the source, hidden files and system clutter left out.

    Attributes:
        where: Folder or archive, for errors.
        names: Sorted names of the files.
        folders: Sorted names of the folders, empty ones too where the container records them.
        clutter: Sorted names of the files left out; of folders left out as a whole, none.
    """

    def __init__(self, where: str, names: list[str], folders: set[str], clutter: list[str]) -> None:
        self.where = where
        self.names = sorted(names)
        self.clutter = sorted(clutter)
        parents = {str(parent) for name in names for parent in PurePosixPath(name).parents}
        self.folders = sorted((folders | parents) - {"."})

    @abstractmethod
    def read(self, name: str) -> bytes:
        """A file's bytes. May be called by several threads at once.

        Raises:
            DataError: it cannot be read.
        """

    def close(self) -> None:  # noqa: B027  a folder has nothing to release
        """Release the archive."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_members(path: Path, *, max_unpacked_bytes: int) -> Members:
    """Open a folder or an archive.

    Args:
        path: Folder, or file ending in one of `ARCHIVE_SUFFIXES`.
        max_unpacked_bytes: An archive that holds more is refused.

    Raises:
        DataError: missing, of another kind, damaged, too large, or with unsafe member names or links.
    """
    members = _open(path, max_unpacked_bytes)
    if not members.names:
        members.close()
        raise DataError(
            "the source is empty",
            where=str(path),
            expected="images",
            action="put images there, or correct data.source.path",
        )
    return members


def _open(path: Path, max_unpacked_bytes: int) -> Members:
    if path.is_dir():
        return _Folder(path)
    if not path.exists():
        raise DataError(
            "the source does not exist",
            where=str(path),
            expected="a folder, or an archive ending in " + ", ".join(ARCHIVE_SUFFIXES),
            action="correct the setting data.source.path, or bring the data there (`dvc pull` if data.dvc pins it)",
        )
    name = path.name.lower()
    try:
        if name.endswith(".zip"):
            return _Zip(path, max_unpacked_bytes)
        if name.endswith(ARCHIVE_SUFFIXES):
            return _Tar(path, max_unpacked_bytes)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(str(path), error) from None
    raise DataError(
        "the source is neither a folder nor an archive we read",
        where=str(path),
        expected="a folder, or an archive ending in " + ", ".join(ARCHIVE_SUFFIXES),
        action="unpack it, or pack it as one of these",
    )


class _Folder(Members):
    def __init__(self, root: Path) -> None:
        self._root = root
        names, folders, clutter = [], set(), []
        for path, is_folder in _walk(root, seen=set()):
            name = path.relative_to(root).as_posix()
            if is_folder:
                folders.add(name)
            elif _is_clutter(path.name):
                clutter.append(name)
            else:
                names.append(name)
        super().__init__(str(root), names, folders, clutter)

    def read(self, name: str) -> bytes:
        try:
            return (self._root / name).read_bytes()
        except OSError as error:
            raise DataError(
                f"the file cannot be read ({error.strerror})",
                where=f"{self.where}: {name}",
                expected="a readable file",
                action="check its permissions",
            ) from None


def _walk(folder: Path, seen: set[str]) -> Iterator[tuple[Path, bool]]:
    """Entries below a folder, without folders of clutter. Links are followed, because DVC may place data as links;
    loops are not.
    """
    real = os.path.realpath(folder)
    if real in seen:
        return
    for entry in os.scandir(folder):
        path = Path(entry.path)
        if entry.is_dir():
            if _is_clutter(entry.name):
                continue
            yield path, True
            yield from _walk(path, seen | {real})
        elif entry.is_file():
            yield path, False


class _Zip(Members):
    def __init__(self, path: Path, max_unpacked_bytes: int) -> None:
        self._file = zipfile.ZipFile(path)
        self._lock = threading.Lock()
        names: list[str] = []
        folders: set[str] = set()
        clutter: list[str] = []
        total = 0
        for info in self._file.infolist():
            is_link = (info.external_attr >> 28) == 0xA
            if not _accept(info.filename, str(path), is_link=is_link):
                clutter += [] if info.is_dir() else _lone_clutter(info.filename)
                continue
            if info.is_dir():
                folders.add(info.filename.rstrip("/"))
                continue
            total += _checked_size(info.file_size, info.filename, str(path))
            names.append(info.filename)
        if total > max_unpacked_bytes:
            raise _too_large(str(path), max_unpacked_bytes)
        super().__init__(str(path), names, folders, clutter)

    def read(self, name: str) -> bytes:
        try:
            with self._lock:
                return self._file.read(name)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
            raise _damaged(f"{self.where}: {name}", error) from None

    def close(self) -> None:
        self._file.close()


class _Tar(Members):
    def __init__(self, path: Path, max_unpacked_bytes: int) -> None:
        self._file = self._plain(path, max_unpacked_bytes)
        self._lock = threading.Lock()
        self._places: dict[str, tuple[int, int]] = {}
        folders: set[str] = set()
        clutter: list[str] = []
        try:
            with tarfile.open(fileobj=self._file, mode="r:") as archive:
                while (info := archive.next()) is not None:
                    # tarfile remembers every header otherwise: a kilobyte a file.
                    archive.members.clear()  # type: ignore[attr-defined]
                    name = info.name.removeprefix("./")
                    if name in (".", ""):
                        continue
                    if not _accept(name, str(path), is_link=info.issym() or info.islnk()):
                        clutter += [] if info.isdir() else _lone_clutter(name)
                        continue
                    if info.isdir():
                        folders.add(name)
                    elif info.isfile():
                        self._places[name] = (info.offset_data, _checked_size(info.size, name, str(path)))
        except BaseException:
            self._file.close()
            raise
        super().__init__(str(path), list(self._places), folders, clutter)

    @staticmethod
    def _plain(path: Path, max_unpacked_bytes: int) -> IO[bytes]:
        """The archive without its compression."""
        if path.name.lower().endswith(".tar"):
            return path.open("rb")
        plain = tempfile.TemporaryFile(prefix="visionloop-")  # noqa: SIM115  closed by close()
        size = 0
        try:
            with gzip.open(path, "rb") as compressed:
                while chunk := compressed.read(_CHUNK):
                    size += len(chunk)
                    if size > max_unpacked_bytes:
                        raise _too_large(str(path), max_unpacked_bytes)
                    plain.write(chunk)
        except BaseException:
            plain.close()
            raise
        plain.seek(0)
        return plain

    def read(self, name: str) -> bytes:
        offset, size = self._places[name]
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(size)
        if len(data) != size:
            raise _damaged(f"{self.where}: {name}", EOFError("it ends early"))
        return data

    def close(self) -> None:
        self._file.close()


def _is_clutter(part: str) -> bool:
    return part.startswith(".") or part in _IGNORED


def _lone_clutter(name: str) -> list[str]:
    """The name, if it lies in a folder that counts."""
    return [] if any(_is_clutter(part) for part in name.split("/")[:-1]) else [name]


def _accept(name: str, where: str, *, is_link: bool) -> bool:
    """Whether an archive's member counts; clutter does not.

    Raises:
        DataError: the name leads outside, or the member is a link.
    """
    parts = name.rstrip("/").split("/")
    if name.startswith("/") or "\\" in name or ".." in parts or ":" in parts[0]:
        raise DataError(
            f"the archive holds a member with an unsafe name: {name!r}",
            where=where,
            expected="names relative to the archive, without `..`, `\\` and drive letters",
            action="pack the data anew; do not unpack this archive by other means",
        )
    if any(_is_clutter(part) for part in parts):
        return False
    if is_link:
        raise DataError(
            f"the archive holds a link: {name!r}",
            where=where,
            expected="files and folders only",
            action="pack the data anew with links followed (`tar --dereference --hard-dereference`)",
        )
    return True


def _checked_size(size: int, name: str, where: str) -> int:
    if size > MAX_MEMBER_BYTES:
        raise DataError(
            f"a member of the archive is {size:,} bytes",
            where=f"{where}: {name}",
            expected=f"at most {MAX_MEMBER_BYTES:,} bytes a file",
            action="leave it out of the archive",
        )
    return size


def _too_large(where: str, max_unpacked_bytes: int) -> DataError:
    return DataError(
        f"the archive unpacks to more than {max_unpacked_bytes / 1e9:g} GB",
        where=where,
        expected="at most data.source.max_unpacked_gb",
        action="raise that setting if the archive can be trusted, or unpack it into a folder yourself",
    )


def _damaged(where: str, error: BaseException) -> DataError:
    return DataError(
        f"the archive is damaged ({error})",
        where=where,
        expected="a whole archive of the kind its name says",
        action="fetch it again and compare its checksum",
    )
