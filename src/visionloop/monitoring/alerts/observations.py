"""What the watcher is told: a number with its meaning, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from visionloop.monitoring.alerts.settings import RuleSettings, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One signal's value now.

    Attributes:
        value: In the signal's unit; finite.
        label: What it concerns, such as a task or a deployment slot; empty where there is only one.
        text: A sentence with the number and its unit, for people.
        evidence: A link or path where one can see more.
        severity: What the source itself calls it, or None to leave that to the rule.
    """

    value: float
    label: str = ""
    text: str = ""
    evidence: str = ""
    severity: Severity | None = None


class Source(Protocol):
    """Knows the values of some signals."""

    @property
    def signals(self) -> frozenset[str]:
        """Names of the signals it knows."""

    def refresh(self, now: datetime) -> None:
        """Called once before the rules of one check ask.

        Raises:
            VisionloopError: nothing can be read now.
        """

    def observe(self, rule: RuleSettings, now: datetime) -> list[Observation]:
        """The values of `rule.signal`, one for each label; nothing where nothing can be said.

        Raises:
            VisionloopError: what is asked cannot be read now.
        """


def span(seconds: float) -> str:
    """`90` as `90 s`, `7200` as `2 h`: in the largest unit that divides it."""
    units = ((86_400, "d"), (3600, "h"), (60, "min"))
    size, unit = next(((size, unit) for size, unit in units if seconds >= size and not seconds % size), (1, "s"))
    return f"{seconds / size:g} {unit}"
