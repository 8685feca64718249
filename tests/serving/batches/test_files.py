"""The files of a batch are closed, whatever happens to them."""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path

import psutil
import pytest

from tests.serving.conftest import SETTINGS, encoded
from visionloop.serving.batches.archive import Archive
from visionloop.serving.batches.bodies import FormBody


def test_an_archive_that_cannot_be_opened_leaves_no_file_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", encoded())

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(zipfile.ZipFile, "_RealGetContents", fail)
    before = psutil.Process().num_fds()
    with pytest.raises(MemoryError) as caught:
        Archive(tmp_path / "a.zip", False, SETTINGS)
    # Its frames are still there, and with them whatever was not closed.
    assert caught.tb is not None
    assert psutil.Process().num_fds() == before


def test_a_form_that_cannot_be_written_leaves_no_file_open() -> None:
    before = psutil.Process().num_fds()
    body = FormBody(Path("/dev/full"), b"x", SETTINGS)
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    with pytest.raises(OSError, match="No space") as caught, contextlib.closing(body):
        body.feed(head + encoded(300, 300))
    assert caught.tb is not None
    assert psutil.Process().num_fds() == before
