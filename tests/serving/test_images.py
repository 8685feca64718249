"""The keeper of images: what it writes, and what it drops and counts."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prometheus_client import REGISTRY

from tests.serving.conftest import encoded
from visionloop.core import files
from visionloop.serving.images import ImageKeeper
from visionloop.serving.pixels import PixelBudget
from visionloop.serving.settings import ImageStoreSettings, ServingSettings


def dropped(reason: str) -> float:
    return REGISTRY.get_sample_value("visionloop_images_dropped_total", {"reason": reason}) or 0.0


def keeper(root: Path, **options: float) -> ImageKeeper:
    return ImageKeeper(ServingSettings(images=ImageStoreSettings(**options)), root, PixelBudget(1_000_000))  # type: ignore[arg-type]


def test_a_file_is_decoded_again_and_only_its_pixels_are_kept(tmp_path: Path) -> None:
    kept = keeper(tmp_path)
    data = encoded(300, 260, "JPEG") + b"<html><script>alert(1)</script></html>"
    kept.keep("ab" * 32, data)
    kept.keep("cd" * 32, np.full((20, 30, 3), 9, np.uint8))
    kept.close()
    photo, small = kept.path("ab" * 32), kept.path("cd" * 32)
    assert photo is not None and small is not None
    assert (photo.suffix, Image.open(photo).size, small.suffix) == (".jpg", (300, 260), ".png")
    assert b"script" not in photo.read_bytes()
    difference = np.asarray(Image.open(photo), np.int16) - np.asarray(Image.open(io.BytesIO(data)), np.int16)
    assert np.abs(difference).mean() < 4
    assert (np.asarray(Image.open(small)) == 9).all()


def test_what_waits_is_bounded_in_bytes_and_counted_where_it_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, release = threading.Event(), threading.Event()
    write = files.write_bytes

    def slow(path: Path, data: bytes) -> None:
        begun.set()
        assert release.wait(60)
        write(path, data)

    monkeypatch.setattr(files, "write_bytes", slow)
    before = dropped("busy")
    kept = keeper(tmp_path)
    kept.keep("00" * 32, encoded())
    assert begun.wait(60)
    kept.keep("11" * 32, bytes(40_000_000))
    assert not kept.has_room
    kept.keep("22" * 32, bytes(30_000_000))
    assert dropped("busy") == before + 1
    kept.keep("33" * 32, encoded(seed=3))
    release.set()
    kept.close()
    assert kept.path("33" * 32) is not None
    assert kept.path("22" * 32) is None


def test_a_full_folder_and_one_that_cannot_be_written_are_told_apart(tmp_path: Path) -> None:
    before = dropped("full"), dropped("error")
    full = keeper(tmp_path, max_gb=0)
    full.keep("00" * 32, encoded())
    full.close()
    (tmp_path / "mlruns").write_text("a file where a folder belongs")
    blocked = keeper(tmp_path)
    blocked.keep("00" * 32, encoded())
    blocked.keep("11" * 32, b"no image")
    blocked.close()
    assert (dropped("full"), dropped("error")) == (before[0] + 1, before[1] + 2)
