"""From the registry to the deployment pointer: bundles are laid out beside it, then it is swapped."""

from __future__ import annotations

import getpass
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from visionloop.artifact import deployment
from visionloop.artifact.bundle import Bundle
from visionloop.artifact.deployment import Canary, Deployment, Lineup, Variant
from visionloop.core import files
from visionloop.core.errors import RegistryError
from visionloop.registry.audit import ChampionChange, append_audit
from visionloop.registry.connection import Connection, connect, registry_errors
from visionloop.registry.lookup import CHALLENGER, CHAMPION, aliases_of, fetch_folder, resolve, utc_text, verdict_in
from visionloop.registry.settings import RegistrySettings

DEPLOYED = "deployed"
"""Folder beside the pointer: `<digest>/bundle` and `<digest>/evaluation` of what serves or served lately."""

_KEPT = 5
"""Bundles kept although nothing names them, so that a rollback finds its own."""


def stage(connection: Connection, settings: RegistrySettings, root: Path, item: Any) -> Variant:
    """Lay a version's bundle and evaluation beside the pointer, so that serving needs no registry.

    Raises:
        BundleError: the bundle is damaged.
        RegistryError: its artifacts are gone.
    """
    pointer = root / settings.pointer
    fetched = pointer.parent / ".fetched"
    source = fetch_folder(connection, str(item.source), fetched / "bundle")
    bundle = Bundle.open(source)
    home = pointer.parent / DEPLOYED / bundle.digest[:16]
    if not home.is_dir():
        with files.new_folder(home) as folder:
            shutil.copytree(source, folder / "bundle")
            evaluation = str(item.source).rpartition("/")[0] + "/evaluation"
            shutil.copytree(fetch_folder(connection, evaluation, fetched / "evaluation"), folder / "evaluation")
    shutil.rmtree(fetched, ignore_errors=True)
    return Variant(
        model=str(item.name),
        version=str(item.version),
        digest=bundle.digest,
        bundle=deployment.relative_bundle(pointer, home / "bundle"),
    )


def point_to_champion(settings: RegistrySettings, root: Path, variant: Variant, *, switch: bool = False) -> bool:
    """Let a staged version serve as the champion of its task.

    Args:
        settings: Names the pointer.
        root: The project's folder.
        variant: The version.
        switch: Whether it may take the place of another model of the same task.

    Returns:
        Whether it serves now; False where another model serves the task and `switch` is off.
    """
    pointer = root / settings.pointer
    task = Bundle.open((pointer.parent / variant.bundle), verify=False).manifest.task

    def edit(lineup: Lineup | None) -> Lineup:
        if lineup is not None and lineup.champion.model != variant.model:
            return Lineup(champion=variant) if switch else lineup
        return deployment.with_champion(lineup, variant)

    lineup = deployment.change(pointer, task, edit)
    _prune(pointer)
    return lineup is not None and lineup.champion == variant


