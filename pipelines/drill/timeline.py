"""What happened in a drill and when, and whether it was what should have happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table


class Event(NamedTuple):
    """Something that happened.

    Attributes:
        at: When it began.
        name: In a word or two, for the picture.
        task: Whose; empty where it is of all.
        text: For people.
        held: Whether it was as expected; None where nothing was expected.
    """

    at: datetime
    name: str
    task: str
    text: str
    held: bool | None

    @property
    def title(self) -> str:
        """Name and task."""
        return f"{self.name} ({self.task})" if self.task else self.name


@dataclass
class Timeline:
    """Collects events, and shows each as it happens."""

    console: Console
    start: datetime = field(default_factory=lambda: datetime.now(UTC))
    events: list[Event] = field(default_factory=list)

    def seconds(self, at: datetime) -> float:
        """Since the start."""
        return (at - self.start).total_seconds()

    def note(self, name: str, text: str, *, task: str = "", at: datetime | None = None) -> None:
        """Something happened, `at` that time or now."""
        self._add(Event(at or datetime.now(UTC), name, task, text, None))

    def expect(self, name: str, held: bool, text: str, *, task: str = "", at: datetime | None = None) -> None:
        """Something had to hold, `at` that time or now."""
        self._add(Event(at or datetime.now(UTC), name, task, text, held))

    @property
    def in_order(self) -> list[Event]:
        """By time; what was found out later stands where it happened."""
        return sorted(self.events, key=lambda event: event.at)

    @property
    def failed(self) -> list[Event]:
        """What did not hold."""
        return [event for event in self.events if event.held is False]

    @property
    def held(self) -> bool:
        """Whether something was expected, and all of it held."""
        return not self.failed and any(event.held for event in self.events)

    def table(self) -> Table:
        """All that was expected."""
        table = Table(title="the drill", title_justify="left")
        for title in ("time", "step", "result", ""):
            table.add_column(title, justify="right" if title == "time" else "left")
        for event in self.in_order:
            if event.held is not None:
                mark = "[green]held[/]" if event.held else "[red]FAILED[/]"
                table.add_row(f"{self.seconds(event.at):.0f} s", event.title, escape(event.text), mark)
        return table

    def _add(self, event: Event) -> None:
        self.events.append(event)
        mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: " "}[event.held]
        self.console.print(
            f"[dim]{self.seconds(event.at):6.1f} s[/] {mark} [bold]{event.title}[/] {escape(event.text)}",
            highlight=False,
        )
