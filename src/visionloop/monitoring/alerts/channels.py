"""Channels: each is one Apprise URL; what goes wrong is told without the secrets in it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from visionloop.core.errors import ConfigError, VisionloopError
from visionloop.monitoring.alerts.messages import Message
from visionloop.monitoring.alerts.secrets import read_secret, redact
from visionloop.monitoring.alerts.settings import SEVERITIES, ChannelSettings

_TIMEOUTS_S = {"cto": "5", "rto": "10"}
"""Apprise's names for the longest waits for a connection and for an answer; a URL that has its own keeps them."""

_TYPES = {"critical": "failure", "warning": "warning", "info": "info"}


class ChannelError(VisionloopError):
    """A message could not be delivered."""


class Channel(Protocol):
    """Delivers messages."""

    def wants(self, message: Message) -> bool:
        """Whether this message goes here."""

    def send(self, message: Message) -> None:
        """Deliver; returns when the other side has taken it.

        Raises:
            ChannelError: it did not, or perhaps it did and nobody said so.
        """


class AppriseChannel:
    """A channel through Apprise.

    Args:
        name: What the settings call it; may be shown.
        settings: Its severity.
        url: Apprise's URL; never shown.
    """

    def __init__(self, name: str, settings: ChannelSettings, url: str) -> None:
        self.name = name
        self._url = url
        self._lowest = SEVERITIES.index(settings.min_severity)
        self._apprise = _open(name, url)

    def wants(self, message: Message) -> bool:
        """As `Channel`; a test goes everywhere."""
        return message.kind == "test" or SEVERITIES.index(message.severity) >= self._lowest

    def send(self, message: Message) -> None:
        """As `Channel`."""
        kind = "success" if message.kind == "resolved" else _TYPES[message.severity]
        with _Capture() as capture:
            try:
                sent = bool(self._apprise.notify(title=message.title, body=message.body, notify_type=kind))
            except Exception as error:  # a plugin's bug must not end the watch
                sent = False
                capture.lines.append(f"{type(error).__name__}: {error}")
        if not sent:
            raise ChannelError(
                redact(" ".join(capture.lines) or "the channel did not take the message", [self._url])[:500],
                where=f"alert channel {self.name}",
                expected="a channel that takes messages",
                action=f"check monitoring.alerts.channels.{self.name} with `visionloop alerts test`",
            )


def open_channels(settings: Mapping[str, ChannelSettings], root: Path) -> dict[str, Channel]:
    """Every channel of the settings.

    Raises:
        ConfigError: a URL is missing, or Apprise does not know it; Apprise is not installed.
    """
    opened: dict[str, Channel] = {}
    for name, channel in settings.items():
        url = read_secret(channel.url, where=f"monitoring.alerts.channels.{name}.url", root=root)
        opened[name] = AppriseChannel(name, channel, url)
    return opened


def _open(name: str, url: str) -> Any:
    try:
        import apprise
    except ImportError:
        raise ConfigError(
            "Apprise is not installed",
            where=f"setting monitoring.alerts.channels.{name}",
            expected="the extra `serve`",
            action="install visionloop[serve]",
        ) from None
    # In memory: nothing is kept in the home folder. In order: this thread waits for the answer.
    asset = apprise.AppriseAsset(app_id="visionloop", async_mode=False, storage_mode="memory", secure_logging=True)
    opened = apprise.Apprise(asset=asset)
    with _Capture():
        known = opened.add(_with_timeouts(url))
    if not known:
        raise ConfigError(
            "Apprise does not know this URL",
            where=f"setting monitoring.alerts.channels.{name}.url (not shown: it may hold a secret)",
            expected="one of Apprise's URLs, such as jsons://host/path or mailtos://user:password@host",
            action="correct the URL; Apprise's documentation lists them by service",
        )
    return opened


def _with_timeouts(url: str) -> str:
    missing = [f"{key}={value}" for key, value in _TIMEOUTS_S.items() if f"{key}=" not in url]
    return url + ("&" if "?" in url else "?") + "&".join(missing) if missing else url


class _Capture(logging.Handler):
    """Takes what Apprise logs instead of letting it pass: a host or a path may be a token."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._logger = logging.getLogger("apprise")

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self) -> _Capture:
        self._logger.addHandler(self)
        self._logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
