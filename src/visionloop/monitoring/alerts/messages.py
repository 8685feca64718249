"""What is sent: a title, a body, and an id by which a receiver knows a message that comes twice."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from visionloop.monitoring.alerts.settings import RuleSettings, Severity
from visionloop.monitoring.alerts.state import AlertState, Kind

RUNBOOK = "docs/alerts.md"

_WORDS: dict[str, str] = {
    "firing": "",
    "worse": "worse: ",
    "reminder": "still: ",
    "resolved": "resolved: ",
    "no_data": "closed without data: ",
    "test": "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, the same for all channels.

    Attributes:
        message_id: Unique to it, and the same in every try.
        incident: Of the alert.
        rule: Of the alert.
        label: What the alert concerns, or nothing.
        severity: Of the alert.
        kind: `firing`, `worse`, `reminder`, `resolved`, `no_data` or `test`.
        title: One line.
        body: Lines of plain text.
    """

    message_id: str
    incident: str
    rule: str
    label: str
    severity: Severity
    kind: Kind | str
    title: str
    body: str


def compose(state: AlertState, rule: RuleSettings, kind: Kind, now: datetime) -> Message:
    """The message about a state that has just changed."""
    message_id = f"{state.incident}-{state.messages}"
    name = f"{state.rule} ({state.label})" if state.label else state.rule
    condition = f"{rule.signal} {rule.when} {rule.threshold:g}"
    lines = [
        state.text or f"{rule.signal} is {state.value:g}",
        f"rule: {name}: {condition}" + (f" for {rule.for_s:g} s" if rule.for_s else ""),
        f"at: {now:%Y-%m-%d %H:%M:%S} UTC",
    ]
    if kind in ("reminder", "worse"):
        lines.append(f"since: {state.since:%Y-%m-%d %H:%M:%S} UTC")
    if state.evidence:
        lines.append(f"evidence: {state.evidence}")
    if kind not in ("resolved", "no_data"):
        lines.append(f"to do: {RUNBOOK}#{state.rule}")
    lines.append(f"message: {message_id}")
    return Message(
        message_id=message_id,
        incident=state.incident,
        rule=state.rule,
        label=state.label,
        severity=state.severity,
        kind=kind,
        title=f"[visionloop {state.severity}] {_WORDS[kind]}{name}",
        body="\n".join(lines),
    )


def trial_message(now: datetime) -> Message:
    """A message that says it is a test."""
    identity = uuid.uuid4().hex
    return Message(
        message_id=f"{identity}-1",
        incident=identity,
        rule="test",
        label="",
        severity="info",
        kind="test",
        title="[visionloop test] this channel works",
        body=f"Sent by `visionloop alerts test` at {now:%Y-%m-%d %H:%M:%S} UTC; nothing is wrong.\n"
        f"message: {identity}-1",
    )
