"""What a refusal is on both ends: the service raises it, and its client."""

from __future__ import annotations

from visionloop.core.errors import VisionloopError


class Refusal(VisionloopError):
    """A request that is refused.

    Attributes:
        status: HTTP status.
        code: Stable machine-readable reason, such as `body_too_large`.
        retry_after: Seconds after which trying again makes sense, or None; sent as `Retry-After`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        what: str,
        *,
        where: str,
        expected: str,
        action: str,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what, where=where, expected=expected, action=action)
        self.status = status
        self.code = code
        self.retry_after = retry_after
