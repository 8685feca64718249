"""Whatever the format, the same scenes are the same dataset."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.data.formats.scenes import (
    NAMES,
    WRITERS,
    Scenes,
    content,
    run,
)
from tests.factory import pack
from visionloop.core.errors import DataError


@pytest.mark.parametrize("kind", WRITERS)
def test_the_same_scenes_are_the_same_dataset_in_every_format(tmp_path: Path, scenes: Scenes, kind: str) -> None:
    WRITERS[kind](tmp_path, scenes)
    expected = content(run(tmp_path, "voc", "voc"))
    result = run(tmp_path, kind)
    assert result.findings == []
    assert content(result) == expected
    assert result.dataset.classes == tuple(NAMES)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_folder_and_its_archive_give_the_same_ids(tmp_path: Path, scenes: Scenes, kind: str) -> None:
    WRITERS[kind](tmp_path, scenes)
    pack(tmp_path / "source", tmp_path / "packed.zip")
    first = run(tmp_path, kind)
    ids = [(sample.id, sample.sha256) for sample in first.dataset.iter_samples()]
    assert all(re.fullmatch(r"\w[\w-]*im\d+", name) for name, _ in ids)
    second = run(tmp_path, kind, "packed.zip")
    assert [(sample.id, sample.sha256) for sample in second.dataset.iter_samples()] == ids


@pytest.mark.parametrize("kind", WRITERS)
def test_files_that_look_like_another_kind_are_told(tmp_path: Path, scenes: Scenes, kind: str) -> None:
    WRITERS[kind](tmp_path, scenes)
    for other in {"coco", "yolo", "csv", "voc", "folder"} - {kind}:
        with pytest.raises(DataError) as error:
            run(tmp_path, other)
        assert f"`source: {kind}` in conf/<task>/default.yaml" in error.value.action
