"""Joins settings, store, sources, rules and channels into what the commands and the watch use."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from visionloop.artifact.deployment import Deployment
from visionloop.core.errors import VisionloopError
from visionloop.monitoring.alerts.channels import Channel, open_channels
from visionloop.monitoring.alerts.engine import Watcher
from visionloop.monitoring.alerts.loop import Loop
from visionloop.monitoring.alerts.observations import Source
from visionloop.monitoring.alerts.outbox import Sender
from visionloop.monitoring.alerts.secrets import read_secret
from visionloop.monitoring.alerts.settings import AlertSettings, RuleSettings
from visionloop.monitoring.alerts.sources import (
    DiskSource,
    DriftReport,
    RetrainingReport,
    ServiceSource,
    TrafficSource,
    fetch_metrics,
)
from visionloop.monitoring.alerts.store import AlertStore
from visionloop.monitoring.history.suspects import known_suspects
from visionloop.monitoring.settings import StoreSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where everything is.

    Attributes:
        settings: Of the alerts.
        store: The prediction store's; the alerts are kept there too.
        root: The project's folder.
        state: The folder of what the service and the jobs write.
        pointer: The deployment pointer.
        service_url: Where the service answers.
    """

    settings: AlertSettings
    store: StoreSettings
    root: Path
    state: Path
    pointer: Path
    service_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """What the commands use.

    Attributes:
        store: States and messages.
        watcher: Looks.
        sender: Sends.
        channels: By name.
        rules: By name.
    """

    store: AlertStore
    watcher: Watcher
    sender: Sender
    channels: Mapping[str, Channel]
    rules: Mapping[str, RuleSettings]

    @classmethod
    def open(cls, place: Place, channels: Mapping[str, Channel] | None = None) -> Self:
        """Open the store and the channels.

        Args:
            place: Where everything is.
            channels: Instead of those of the settings.

        Raises:
            VisionloopError: a setting is wrong, or the store cannot be used.
        """
        settings = place.settings
        if channels is None:
            channels = open_channels(settings.channels, place.root)
        key = _key(place)
        store = AlertStore.open(place.store, place.state)
        public_url = (settings.public_url or place.service_url).rstrip("/")
        windows = [rule.window_s for rule in settings.rules.values() if rule.signal in ServiceSource.signals]
        keep_s = 2 * max(windows, default=0) + 600
        sources: list[Source] = [
            TrafficSource(
                store, lambda: _deployed(place.pointer), public_url, lambda task: known_suspects(place.state, task)
            ),
            ServiceSource(lambda: fetch_metrics(place.service_url, key), store, keep_s, public_url),
            DiskSource(place.state),
            DriftReport(place.state / settings.drift_file),
            RetrainingReport(place.state / settings.retraining_file),
        ]
        return cls(
            store=store,
            watcher=Watcher(store, sources, settings, channels, _now),
            sender=Sender(store, channels, settings.outbox, _now),
            channels=channels,
            rules=settings.rules,
        )

    def close(self) -> None:
        """Close the store."""
        self.store.close()


def watch(place: Place, stop: threading.Event) -> None:
    """Look and send until `stop` is set.

    Raises:
        VisionloopError: a setting is wrong, or the port of the metrics is taken.
    """
    from visionloop.monitoring.alerts import metrics

    settings = place.settings
    channels = open_channels(settings.channels, place.root)
    if settings.metrics_port is not None:
        _serve_metrics(settings.metrics_port, settings.metrics_host, metrics.REGISTRY)
    if not channels:
        _log.warning("nobody is told: monitoring.alerts.channels is empty; alerts stand in this log only")
    _log.info("watching every %g s: %d rules, channels: %s", settings.interval_s, len(settings.rules), list(channels))

    def open_parts() -> tuple[AlertStore, Watcher, Sender]:
        parts = Alerts.open(place, channels)
        return parts.store, parts.watcher, parts.sender

    Loop(open_parts, settings, channels, _now, stop).run()


def _serve_metrics(port: int, host: str, registry: object) -> None:
    from prometheus_client import start_http_server

    try:
        start_http_server(port, addr=host, registry=registry)  # type: ignore[arg-type]
    except OSError as error:
        raise VisionloopError(
            f"cannot listen there ({error.strerror})",
            where=f"{host}:{port}",
            expected="an address of this machine and a free port",
            action="correct monitoring.alerts.metrics_host and metrics_port",
        ) from None


def _deployed(pointer: Path) -> Iterable[str]:
    return Deployment.read(pointer).tasks


def _key(place: Place) -> str | None:
    key = place.settings.service_key
    return None if key is None else read_secret(key, where="monitoring.alerts.service_key", root=place.root)


def _now() -> datetime:
    return datetime.now(UTC)
