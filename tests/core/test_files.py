from __future__ import annotations

import json
import multiprocessing
import pickle
from pathlib import Path

import pytest

from visionloop.core import files
from visionloop.core.errors import BusyError, DataError, ImageError


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    final = tmp_path / "out"
    with pytest.raises(RuntimeError), files.new_folder(final) as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with files.new_folder(final) as folder:
        (folder / "whole").write_text("1")
    with pytest.raises(RuntimeError), files.new_folder(final) as folder:
        raise RuntimeError
    assert (final / "whole").read_text() == "1"
    with files.new_folder(final) as folder:
        (folder / "newer").write_text("2")
    assert [path.name for path in final.iterdir()] == ["newer"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_json_refuses_nan_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"value": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"value": float("nan")})
    assert json.loads(path.read_text()) == {"value": 1}


def test_damaged_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON") as caught:
        files.read_json(tmp_path / "a.json")
    assert caught.value.where == str(tmp_path / "a.json")


def _hold(folder: Path, ready: multiprocessing.synchronize.Event, done: multiprocessing.synchronize.Event) -> None:
    with files.workspace_lock(folder):
        ready.set()
        done.wait(20)


def test_two_pipelines_in_one_workspace(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready, done))
    holder.start()
    assert ready.wait(20)
    with (
        pytest.raises(BusyError, match=f"another pipeline is at work here \\(process {holder.pid}\\)"),
        files.workspace_lock(tmp_path),
    ):
        pass
    done.set()
    holder.join(20)
    with files.workspace_lock(tmp_path):
        pass


def test_errors_survive_a_worker_process() -> None:
    error = ImageError("what", code="empty", where="a", expected="b", action="c")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.code) == (str(error), "empty")
    busy = BusyError("what", where="a", expected="b", action="c")
    assert str(pickle.loads(pickle.dumps(busy))) == str(busy)


def test_folder_hash_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("1")
    before = files.hash_folder(tmp_path)
    (tmp_path / "a/x").rename(tmp_path / "a/y")
    assert files.hash_folder(tmp_path) != before
