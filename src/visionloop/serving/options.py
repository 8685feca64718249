"""What a request may ask beside its images: query parameters, or text fields of a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from visionloop.core.errors import near_matches
from visionloop.serving.refusals import bad_option


class PredictOptions(BaseModel):
    """Options of a prediction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top_k: int | None = Field(default=None, ge=1, le=1000)
    """Most classes or boxes in an answer."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """Lowest score of a class or box in an answer; by default the model's operating point."""
    store: bool | None = None
    """Whether the images are kept for review and retraining; by default as the service is configured. With false,
    what drift is seen by is not kept either."""

    @property
    def asks_otherwise(self) -> bool:
        """Whether the answer is to be another than the model's own at its operating point."""
        return self.top_k is not None or self.threshold is not None

    @classmethod
    def everything(cls, *, store: bool | None) -> PredictOptions:
        """Every class, and every box down to the bundle's floor."""
        return cls.model_construct(top_k=_ALL, threshold=0.0, store=store)


_ALL = 2**31
"""More classes or boxes than there are."""

OPTION_NAMES = frozenset(PredictOptions.model_fields)


def parse_options(query: Mapping[str, str], form: Mapping[str, str]) -> PredictOptions:
    """Options from both places; the form wins.

    Raises:
        Problem: 400 for an unknown option or a value out of range.
    """
    values = {**query, **form}
    return parse(PredictOptions, values, _EXPECTED) if values else _DEFAULT


Options = TypeVar("Options", bound=BaseModel)


def parse(cls: type[Options], values: Mapping[str, str], expected: Mapping[str, str]) -> Options:
    """Options of one route.

    Args:
        cls: The options; its fields' names, or aliases, are those of `expected`.
        values: As sent.
        expected: By option, what it may be.

    Raises:
        Problem: 400 for an unknown or missing option, or a value out of range.
    """
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if name not in expected:
            raise bad_option(name, f"there is no option {name!r:.80}", near_matches(name, expected)) from None
        found = f"{name}={values[name]!r:.80}: {first['msg'].lower()}" if name in values else f"{name} is missing"
        raise bad_option(name, found, expected[name], "correct the option") from None


_DEFAULT = PredictOptions()
_EXPECTED = {
    "top_k": "a whole number from 1 to 1000",
    "threshold": "a number from 0 to 1",
    "store": "true or false",
}
