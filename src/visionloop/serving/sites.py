"""Under which names the service is asked, and from which sites' pages: the headers Host and Origin."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping

from visionloop.core.errors import ConfigError
from visionloop.serving.dress import Headers
from visionloop.serving.problems import Problem

PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, Prediction-Key, X-API-Key, X-Request-ID"),
    (b"access-control-max-age", b"600"),
]
"""What a page of an allowed site may send."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_][a-z0-9_.-]*)(?::[0-9]*)?")
_HOST_RULE = re.compile(r"(?:\*\.)?[a-z0-9_][a-z0-9_.-]*|\[[0-9a-f:.]+\]")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s*]+")
_REMEMBERED = 256
"""Hosts whose answer is remembered: there are few, and they come with every request."""


class Hosts:
    """The names that the service answers under.

    Args:
        rules: As in `serving.hosts`.

    Raises:
        ConfigError: one can match nothing.
    """

    def __init__(self, rules: Iterable[str]) -> None:
        checked = [_host_rule(text) for text in rules]
        self._any = "*" in checked
        self._names = frozenset(checked)
        self._domains = tuple(rule[1:] for rule in checked if rule.startswith("*."))
        self._remembered = functools.lru_cache(_REMEMBERED)(self._is_answered)

    def require(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Check a request's headers.

        Raises:
            Problem: 400, it has no Host, several, or one that is not answered.
        """
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1:
            raise _host_problem(f"the request has {len(hosts) or 'no'} Host header{'s' if hosts else ''}")
        if not self._remembered(hosts[0]):
            raise _host_problem(f"the host {hosts[0].decode('latin-1').lower()[:100]!r} is not answered here")

    def _is_answered(self, value: bytes) -> bool:
        match = _HOST.fullmatch(value.decode("latin-1").lower())
        host = match[1] if match else ""
        return bool(host) and (self._any or host in self._names or host.endswith(self._domains))


class Origins:
    """The sites whose pages may ask, and read what they are answered.

    Args:
        allowed: As in `serving.origins`.

    Raises:
        ConfigError: one can match no page.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(_origin(text) for text in allowed)

    def __bool__(self) -> bool:
        return bool(self._allowed)

    def cors(self, origin: bytes | None) -> Headers:
        """`Vary`, and the permission where the origin is an allowed one."""
        vary = [(b"vary", b"Origin")]
        if origin is None or not self._allows(origin):
            return vary
        return [
            *vary,
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"Retry-After, X-Request-ID"),
        ]

    def require_own(self, headers: Mapping[bytes, bytes]) -> None:
        """Check that no page of another site asks: without keys, any page in a browser here could use the service.

        Raises:
            Problem: 403, one does.
        """
        origin = headers.get(b"origin")
        if origin is None or self._allows(origin) or origin.partition(b"://")[2] == headers.get(b"host", b""):
            return
        raise Problem(
            403,
            "foreign_origin",
            "a page of another site asks, and no key is required here",
            where="header Origin",
            expected="no Origin, this service's own, or one of the setting serving.origins",
            action="add the page's origin to serving.origins, or require keys",
        )

    def _allows(self, origin: bytes) -> bool:
        return "*" in self._allowed or origin.decode("latin-1") in self._allowed


def _host_rule(text: str) -> str:
    rule = text.lower()
    if rule == "*" or _HOST_RULE.fullmatch(rule):
        return rule
    raise ConfigError(
        f"the host {text!r} can match no Host header",
        where="serving.hosts",
        expected="a name or address without port (IPv6 in brackets), `*.example.org` for a domain's, or `*` for all",
        action="correct the entry",
    )


def _origin(text: str) -> str:
    origin = text.lower()
    if origin == "*" or _ORIGIN.fullmatch(origin):
        return origin
    raise ConfigError(
        f"the origin {text!r} can match no page",
        where="serving.origins",
        expected="scheme, host and port as browsers send them, such as `https://app.example.org`, or `*` for all",
        action="correct the entry; an origin has no path, and no slash at its end",
    )


def _host_problem(what: str) -> Problem:
    return Problem(
        400,
        "host_not_allowed",
        what,
        where="header Host",
        expected="one Host header with a name of the setting serving.hosts",
        action="ask under an allowed name, or have the operator add this one to serving.hosts",
    )
