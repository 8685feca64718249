"""A clock that can be set, a source that says what it is told, a sink that can be down, and a database."""

from __future__ import annotations

import json
import random
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from visionloop.core.settings import parse_settings
from visionloop.monitoring.alerts.channels import Channel, open_channels
from visionloop.monitoring.alerts.engine import Watcher
from visionloop.monitoring.alerts.observations import Observation
from visionloop.monitoring.alerts.outbox import Sender
from visionloop.monitoring.alerts.settings import AlertSettings, ChannelSettings, RuleSettings
from visionloop.monitoring.alerts.store import AlertStore
from visionloop.monitoring.settings import StoreSettings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STORE_URL = StoreSettings().url


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Told:
    """Knows the signal `load`; its values are set by the test."""

    signals = frozenset({"load"})

    def __init__(self) -> None:
        self.values: dict[str, Observation] = {}

    def say(self, value: float, label: str = "", **more: Any) -> None:
        self.values[label] = Observation(value=value, label=label, **more)

    def refresh(self, now: datetime) -> None:
        pass

    def observe(self, rule: RuleSettings, now: datetime) -> list[Observation]:
        return list(self.values.values())


class Sink:
    """A webhook's other side on a free port; keeps what it accepts."""

    def __init__(self) -> None:
        self.up = True
        self.asked = 0
        self.bodies: list[dict[str, Any]] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.asked += 1
                if sink.up:
                    sink.bodies.append(json.loads(body))
                self.send_response(200 if sink.up else 503)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/hook"

    @property
    def titles(self) -> list[str]:
        return [body["title"] for body in self.bodies]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class World:
    """One process: its own objects on a database that others may use too."""

    def __init__(
        self, root: Path, clock: Clock, sink: Sink | None = None, *, store_url: str = STORE_URL, **settings: Any
    ) -> None:
        self.clock, self.told = clock, Told()
        rule = {"signal": "load", "threshold": 10, "for_s": 60, "clear_s": 60, "remind_s": 3600}
        rules = {name: {"enabled": False} for name in AlertSettings().rules} | {"load": rule | settings.pop("rule", {})}
        self.settings = parse_settings(AlertSettings, {"rules": rules, **settings}, where="test")
        self.channels: dict[str, Channel] = {}
        if sink is not None:
            self.channels = open_channels({"hook": ChannelSettings(url=SecretStr(sink.url))}, root)
        self.store = AlertStore.open(StoreSettings(url=store_url, timeout_s=0.2), root)
        self.watcher = Watcher(self.store, [self.told], self.settings, self.channels, clock)
        # Waits are drawn; a test that counts tries has to draw the same ones every time.
        self.sender = Sender(self.store, self.channels, self.settings.outbox, clock, random.Random(1))

    def look(self, value: float | None = None, *, after_s: float = 0, label: str = "", **more: Any) -> list[str]:
        """Kinds of the messages that a look queues."""
        self.clock.pass_s(after_s)
        if value is not None:
            self.told.say(value, label, **more)
        return [message.kind for message in self.watcher.check().messages]

    def fire(self) -> None:
        self.look(11)
        assert self.look(11, after_s=60) == ["firing"]

    def close(self) -> None:
        self.store.close()
