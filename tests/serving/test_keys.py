from __future__ import annotations

import json
import logging
import multiprocessing
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from visionloop.core.errors import ConfigError
from visionloop.serving.keys import ROLES, ApiKey, KeyRing, Role, create_key, list_keys, revoke_key

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mlruns" / "keys.json"


def test_a_secret_is_shown_once_and_kept_only_as_digest(path: Path) -> None:
    key, secret = create_key(path, "line 3 camera", "predict", NOW)
    assert re.fullmatch(rf"vl_{key.id}_[A-Za-z0-9_-]{{43}}", secret)
    assert (key.name, key.role, key.created) == ("line 3 camera", "predict", "2026-03-01T12:00:00+00:00")
    assert list_keys(path) == [key]
    text = path.read_text()
    assert key.digest in text
    assert secret[16:] not in text
    assert key.digest not in repr(key)


def test_creation_time_is_kept_in_utc(path: Path) -> None:
    local = datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    assert create_key(path, "a", "predict", local)[0].created == "2026-03-01T10:00:00+00:00"


def test_the_file_is_its_owners_only_whatever_it_was_before(path: Path) -> None:
    create_key(path, "a", "predict", NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    create_key(path, "b", "predict", NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_temporary_stays_and_a_failed_write_keeps_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = create_key(path, "a", "predict", NOW)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ConfigError, match="cannot be written: No space left"):
            create_key(path, "b", "predict", NOW)
    assert list_keys(path) == [key]
    assert not list(path.parent.glob("*.tmp")) and not list(path.parent.glob(".*.tmp"))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("", "empty"),
        ("  ", "empty"),
        (" a", "white space around"),
        ("a" * 65, "65 characters"),
        ("a\nb", "cannot be printed"),
        ("a\x1b[0m", "cannot be printed"),
        ("taken", "is taken"),
    ],
)
def test_a_name_that_is_not_accepted(path: Path, name: str, wrong: str) -> None:
    create_key(path, "taken", "predict", NOW)
    with pytest.raises(ConfigError, match=wrong) as caught:
        create_key(path, name, "predict", NOW)
    assert caught.value.where.endswith(str(path))
    assert "1 to 64 printable characters" in caught.value.expected
    assert "nothing has been written" in caught.value.action
    assert [key.name for key in list_keys(path)] == ["taken"]


def test_the_id_of_a_key_is_no_name_for_another(path: Path) -> None:
    key, _ = create_key(path, "a", "predict", NOW)
    with pytest.raises(ConfigError, match="is taken"):
        create_key(path, key.id, "predict", NOW)


def test_the_longest_name_and_letters_of_any_language_are_accepted(path: Path) -> None:
    for name in ("a" * 64, "Прёмка 検査 é"):
        create_key(path, name, "predict", NOW)
    assert [key.name for key in list_keys(path)] == ["a" * 64, "Прёмка 検査 é"]


def test_an_unknown_role_is_refused_with_the_known_ones(path: Path) -> None:
    with pytest.raises(ConfigError, match="no role 'root'") as caught:
        create_key(path, "a", "root", NOW)  # type: ignore[arg-type]
    assert all(role in caught.value.expected for role in ROLES)
    assert not path.exists()


@pytest.mark.parametrize(
    ("own", "may"),
    [("predict", ["predict"]), ("feedback", ["predict", "feedback"]), ("admin", ["predict", "feedback", "admin"])],
)
def test_a_role_includes_those_before_it(path: Path, own: Role, may: list[Role]) -> None:
    key, _ = create_key(path, "a", own, NOW)
    assert [role for role in ROLES if key.may(role)] == may


def test_revoking_by_id_by_name_and_by_a_leaked_secret(path: Path) -> None:
    made = [create_key(path, name, "predict", NOW) for name in "abcd"]
    assert revoke_key(path, made[0][0].id) == made[0][0]
    assert revoke_key(path, "b") == made[1][0]
    assert revoke_key(path, made[2][1]) == made[2][0]
    assert list_keys(path) == [made[3][0]]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_revoking_an_unknown_key_names_near_ones(path: Path) -> None:
    create_key(path, "camera-north", "predict", NOW)
    with pytest.raises(ConfigError, match="no key has the id or name 'camera-nort'") as caught:
        revoke_key(path, "camera-nort")
    assert caught.value.expected == "did you mean camera-north?"
    assert caught.value.where == str(path)
    assert "visionloop keys list" in caught.value.action
    assert len(list_keys(path)) == 1


