"""One look at everything: ask the sources, move the states, queue the messages."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from visionloop.core.errors import ConfigError, VisionloopError, near_matches
from visionloop.monitoring.alerts.channels import Channel
from visionloop.monitoring.alerts.messages import Message, compose
from visionloop.monitoring.alerts.observations import Observation, Source
from visionloop.monitoring.alerts.settings import AlertSettings, RuleSettings
from visionloop.monitoring.alerts.state import AlertState, step
from visionloop.monitoring.alerts.store import AlertStore, Silence
from visionloop.monitoring.store.errors import StoreError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one look found.

    Attributes:
        at: When.
        states: Every state now, by rule and label.
        messages: Queued by this look.
        problems: What could not be looked at, and why.
    """

    at: datetime
    states: tuple[AlertState, ...]
    messages: tuple[Message, ...]
    problems: tuple[str, ...]

    @property
    def firing(self) -> tuple[AlertState, ...]:
        """The alerts that fire."""
        return tuple(state for state in self.states if state.phase == "firing")


class Watcher:
    """Evaluates the rules. Several may do so at once, in any number of processes: a change is made by one of them.

    Args:
        store: States and messages.
        sources: Every signal is known by one of them.
        settings: Rules and limits.
        channels: By name; messages are queued for those that want them.
        clock: The time, with a time zone.

    Raises:
        ConfigError: a rule asks for a signal that no source knows.
    """

    def __init__(
        self,
        store: AlertStore,
        sources: Sequence[Source],
        settings: AlertSettings,
        channels: Mapping[str, Channel],
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._sources, self._settings = store, sources, settings
        self._channels, self._clock = channels, clock
        self._by_signal = {signal: source for source in sources for signal in source.signals}
        self._rules = {name: rule for name, rule in settings.rules.items() if rule.enabled}
        for name, rule in self._rules.items():
            if rule.signal not in self._by_signal:
                raise ConfigError(
                    f"no signal is called {rule.signal!r}",
                    where=f"setting monitoring.alerts.rules.{name}.signal",
                    expected=near_matches(rule.signal, self._by_signal),
                    action="correct the name",
                )

    def check(self) -> Report:
        """Look once.

        Raises:
            StoreError: the database is away or locked; nothing has changed.
        """
        now = self._clock()
        before = self._store.states()
        silences = self._store.silences(now)
        seen, problems = self._look(now)
        changes: dict[tuple[str, str], tuple[AlertState, Message | None]] = {}
        for key in sorted({*before, *seen}):
            changes[key] = self._change(key, before.get(key), seen.get(key), silences, now)
        wants = [(name, channel.wants) for name, channel in self._channels.items()]
        written = self._store.save(changes.values(), wants, self._settings.outbox, now)
        messages = []
        for state in written:
            message = changes[state.rule, state.label][1]
            if message is not None:
                _log.warning("%s: %s", message.title, state.text)
                messages.append(message)
        states = (state for state, _ in changes.values())
        return Report(at=now, states=tuple(states), messages=tuple(messages), problems=tuple(problems))

    def _look(self, now: datetime) -> tuple[dict[tuple[str, str], Observation], list[str]]:
        seen: dict[tuple[str, str], Observation] = {}
        problems: list[str] = []
        for source in self._sources:
            _careful(lambda source=source: source.refresh(now), problems)  # type: ignore[misc]
        for name, rule in self._rules.items():
            source = self._by_signal[rule.signal]
            found = _careful(lambda source=source, rule=rule: source.observe(rule, now), problems)  # type: ignore[misc]
            for observation in found or []:
                if math.isfinite(observation.value):
                    seen[name, observation.label] = observation
                else:
                    problems.append(f"{name}: {rule.signal} is {observation.value}")
        return seen, list(dict.fromkeys(problems))

    def _change(
        self,
        key: tuple[str, str],
        state: AlertState | None,
        observation: Observation | None,
        silences: Sequence[Silence],
        now: datetime,
    ) -> tuple[AlertState, Message | None]:
        name, label = key
        state = state or AlertState(rule=name, label=label, since=now, seen_at=now)
        rule = self._rules.get(name)
        # A rule that is watched no longer cannot see its alert end.
        stale_s = 3600 * self._settings.stale_hours if rule is not None else 0.0
        rule = rule or self._settings.rules.get(name) or RuleSettings(signal=name, threshold=0)
        silenced = any(silence.covers(name, label, now) for silence in silences)
        after, kind = step(state, rule, observation, silenced=silenced, stale_s=stale_s, now=now)
        return after, compose(after, rule, kind, now) if kind is not None else None


def _careful(look: Callable[[], list[Observation] | None], problems: list[str]) -> list[Observation] | None:
    """One source that is away must not hide what the others see; the store's absence is everybody's."""
    try:
        return look()
    except StoreError:
        raise
    except VisionloopError as error:
        problems.append(f"{error.where}: {error.what}")
        return None
