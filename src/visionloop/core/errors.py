"""The errors a user can cause, each with four facts: what, where, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VisionloopError(Exception):
    """Root of every error that a user's input, configuration or environment can cause.

    The command line prints it without a stack trace. A bug of ours raises `AssertionError` or any
    other exception instead, and is reported as ours.

    Attributes:
        what: What is wrong, with the offending value; may span lines when several things are wrong.
        where: File, record, field or setting concerned.
        expected: What would have been accepted.
        action: What the user should do next.
    """

    def __init__(self, what: str, *, where: str, expected: str, action: str) -> None:
        super().__init__(what, where, expected, action)
        self.what = what
        self.where = where
        self.expected = expected
        self.action = action

    def __str__(self) -> str:
        return f"{self.what}\n  where:    {self.where}\n  expected: {self.expected}\n  to do:    {self.action}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling, and dataloader workers pickle errors.
        return _blank, (type(self), self.args), self.__dict__


def _blank(cls: type[VisionloopError], args: tuple[str, ...]) -> VisionloopError:
    return cls.__new__(cls, *args)


class ConfigError(VisionloopError):
    """A setting is unknown, mistyped, out of range, or contradicts another."""


class DataError(VisionloopError):
    """A source or a dataset cannot be used as it is."""


class ImageError(DataError):
    """Bytes that are not an image we accept.

    Attributes:
        code: Stable reason, one of `empty`, `unsupported_format`, `animated`, `truncated`, `too_large`,
            `too_small`.
    """

    def __init__(self, what: str, *, code: str, where: str, expected: str, action: str) -> None:
        super().__init__(what, where=where, expected=expected, action=action)
        self.code = code


class ModelError(VisionloopError):
    """An architecture, its weights or its export cannot be used."""


class BundleError(VisionloopError):
    """A bundle is missing, incomplete, altered, or made for something else."""


class RegistryError(VisionloopError):
    """The model registry cannot be reached, or refuses."""


class Interrupted(VisionloopError):
    """Ctrl-C; what was done so far is kept, and the same command goes on from there."""


class BusyError(VisionloopError):
    """Another process holds what this one needs."""


def near_matches(name: str, known: Iterable[str], *, limit: int = 5) -> str:
    """The names closest to `name`, for an error's `expected` line; all of them when few, a count when none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=limit, cutoff=0.5)
    if close:
        return "did you mean " + ", ".join(close) + "?"
    if len(names) <= 2 * limit:
        return "one of " + ", ".join(names)
    return f"one of {len(names)} names, among them " + ", ".join(names[:limit])
