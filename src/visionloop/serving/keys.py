"""API keys: random secrets with a role, hashed at rest in one JSON file that the service follows while it runs."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import logging
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

from filelock import FileLock, Timeout
from pydantic import ConfigDict, Field, ValidationError, model_validator

from visionloop.core.errors import BusyError, ConfigError, near_matches
from visionloop.core.settings import Settings
from visionloop.serving.settings import ServingSettings

Role = Literal["predict", "feedback", "admin"]
"""What a key may do; each role includes those before it."""

ROLES: tuple[Role, ...] = get_args(Role)

_log = logging.getLogger(__name__)

_MAX_NAME = 64
_LOCK_WAIT_S = 10.0
_LOOK_S = 0.5
_SECRET = re.compile(r"vl_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
# Also what only begins like a secret, so that one mangled by copying is not printed either.
_SECRET_LIKE = re.compile(r"(vl_[0-9a-f]{0,12})\S*")
_NO_DIGEST = "0" * 64


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept; its secret is not part of it."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}\z")]
    """Twelve hexadecimal digits; part of the secret and fit for logs."""
    name: Annotated[str, Field(min_length=1, max_length=_MAX_NAME)]
    """Who holds it, unique in its file."""
    role: Role
    """What it may do."""
    created: str
    """When it was made: ISO 8601, UTC."""
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}\z")] = field(repr=False)
    """Hex SHA-256 of the secret."""

    def may(self, role: Role) -> bool:
        """Whether this key's role includes `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)


class _KeyFile(Settings):
    version: Literal[1] = 1
    keys: tuple[ApiKey, ...] = ()

    @model_validator(mode="after")
    def _are_unique(self) -> _KeyFile:
        for attribute in ("id", "name"):
            if len({getattr(key, attribute) for key in self.keys}) < len(self.keys):
                raise ValueError(f"two keys have the same {attribute}")
        return self


def create_key(path: Path, name: str, role: Role, now: datetime) -> tuple[ApiKey, str]:
    """Make a key and add it to the file, which is created when it is missing.

    Args:
        path: The key file.
        name: Who will hold the key: unique, printable, at most 64 characters.
        role: What it may do.
        now: Time of creation, with a time zone.

    Returns:
        The key as kept, and its secret `vl_<id>_<43 url-safe characters>`: it is not stored, so this is
        the only time it can be seen.

    Raises:
        ConfigError: the name or the role is not accepted, or the file is damaged or cannot be written.
        BusyError: another process keeps the file locked.
    """
    assert now.tzinfo is not None, "a time of creation needs a time zone"
    _check_role(role)
    with _locked(path):
        keys = list_keys(path)
        taken = {key.name for key in keys} | {key.id for key in keys}
        _check_name(name, taken, path)
        key_id = secrets.token_hex(6)
        while key_id in taken:
            key_id = secrets.token_hex(6)
        secret = f"vl_{key_id}_{secrets.token_urlsafe(32)}"
        created = now.astimezone(UTC).isoformat(timespec="seconds")
        key = ApiKey(id=key_id, name=name, role=role, created=created, digest=_digest(secret))
        _write(path, [*keys, key])
    return key, secret


