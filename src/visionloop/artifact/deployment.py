"""The deployment pointer: one small file that says which bundles serve, swapped atomically.

Promotion and rollback write it; every worker of the service watches it. It names bundles by their path, relative
to the file where they lie below its folder, so that the whole folder may move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError

from visionloop.core import files
from visionloop.core.errors import BundleError
from visionloop.core.settings import Settings

FORMAT_VERSION = 1

Role = Literal["champion", "canary", "shadow"]


class Variant(Settings):
    """One bundle that serves."""

    model: str
    """Registered model's name."""
    version: str
    """Its version."""
    digest: str
    """The bundle's identity; what is loaded must have it."""
    bundle: str
    """The bundle's folder; relative paths start at the pointer's folder."""


class Canary(Variant):
    """A bundle that answers a part of the requests, to be watched."""

    share: float = Field(ge=0, le=1)
    """Share of the sessions it answers."""
    stopped: str | None = None
    """Why its share was taken away without a person's doing, or None."""
    since: datetime | None = None
    """When it began; None where that is not known."""


class Lineup(Settings):
    """What serves one task."""

    champion: Variant
    """Answers whatever the canary does not."""
    canary: Canary | None = None
    """Answers its share."""
    shadow: Variant | None = None
    """Answers everything too, for comparison; nobody sees its answers."""


class Deployment(Settings):
    """The pointer's content."""

    format_version: int = FORMAT_VERSION
    """Version of this layout."""
    tasks: dict[str, Lineup] = Field(default_factory=dict)
    """By the task's name."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The pointer; empty where there is no file yet.

        Raises:
            BundleError: damaged, or of another version.
        """
        try:
            text = path.read_text()
        except FileNotFoundError:
            return cls()
        try:
            found = cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            raise _damaged(path, f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}") from None
        if found.format_version != FORMAT_VERSION:
            raise _damaged(path, f"format version {found.format_version}")
        return found

    def bundle_path(self, pointer: Path, variant: Variant) -> Path:
        """Where a variant's bundle lies."""
        return (pointer.parent / variant.bundle).resolve()


def relative_bundle(pointer: Path, bundle: Path) -> str:
    """The text by which a pointer names a bundle's folder."""
    home, folder = pointer.parent.resolve(), bundle.resolve()
    return folder.relative_to(home).as_posix() if folder.is_relative_to(home) else str(folder)


def change(pointer: Path, task: str, edit: Callable[[Lineup | None], Lineup | None]) -> Lineup | None:
    """Change one task's lineup under a lock.

    Args:
        pointer: The file; made where there is none.
        task: The task's name.
        edit: From the lineup in force (None: the task is not served) to the new one (None: serve it no more).

    Returns:
        The new lineup.

    Raises:
        BundleError: the file is damaged.
    """
    with _locked(pointer):
        deployment = Deployment.read(pointer)
        lineup = edit(deployment.tasks.get(task))
        tasks = {name: held for name, held in deployment.tasks.items() if name != task}
        if lineup is not None:
            tasks[task] = lineup
        content = Deployment(tasks=dict(sorted(tasks.items()))).model_dump_json(indent=2)
        files.write_text(pointer, content + "\n")
    return lineup


def with_champion(lineup: Lineup | None, champion: Variant) -> Lineup:
    """A new champion. A canary or shadow of the same bundle has done its work and goes."""
    if lineup is None:
        return Lineup(champion=champion)
    canary, shadow = lineup.canary, lineup.shadow
    return Lineup(
        champion=champion,
        canary=None if canary and canary.digest == champion.digest else canary,
        shadow=None if shadow and shadow.digest == champion.digest else shadow,
    )


def stop_canary(lineup: Lineup | None, digest: str, reason: str) -> Lineup | None:
    """Take a canary's share away, if it is still the one of that digest and has one."""
    if lineup is None or lineup.canary is None or lineup.canary.digest != digest or lineup.canary.share == 0:
        return lineup
    return lineup.model_copy(update={"canary": lineup.canary.model_copy(update={"share": 0.0, "stopped": reason})})


@contextmanager
def _locked(pointer: Path) -> Iterator[None]:
    pointer.parent.mkdir(parents=True, exist_ok=True)
    with files.workspace_lock(pointer.parent / f".{pointer.name}.lock", wait_s=10.0):
        yield


def _damaged(path: Path, what: str) -> BundleError:
    return BundleError(
        f"the deployment pointer is damaged ({what})",
        where=str(path),
        expected="the JSON that `visionloop promote` and `visionloop deploy` write",
        action="delete the file and deploy again: visionloop deploy MODEL",
    )


def describe(lineup: Lineup) -> str:
    """One line for people, such as `digits-detection 3, canary 4 at 10%`."""
    parts = [f"{lineup.champion.model} {lineup.champion.version}"]
    if lineup.canary is not None:
        stopped = f" (stopped: {lineup.canary.stopped})" if lineup.canary.stopped else ""
        parts.append(f"canary {lineup.canary.version} at {lineup.canary.share:.0%}{stopped}")
    if lineup.shadow is not None:
        parts.append(f"shadow {lineup.shadow.version}")
    return ", ".join(parts)