def test_revoking_without_a_file(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        revoke_key(path, "a")
    assert "none yet" in caught.value.expected
    assert list_keys(path) == []


def test_a_secret_given_as_name_or_id_is_not_printed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key, secret = create_key(path, "a", "predict", NOW)
    revoke_key(path, key.id)
    for call in (
        lambda: revoke_key(path, secret),
        lambda: revoke_key(path, secret[:-1]),
        lambda: revoke_key(path, f" {secret}"),
        lambda: create_key(path, secret, "predict", NOW),
        lambda: create_key(path, f"{secret}\n", "predict", NOW),
        lambda: create_key(path, "b", secret, NOW),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigError) as caught:
            call()
        assert secret[16:-2] not in str(caught.value) + repr(caught.value) + caplog.text


def _valid(**changes: object) -> dict[str, object]:
    key = {"id": "0123456789ab", "name": "a", "role": "predict", "created": "2026-03-01", "digest": "0" * 64}
    return {**key, **changes}


DAMAGED = {
    "empty": b"",
    "cut": b'{"version": 1, "keys": [',
    "bytes": b"\xff\xfe\x00",
    "list": b"[]",
    "version": json.dumps({"version": 2, "keys": []}).encode(),
    "role": json.dumps({"keys": [_valid(role="root")]}).encode(),
    "digest": json.dumps({"keys": [_valid(digest="hunter2")]}).encode(),
    "digest with line": json.dumps({"keys": [_valid(digest="0" * 64 + "\n")]}).encode(),
    "unknown": json.dumps({"keys": [_valid(expires="2026")]}).encode(),
    "same id": json.dumps({"keys": [_valid(), _valid(name="b")]}).encode(),
    "same name": json.dumps({"keys": [_valid(), _valid(id="ba9876543210")]}).encode(),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_refused_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    for call in (
        lambda: list_keys(path),
        lambda: create_key(path, "b", "predict", NOW),
        lambda: revoke_key(path, "a"),
    ):
        with pytest.raises(ConfigError, match="damaged") as caught:
            call()
        assert caught.value.where == str(path)
        assert "hunter2" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_read(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        list_keys(path)


def _create_some(path: Path, prefix: str, together: Barrier) -> None:
    together.wait(60)
    for number in range(8):
        create_key(path, f"{prefix}-{number}", "predict", NOW)


def test_two_processes_that_create_keys_lose_none(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    workers = [context.Process(target=_create_some, args=(path, side, together)) for side in ("left", "right")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert {key.name for key in list_keys(path)} == {f"{side}-{n}" for side in ("left", "right") for n in range(8)}


def test_threads_that_create_one_name_make_one_key(path: Path) -> None:
    def attempt(_: int) -> bool:
        try:
            create_key(path, "same", "predict", NOW)
        except ConfigError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(attempt, range(4))) == [False, False, False, True]
    assert len(list_keys(path)) == 1


def test_the_ring_finds_the_key_of_a_secret(path: Path) -> None:
    made = [create_key(path, name, "predict", NOW) for name in "ab"]
    ring = KeyRing(path)
    assert [ring.find(secret) for _, secret in made] == [key for key, _ in made]


def test_the_ring_knows_no_other_secret(path: Path) -> None:
    (first, secret), (second, _) = [create_key(path, name, "admin", NOW) for name in "ab"]
    tail = secret.removeprefix(f"vl_{first.id}_")
    other = ("A" if tail[0] != "A" else "B") + tail[1:]
    ring = KeyRing(path)
    for wrong in (
        None,
        "",
        "vl",
        first.id,
        first.digest,
        tail,
        f"vl_{first.id}_{other}",
        f"vl_{second.id}_{tail}",
        f"vl_{'0' * 12}_{tail}",
        secret.upper(),
        secret + "\n",
        secret[:-1],
        secret + "A",
        f"vl_{first.id}_{'é' * 43}",
        "v" * 100_000,
    ):
        assert ring.find(wrong) is None


def test_the_ring_follows_the_file_within_half_a_second(path: Path) -> None:
    clock = Clock()
    ring = KeyRing(path, clock)
    key, secret = create_key(path, "a", "predict", NOW)
    assert ring.find(secret) == key
    revoke_key(path, "a")
    clock.now += 0.49
    assert ring.find(secret) == key
    clock.now += 0.02
    assert ring.find(secret) is None
    again, new_secret = create_key(path, "a", "predict", NOW)
    clock.now += 0.51
    assert ring.find(new_secret) == again
    assert ring.find(secret) is None


def test_the_ring_does_not_read_an_unchanged_file_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    ring = KeyRing(path, clock)
    key, secret = create_key(path, "a", "predict", NOW)
    ring.find(secret)

    def read(_: Path) -> bytes:
        raise AssertionError("read again")

    monkeypatch.setattr(Path, "read_bytes", read)
    clock.now += 10
    assert ring.find(secret) == key


@pytest.mark.parametrize("content", [*DAMAGED.values(), None], ids=[*DAMAGED, "missing"])
def test_with_a_damaged_or_missing_file_no_key_is_valid_and_the_log_says_so_once(
    path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    clock = Clock()
    ring = KeyRing(path, clock)
    key, secret = create_key(path, "a", "predict", NOW)
    assert ring.find(secret) == key
    good = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with caplog.at_level(logging.DEBUG):
        for _ in range(5):
            clock.now += 1
            assert ring.find(secret) is None
    assert len(caplog.records) == 1
    assert str(path) in caplog.text
    assert "hunter2" not in caplog.text
    path.write_bytes(good)
    clock.now += 1
    assert ring.find(secret) == key


def test_a_key_is_a_value_that_does_not_change(path: Path) -> None:
    key, _ = create_key(path, "a", "predict", NOW)
    with pytest.raises(AttributeError):
        key.role = "admin"  # type: ignore[misc]
    assert isinstance(key, ApiKey)
