"""What the client raises: the service's problem documents as errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from visionloop.serving.refused import Refusal


class ApiError(Refusal):
    """The service refused, or did not answer: then the status is 0 and the code `unreachable`.

    Where the answer was no problem document, such as a proxy's, the code is `unknown`.

    Attributes:
        request_id: By which the service's log knows the request, or None.
    """

    request_id: str | None = None


def unreachable(url: str, error: Exception) -> ApiError:
    """The error for no answer from `url`."""
    return ApiError(
        0,
        "unreachable",
        f"no answer ({str(error) or type(error).__name__})",
        where=url,
        expected="a visionloop service",
        action="start it with `visionloop serve`, or correct the address",
    )


def read_refusal(response: httpx.Response) -> None:
    """A hook that reads refusals at once: that of a WebSocket's handshake could not be read later."""
    if response.is_error:
        response.read()


def refused(response: httpx.Response) -> ApiError:
    """The error for an answer of 400 or above, whose body has been read."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    retry = response.headers.get("retry-after", "")
    return from_problem(
        problem if isinstance(problem, dict) else {},
        status=response.status_code,
        what=response.reason_phrase,
        where=str(response.request.url),
        retry_after=float(retry) if retry.isdigit() else None,
        request_id=response.headers.get("x-request-id"),
    )


def from_problem(
    problem: Mapping[str, Any],
    *,
    status: int,
    what: str,
    where: str,
    retry_after: float | None = None,
    request_id: str | None = None,
) -> ApiError:
    """The error of a problem document; the rest stands in for what it does not say."""
    error = ApiError(
        problem.get("status", status),
        problem.get("code", "unknown"),
        problem.get("detail", what),
        where=problem.get("where", where),
        expected=problem.get("expected", "an answer"),
        action=problem.get("action", "see the service's log"),
        retry_after=retry_after,
    )
    error.request_id = request_id
    return error
