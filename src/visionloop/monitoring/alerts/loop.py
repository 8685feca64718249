"""The watch: look, send, wait, for ever; it outlives the service, the database and its own channels."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from visionloop.core.errors import VisionloopError
from visionloop.monitoring.alerts import metrics
from visionloop.monitoring.alerts.channels import Channel
from visionloop.monitoring.alerts.engine import Watcher
from visionloop.monitoring.alerts.messages import Message
from visionloop.monitoring.alerts.outbox import Sender
from visionloop.monitoring.alerts.settings import AlertSettings
from visionloop.monitoring.alerts.store import AlertStore, Look
from visionloop.monitoring.store.errors import StoreError

_log = logging.getLogger(__name__)

_STORE_AWAY_FOR = timedelta(minutes=2)
"""A lock or a restart of the database is over by then."""

Parts = tuple[AlertStore, Watcher, Sender]


class Loop:
    """Looks every `interval_s`.

    Args:
        open_parts: Opens the store, the watcher and the sender; tried again while the store is away.
        settings: The interval.
        channels: For the one message that cannot wait in the store: that the store is away.
        clock: The time, with a time zone.
        stop: Ends the loop after the look under way.
    """

    def __init__(
        self,
        open_parts: Callable[[], Parts],
        settings: AlertSettings,
        channels: Mapping[str, Channel],
        clock: Callable[[], datetime],
        stop: threading.Event,
    ) -> None:
        self._open, self._settings, self._channels = open_parts, settings, channels
        self._clock, self._stop = clock, stop
        self._parts: Parts | None = None
        self._away_since: datetime | None = None
        self._told: set[str] = set()
        self._incident = ""
        self._problems: tuple[str, ...] = ()

    def run(self) -> None:
        """Until `stop` is set."""
        while True:
            self.once()
            if self._stop.wait(self._settings.interval_s):
                break
        if self._parts is not None:
            self._parts[0].close()

    def once(self) -> None:
        """One look, and what is due of the messages; a store that is away is told without it."""
        try:
            if self._parts is None:
                self._parts = self._open()
            store, watcher, sender = self._parts
            report = watcher.check()
            store.add_look(Look(looked_at=report.at, interval_s=self._settings.interval_s))
            self._store_back()
            metrics.show(report, store.counts())
            sender.deliver()
            metrics.show(report, store.counts())
        except StoreError as error:
            metrics.CHECKS_FAILED.inc()
            self._store_away(error)
            return
        if report.problems != self._problems:
            for problem in report.problems:
                _log.warning("cannot look: %s", problem)
            self._problems = report.problems

    def _store_away(self, error: StoreError) -> None:
        now = self._clock()
        if self._away_since is None:
            self._away_since, self._incident = now, uuid.uuid4().hex
            _log.warning("no alert can be looked at: %s", error.what)
        if now - self._away_since >= _STORE_AWAY_FOR:
            self._tell("firing", f"{error.what}\nNo other alert can be looked at until it is back.", now)

    def _store_back(self) -> None:
        if self._away_since is None:
            return
        _log.warning("alerts are looked at again")
        if self._told and self._parts is not None:
            now = self._clock()
            message = self._message("resolved", "The database is back.", now)
            self._parts[0].queue(message, sorted(self._told), self._settings.outbox, now)
        self._away_since = None
        self._told = set()

    def _tell(self, kind: str, text: str, now: datetime) -> None:
        message = self._message(kind, text, now)
        for name in self._channels.keys() - self._told:
            if self._send(name, message):
                self._told.add(name)

    def _message(self, kind: str, text: str, now: datetime) -> Message:
        message_id = f"{self._incident}-{1 if kind == 'firing' else 2}"
        word = "resolved: " if kind == "resolved" else ""
        return Message(
            message_id=message_id, incident=self._incident, rule="store", label="", severity="critical", kind=kind,
            title=f"[visionloop critical] {word}store",
            body=f"{text}\nat: {now:%Y-%m-%d %H:%M:%S} UTC\nto do: docs/alerts.md#store\nmessage: {message_id}",
        )  # fmt: skip

    def _send(self, name: str, message: Message) -> bool:
        channel = self._channels[name]
        if not channel.wants(message):
            return True
        try:
            channel.send(message)
        except VisionloopError as error:
            _log.warning("alert channel %s does not take messages: %s", name, error.what)
            return False
        return True
