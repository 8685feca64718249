"""A progress bar on the terminal's error stream; silent where nobody looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def track(items: Iterable[T], *, total: int, label: str) -> Iterator[T]:
    """Yield `items` and show how far they are, once they take longer than a moment.

    Args:
        items: What is worked on.
        total: How many there are.
        label: A few words before the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        # rich's own iterator updates from a thread a few times a second, not at every item.
        yield from progress.track(items, total=total, description=label)
