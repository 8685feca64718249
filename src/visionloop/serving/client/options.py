"""What the client's parts share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

Shape = TypeVar("Shape", bound=BaseModel)
"""An answer's type."""


def params_of(options: Mapping[str, Any]) -> dict[str, str]:
    """Options that are given, as a query has them."""
    given = {name: value for name, value in options.items() if value is not None}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()}