def deploy(
    settings: RegistrySettings,
    root: Path,
    model: str,
    version: str | None,
    *,
    role: Literal["champion", "canary", "shadow"],
    share: float = 0.0,
    who: str = "",
    why: str = "by hand",
    now: datetime | None = None,
    force: bool = False,
) -> Lineup:
    """Let a version serve.

    Args:
        settings: Where.
        root: The project's folder.
        model: Registered model's name.
        version: An alias or a version; by default the champion, or for canary and shadow the challenger.
        role: `champion` switches the task to this model's champion; the others serve beside the champion.
        share: A canary's share of the sessions, in [0, 1].
        who: User that does it, for the audit of canaries.
        why: Reason, for the audit of canaries.
        now: When a canary begins; by default the clock's time.
        force: Let a canary answer people although the gate refused it.

    Raises:
        RegistryError: no such version; a champion that the registry does not call so; a canary or shadow of a
            model whose champion does not serve; a canary that the gate refused.
    """
    connection = connect(settings, root)
    with registry_errors(connection.where):
        aliases = aliases_of(connection, model)
        wanted = version or (CHAMPION if role == "champion" else CHALLENGER)
        item = resolve(connection, model, wanted)
        if role == "champion" and str(item.version) != aliases.get(CHAMPION):
            raise RegistryError(
                f"version {item.version} is not the champion",
                where=f"model {model}",
                expected=f"the champion, version {aliases.get(CHAMPION, 'none')}",
                action=f"visionloop promote {model} {item.version}, which also deploys it",
            )
        verdict = verdict_in(item.tags)
        refused = role == "canary" and share > 0 and verdict is not None and verdict.decision == "refuse"
        if verdict is not None and refused and not force:
            # It would answer people. One that lacks evidence, or was not judged, may: that is how evidence comes.
            raise RegistryError(
                f"the gate says: {verdict.summary}",
                where=f"model {model}, version {item.version}",
                expected="a canary that the gate has not refused",
                action="train a better model, try it unseen by --shadow, or add --force; the audit says so",
            )
        variant = stage(connection, settings, root, item)
    if role == "champion":
        point_to_champion(settings, root, variant, switch=True)
        return _lineup(settings, root, model)
    moment = now or datetime.now(UTC)
    found = _beside(settings, root, variant, role, share, moment)
    if role == "canary" and share > 0:
        change = ChampionChange(
            when=utc_text(moment), who=who or getpass.getuser(), action="canary", model=model,
            from_version=found.champion.version, to_version=variant.version, why=f"{share:.0%}: {why}", forced=refused,
        )  # fmt: skip
        append_audit(root / settings.audit, change)
    return found


def withdraw(settings: RegistrySettings, root: Path, model: str) -> Lineup:
    """End canary and shadow beside a model's champion.

    Raises:
        RegistryError: the model's champion does not serve.
    """
    _lineup(settings, root, model)
    pointer = root / settings.pointer
    task = next(name for name, lineup in Deployment.read(pointer).tasks.items() if lineup.champion.model == model)
    found = deployment.change(pointer, task, lambda held: Lineup(champion=held.champion) if held else None)
    assert found is not None
    return found


def _beside(settings: RegistrySettings, root: Path, variant: Variant, role: str, share: float, now: datetime) -> Lineup:
    pointer = root / settings.pointer
    serving = _lineup(settings, root, variant.model)
    if serving.champion.digest == variant.digest:
        raise RegistryError(
            f"version {variant.version} is the champion that serves",
            where=f"model {variant.model}",
            expected="another version beside it",
            action="name a version; `visionloop models` lists them",
        )
    task = Bundle.open((pointer.parent / variant.bundle), verify=False).manifest.task

    def edit(lineup: Lineup | None) -> Lineup | None:
        if lineup is None:
            return None
        if role == "shadow":
            return lineup.model_copy(update={"shadow": variant})
        canary = Canary(**variant.model_dump(), share=share, since=_began(lineup, variant, now)) if share > 0 else None
        return lineup.model_copy(update={"canary": canary})

    found = deployment.change(pointer, task, edit)
    assert found is not None
    return found


def _began(lineup: Lineup, variant: Variant, now: datetime) -> datetime:
    """Another share is the same trial; one that was stopped begins anew."""
    before = lineup.canary
    if before is None or before.digest != variant.digest or before.stopped or before.since is None:
        return now
    return before.since


def _lineup(settings: RegistrySettings, root: Path, model: str) -> Lineup:
    serving = Deployment.read(root / settings.pointer)
    for lineup in serving.tasks.values():
        if lineup.champion.model == model:
            return lineup
    raise RegistryError(
        "its champion does not serve",
        where=f"model {model}",
        expected="one of " + (", ".join(item.champion.model for item in serving.tasks.values()) or "none"),
        action=f"visionloop deploy {model}",
    )


def _prune(pointer: Path) -> None:
    serving = Deployment.read(pointer)
    named = {
        (pointer.parent / variant.bundle).resolve().parent
        for lineup in serving.tasks.values()
        for variant in (lineup.champion, lineup.canary, lineup.shadow)
        if variant is not None
    }
    folders = [path for path in (pointer.parent / DEPLOYED).glob("[!.]*") if path.resolve() not in named]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime)[:-_KEPT]:
        shutil.rmtree(folder, ignore_errors=True)
