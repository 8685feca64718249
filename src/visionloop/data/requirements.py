"""What a task asks of a dataset; kept free of heavy imports because the service loads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a dataset must have.

    Attributes:
        min_classes: Fewest classes that make sense.
        boxes: Whether every object needs a box.
        one_label: Whether every sample carries exactly one object.
    """

    min_classes: int
    boxes: bool
    one_label: bool
