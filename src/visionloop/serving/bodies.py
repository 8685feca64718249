"""How many bytes of request bodies a worker holds at once: while they arrive, and until they are answered."""

from __future__ import annotations

from starlette.requests import Request

from visionloop.serving.refusals import bodies_exhausted

_STATE = "held_body"


class BodyBudget:
    """Bytes of one worker, all counted on its event loop.

    Each body has limits of its own, but hundreds of slow ones at once would still fill the memory.

    Attributes:
        held: Bytes now.
    """

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes`: held at once; a single body may have more, while no other is held."""
        self._max_bytes = max_bytes
        self.held = 0

    def attach(self, request: Request) -> HeldBody:
        """Count a request's body, as it is read, until `HeldBody.give_back` is called."""
        body = HeldBody(self)
        request.scope.setdefault("state", {})[_STATE] = body
        return body

    def _take(self, num_bytes: int, of_these: int) -> None:
        if self.held > of_these and self.held + num_bytes > self._max_bytes:
            raise bodies_exhausted(self.held, self._max_bytes)
        self.held += num_bytes


class HeldBody:
    """What is held of one request's body."""

    def __init__(self, budget: BodyBudget | None) -> None:
        self._budget = budget
        self._held = 0

    def take(self, num_bytes: int) -> None:
        """Count bytes that have arrived.

        Raises:
            Problem: 503, all bodies together have too many.
        """
        if self._budget is not None:
            self._budget._take(num_bytes, self._held)
            self._held += num_bytes

    def give_back(self) -> None:
        """Count them no longer; may be called twice."""
        if self._budget is not None:
            self._budget.held -= self._held
            self._held = 0


def held_body(request: Request) -> HeldBody:
    """A request's, as it was attached; one that counts nothing where no budget was."""
    found = request.scope.get("state", {}).get(_STATE)
    return found if isinstance(found, HeldBody) else HeldBody(None)