def list_keys(path: Path) -> list[ApiKey]:
    """The keys of the file, oldest first; none when there is no file.

    Raises:
        ConfigError: the file is damaged or cannot be read.
    """
    try:
        return list(_KeyFile.model_validate_json(path.read_bytes()).keys)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(
            f"the key file cannot be read: {error.strerror}",
            where=str(path),
            expected="a file that this user may read",
            action="give the file to the user that runs visionloop, with mode 0600",
        ) from None
    except ValidationError as error:
        # Without the values found: somebody may have put a secret into the file by hand.
        problems = [
            ".".join(map(str, item["loc"])) + f": {item['msg']}" if item["loc"] else item["msg"]
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigError(
            "the key file is damaged: " + _redacted("; ".join(problems)),
            where=str(path),
            expected="a file written by `visionloop keys`",
            action="restore it from a backup, or delete it and hand out new keys with `visionloop keys create`",
        ) from None


def revoke_key(path: Path, id_or_name: str) -> ApiKey:
    """Remove a key; services that follow the file refuse it within a second.

    Args:
        path: The key file.
        id_or_name: The key's id or name; a whole secret stands for its id, for a key found where it should not be.

    Returns:
        The key that was removed.

    Raises:
        ConfigError: no key has this id or name, or the file is damaged or cannot be written.
        BusyError: another process keeps the file locked.
    """
    match = _SECRET.fullmatch(id_or_name)
    wanted = match[1] if match else id_or_name
    with _locked(path):
        keys = list_keys(path)
        key = next((key for key in keys if wanted in (key.id, key.name)), None)
        if key is None:
            known = near_matches(wanted, [key.name for key in keys] + [key.id for key in keys])
            raise ConfigError(
                f"no key has the id or name {_redacted(wanted)!r}",
                where=str(path),
                expected=known if keys else "a key; there is none yet",
                action="look at `visionloop keys list`; nothing has been changed",
            )
        _write(path, [other for other in keys if other is not key])
    return key


class KeyRing:
    """The keys of a file as the service sees them: reloaded when the file changes, empty when it is damaged.

    Args:
        path: The key file.
        clock: Seconds of a monotonic clock; the file is looked at no more often than every half second.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._keys: dict[str, ApiKey] = {}
        self._seen: tuple[int, ...] | None = None
        self._next_look = float("-inf")
        self._complaint = ""

    def find(self, secret: str | None) -> ApiKey | None:
        """The key that `secret` belongs to, or None."""
        self._follow()
        match = _SECRET.fullmatch(secret) if secret is not None else None
        if secret is None or match is None:
            return None
        key = self._keys.get(match[1])
        # An unknown id costs a comparison too, so that time does not tell which ids exist.
        equal = hmac.compare_digest(_digest(secret), _NO_DIGEST if key is None else key.digest)
        return key if equal else None

    def _follow(self) -> None:
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_S
        try:
            # Before reading: should the file change in between, the next look sees another state and reads again.
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return
            self._keys = {key.id: key for key in list_keys(self.path)}
            self._seen, self._complaint = seen, ""
        except (OSError, ConfigError) as error:
            self._keys, self._seen = {}, None
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.error("no API key is valid until the key file is in order: %s", error)


def keys_needed(settings: ServingSettings, host: str) -> bool:
    """Whether a service that listens on `host` asks for keys: as set, else unless `host` is loopback."""
    if settings.keys.required is not None:
        return settings.keys.required
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() != "localhost"


def require_keys(ring: KeyRing) -> None:
    """Refuse to start a service that nobody could ask.

    Raises:
        ConfigError: the key file has no key, or is damaged.
    """
    if not list_keys(ring.path):
        raise ConfigError(
            "the service asks for API keys, and there is none",
            where=str(ring.path),
            expected="at least one key",
            action="make one with `visionloop keys create`, or set serving.keys.required to false",
        )


def _digest(secret: str) -> str:
    # Plain SHA-256, no slow password hash: a secret is 32 random bytes, so there is no dictionary to try.
    return hashlib.sha256(secret.encode()).hexdigest()


def _redacted(text: str) -> str:
    return _SECRET_LIKE.sub(r"\1...", text)


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise ConfigError(
            f"there is no role {_redacted(role)!r}",
            where="role of the new key",
            expected=near_matches(role, ROLES),
            action="choose the lowest role that does; nothing has been written",
        )


def _check_name(name: str, taken: set[str], path: Path) -> None:
    shown = repr(_redacted(name))
    if name in taken:
        wrong = f"the name {shown} is taken"
    elif not name or name != name.strip():
        wrong = f"the name {shown} is empty or has white space around it"
    elif len(name) > _MAX_NAME:
        wrong = f"the name has {len(name)} characters"
    elif not name.isprintable():
        wrong = f"the name {shown} has characters that cannot be printed"
    elif _SECRET.search(name):
        wrong = f"the name {shown} has a secret in it"
    else:
        return
    raise ConfigError(
        wrong,
        where=f"name of the new key in {path}",
        expected=f"1 to {_MAX_NAME} printable characters that no other key has as name or id",
        action="choose another name, such as that of the program that will hold the key; nothing has been written",
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_WAIT_S):
            yield
    except Timeout:
        raise BusyError(
            "another process is changing the keys",
            where=str(path),
            expected=f"the file to be free within {_LOCK_WAIT_S:g} s",
            action="try again; nothing has been written",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the key file cannot be written: {error.strerror}",
            where=str(path),
            expected="a folder that this user may write to",
            action="run this as the user that runs visionloop, or correct serving.keys.file",
        ) from None


def _write(path: Path, keys: list[ApiKey]) -> None:
    # Not core.files.write_bytes: mkstemp gives mode 0600 from the first byte on, and the rename keeps it.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_KeyFile(keys=tuple(keys)).model_dump_json(indent=2).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
