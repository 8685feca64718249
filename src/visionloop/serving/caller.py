"""Who asks: what a request, or a socket, says of its sender."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import HTTPConnection


class Caller(NamedTuple):
    """Whose request it is, as logs and the prediction store name it.

    Attributes:
        request_id: As in the header X-Request-ID.
        key_id: Of the API key; empty without keys.
    """

    request_id: str
    key_id: str


def caller_of(connection: HTTPConnection) -> Caller:
    """As the guard has marked the connection; both empty where no guard stands before us."""
    state = connection.scope.get("state", {})
    return Caller(state.get("request_id", ""), state.get("key_id", ""))


def session_of(connection: HTTPConnection) -> str:
    """By which a canary keeps its clients: a session that names itself, else a key, else an address."""
    named = connection.headers.get("x-session-id")
    address = connection.client.host if connection.client else ""
    return named or caller_of(connection).key_id or address
