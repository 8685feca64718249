"""The state machine of an alert: pure, so that every path can be tested with a table of times.

ok → pending → firing → ok. An incident begins when an alert fires and ends when it is resolved; whatever happens
in between is one incident, with one first message.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from visionloop.monitoring.alerts.observations import Observation
from visionloop.monitoring.alerts.settings import SEVERITIES, RuleSettings, Severity

Phase = Literal["ok", "pending", "firing"]
Kind = Literal["firing", "worse", "reminder", "resolved", "no_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """One rule's state for one label.

    Attributes:
        rule: Its name.
        label: What it concerns, or nothing.
        phase: `ok`, `pending` (the condition holds, but not yet for long enough) or `firing`.
        since: When the phase began.
        incident: Hex id of the current or the last incident; empty before the first.
        severity: Of the current incident.
        value: Last seen, or None.
        text: What it means, for people.
        evidence: Where to see more.
        seen_at: When a value was last seen.
        clear_since: Since when a firing alert's condition is over, or None.
        sent_at: When this incident's last message was queued, or None before the first.
        messages: Messages queued in this incident.
        revision: Grows with every write; 0 is not stored yet.
    """

    rule: str
    label: str
    phase: Phase = "ok"
    since: datetime
    incident: str = ""
    severity: Severity = "info"
    value: float | None = None
    text: str = ""
    evidence: str = ""
    seen_at: datetime
    clear_since: datetime | None = None
    sent_at: datetime | None = None
    messages: int = 0
    revision: int = 0


def step(
    state: AlertState,
    rule: RuleSettings,
    observation: Observation | None,
    *,
    silenced: bool,
    stale_s: float,
    now: datetime,
) -> tuple[AlertState, Kind | None]:
    """The state after a look, and the message that is due, if any.

    Args:
        state: Before.
        rule: The rule's settings.
        observation: What was seen; None where the signal said nothing.
        silenced: Whether messages are held back; what is still firing afterwards is told then.
        stale_s: Seconds without a value after which a firing alert is closed.
        now: The clock; it may have gone back.
    """
    state = _not_in_the_future(state, now)
    if observation is None:
        return _without_value(state, stale_s, now)
    bad = is_bad(rule, observation)
    state = replace(state, value=observation.value, text=observation.text, evidence=observation.evidence, seen_at=now)
    if not bad:
        return _good(state, rule, now)
    return _bad(state, rule, severity_of(rule, observation), silenced, now)


def is_bad(rule: RuleSettings, observation: Observation) -> bool:
    """Whether the value lies on the alert's side of the threshold."""
    return _beyond(rule, observation.value, rule.threshold)


def severity_of(rule: RuleSettings, observation: Observation) -> Severity:
    """How bad a value is that is bad."""
    if rule.critical is not None and _beyond(rule, observation.value, rule.critical):
        return "critical"
    return observation.severity or rule.severity


def _beyond(rule: RuleSettings, value: float, threshold: float) -> bool:
    return value > threshold if rule.when == "above" else value < threshold


def _not_in_the_future(state: AlertState, now: datetime) -> AlertState:
    """After the clock went back every duration begins anew: an alert may come later, never too early or never."""
    return replace(
        state,
        since=min(state.since, now),
        seen_at=min(state.seen_at, now),
        clear_since=min(state.clear_since, now) if state.clear_since else None,
        sent_at=min(state.sent_at, now) if state.sent_at else None,
    )


def _without_value(state: AlertState, stale_s: float, now: datetime) -> tuple[AlertState, Kind | None]:
    # Silence of a signal proves neither: what was pending has not been seen to hold, what fires goes on.
    if state.phase == "pending":
        return replace(state, phase="ok", since=now), None
    if state.phase == "firing" and now - state.seen_at >= timedelta(seconds=stale_s):
        return _close(state, "no_data", now)
    return state, None


def _good(state: AlertState, rule: RuleSettings, now: datetime) -> tuple[AlertState, Kind | None]:
    if state.phase == "pending":
        return replace(state, phase="ok", since=now), None
    if state.phase == "ok":
        return state, None
    clear_since = state.clear_since or now
    if now - clear_since < timedelta(seconds=rule.clear_s):
        return replace(state, clear_since=clear_since), None
    return _close(state, "resolved", now)


def _close(state: AlertState, kind: Kind, now: datetime) -> tuple[AlertState, Kind | None]:
    # Also in a silence: a channel that was told of the incident (a pager, a ticket) is told of its end.
    told = state.sent_at is not None
    closed = replace(state, phase="ok", since=now, clear_since=None, sent_at=None, messages=state.messages + told)
    return closed, kind if told else None


def _bad(
    state: AlertState, rule: RuleSettings, severity: Severity, silenced: bool, now: datetime
) -> tuple[AlertState, Kind | None]:
    if state.phase == "ok":
        state = replace(state, phase="pending", since=now, severity=severity)
    if state.phase == "pending":
        if now - state.since < timedelta(seconds=rule.for_s):
            return replace(state, severity=severity), None
        state = replace(
            state, phase="firing", since=now, incident=uuid.uuid4().hex, severity=severity, sent_at=None, messages=0
        )
    worse = SEVERITIES.index(severity) > SEVERITIES.index(state.severity)
    state = replace(state, clear_since=None)
    kind: Kind | None = None
    if state.sent_at is None:
        kind, state = "firing", replace(state, severity=severity)
    elif worse:
        kind = "worse"
    elif rule.remind_s is not None and now - state.sent_at >= timedelta(seconds=rule.remind_s):
        kind = "reminder"
    if silenced or kind is None:
        return state, None
    severity = severity if worse else state.severity
    return replace(state, severity=severity, sent_at=now, messages=state.messages + 1), kind
