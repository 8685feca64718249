"""Sends the messages that wait: at least once each, in order within an incident, with growing pauses."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from visionloop.core.errors import VisionloopError
from visionloop.monitoring.alerts.channels import Channel
from visionloop.monitoring.alerts.settings import OutboxSettings
from visionloop.monitoring.alerts.store import AlertStore, Queued

_log = logging.getLogger(__name__)


class Sender:
    """Sends what is due.

    A message is claimed in the database before it is sent, so that two senders do not both send it. A sender that
    is killed in between leaves it claimed until `send_timeout_s` is over; then it is sent again, with the same id.

    Args:
        store: Where the messages are.
        channels: By name.
        settings: Pauses and limits.
        clock: The time, with a time zone.
        rng: For the jitter.
    """

    def __init__(
        self,
        store: AlertStore,
        channels: Mapping[str, Channel],
        settings: OutboxSettings,
        clock: Callable[[], datetime],
        rng: random.Random | None = None,
    ) -> None:
        self._store, self._channels, self._settings, self._clock = store, channels, settings, clock
        self._rng = rng or random.Random()

    def deliver(self, limit: int = 100) -> list[Queued]:
        """Send what is due now; the messages that were sent.

        Raises:
            StoreError: the database is away; what was being sent is sent again later.
        """
        sent: list[Queued] = []
        horizon_s = max(self._settings.max_wait_s, self._settings.send_timeout_s)
        down: set[str] = set()
        # Sending one may make the incident's next one due.
        while len(sent) < limit:
            due = [queued for queued in self._store.due(self._clock(), horizon_s) if queued.channel not in down]
            if not due:
                break
            for queued in due[: limit - len(sent)]:
                if queued.channel in down:
                    self._give_up(queued, "the channel took nothing for as long as messages are kept")
                    continue
                outcome = self._try(queued)
                if outcome:
                    sent.append(queued)
                elif outcome is None:
                    # Its other messages would wait for the same timeout, one after the other.
                    down.add(queued.channel)
        return sent

    def _try(self, queued: Queued) -> bool | None:
        """True when it was sent, False when somebody else has it, None when the channel did not take it."""
        now = self._clock()
        claimed_until = now + timedelta(seconds=self._settings.send_timeout_s)
        if not self._store.claim(queued, claimed_until):
            return False
        claimed = replace(queued, attempts=queued.attempts + 1)
        error = self._send(claimed)
        now = self._clock()
        if error is None:
            self._store.end(claimed, "sent", "", now)
            return True
        if self._give_up(claimed, error):
            return None
        if claimed.attempts == 1:
            _log.warning("alert channel %s does not take messages, which wait: %s", claimed.channel, error)
        self._store.postpone(claimed, now + timedelta(seconds=self.wait_s(claimed.attempts)), error)
        return None

    def _give_up(self, queued: Queued, error: str) -> bool:
        """Whether the message is too old to go on trying."""
        now = self._clock()
        if now - queued.created_at < timedelta(hours=self._settings.give_up_hours):
            return False
        if self._store.end(queued, "given_up", error, now):
            _log.error(
                "alert message %s for %s is given up after %d tries: %s",
                queued.message.message_id, queued.channel, queued.attempts, error,
            )  # fmt: skip
        return True

    def _send(self, queued: Queued) -> str | None:
        channel = self._channels.get(queued.channel)
        if channel is None:
            return "the settings have no channel of that name"
        try:
            channel.send(queued.message)
        except VisionloopError as error:
            return error.what
        return None

    def wait_s(self, attempts: int) -> float:
        """Seconds until the next try after so many: doubling, between half and the whole of it by chance."""
        # The exponent is bounded: 2.0 ** 2000 overflows.
        full = min(self._settings.max_wait_s, self._settings.first_wait_s * 2.0 ** min(attempts - 1, 30))
        return full * self._rng.uniform(0.5, 1.0)
