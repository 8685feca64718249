"""Who is champion: promotion, rollback, and their audit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from visionloop.core.errors import RegistryError
from visionloop.registry.audit import ChampionChange, append_audit
from visionloop.registry.catalog import refresh_catalog
from visionloop.registry.connection import Connection, connect, registry_errors, registry_lock
from visionloop.registry.deploy import point_to_champion, stage
from visionloop.registry.lookup import (
    CHALLENGER,
    CHAMPION,
    CHAMPIONS,
    ROLLED_BACK,
    aliases_of,
    known_version,
    resolve,
    utc_text,
    verdict_in,
    versions_text,
)
from visionloop.registry.settings import RegistrySettings


def promote(
    settings: RegistrySettings,
    root: Path,
    model: str,
    version: str,
    *,
    expected_champion: str | None,
    who: str,
    why: str,
    now: datetime,
    forced: bool = False,
) -> ChampionChange:
    """Make a version the champion: one alias flip under a lock, then the audit line.

    With `rollback` the only place where a champion changes. The deployment pointer follows, unless another
    model serves the task: then only `visionloop deploy` switches.

    Args:
        settings: Where.
        root: The project's folder.
        model: Registered model's name.
        version: The new champion.
        expected_champion: The champion the decision was made against; None if there was none.
        who: User, for the audit.
        why: Reason, for the audit.
        now: With a time zone.
        forced: Whether this is done against the gate's verdict.

    Raises:
        RegistryError: unknown model or version, or the champion changed since the decision.
    """
    connection = connect(settings, root)
    with registry_errors(connection.where), registry_lock(settings, root, "promotion"):
        item = known_version(connection, model, version)
        current = aliases_of(connection, model).get(CHAMPION)
        if current != expected_champion:
            raise _changed_meanwhile(model, expected_champion, current)
        history = _history(connection, model, current)
        if current == version:
            raise RegistryError(
                f"version {version} is the champion already",
                where=f"model {model}",
                expected="another version",
                action="nothing is to be done; `visionloop models` lists the versions",
            )
        change = ChampionChange(
            when=utc_text(now), who=who, action="promote", model=model, from_version=current, to_version=version,
            why=why, forced=forced,
        )  # fmt: skip
        # Whatever can fail comes before the alias: a version that cannot be served is not promoted.
        variant = stage(connection, settings, root, item)
        _set_champion(connection, settings, root, change, [*history, version])
        point_to_champion(settings, root, variant)
        connection.client.delete_model_version_tag(model, version, ROLLED_BACK)
    refresh_catalog(settings, root)
    return change


def point_again(settings: RegistrySettings, root: Path, model: str) -> None:
    """Let the deployment pointer follow the champion, where a promotion was cut short between the two.

    Raises:
        RegistryError: the model has no champion, or its artifacts are gone.
    """
    connection = connect(settings, root)
    with registry_errors(connection.where), registry_lock(settings, root, "promotion"):
        point_to_champion(settings, root, stage(connection, settings, root, resolve(connection, model, CHAMPION)))


def promote_by_hand(
    settings: RegistrySettings,
    root: Path,
    model: str,
    version: str | None,
    *,
    who: str,
    why: str,
    now: datetime,
    force: bool = False,
) -> ChampionChange:
    """A person's promotion; against the gate's verdict, or without one, only with `force`.

    Args:
        settings: Where.
        root: The project's folder.
        model: Registered model's name.
        version: None takes `@challenger`.
        who, why, now: For the audit.
        force: Do it although the gate did not say promote.

    Raises:
        RegistryError: no such version, or the gate did not say promote and `force` is not given.
    """
    connection = connect(settings, root)
    with registry_errors(connection.where):
        aliases = aliases_of(connection, model)
        chosen = version or aliases.get(CHALLENGER)
        if chosen is None:
            raise RegistryError(
                "there is no challenger",
                where=f"model {model}",
                expected="a version to promote",
                action=f"name a version: visionloop promote {model} VERSION ({versions_text(connection, model)})",
            )
        verdict = verdict_in(known_version(connection, model, chosen).tags)
    approved = verdict is not None and verdict.promoted
    if not approved and not force:
        raise RegistryError(
            f"the gate says: {verdict.summary}" if verdict else "the gate has not judged this version",
            where=f"model {model}, version {chosen}",
            expected="a version the gate promotes",
            action="train a better model; or add --force with --why, as where classes or data have changed on "
            "purpose and nothing can be compared; both are recorded in the audit",
        )
    return promote(
        settings, root, model, chosen, expected_champion=aliases.get(CHAMPION), who=who, why=why, now=now,
        forced=not approved,
    )  # fmt: skip


def rollback(
    settings: RegistrySettings, root: Path, model: str, *, who: str, why: str, now: datetime
) -> ChampionChange:
    """Make the previous champion the champion again; the version taken back is not promoted again by itself.

    Raises:
        RegistryError: no such model, no champion, or no champion before it.
    """
    connection = connect(settings, root)
    with registry_errors(connection.where), registry_lock(settings, root, "promotion"):
        current = aliases_of(connection, model).get(CHAMPION)
        history = _history(connection, model, current)
        if current is None or len(history) < 2:
            raise RegistryError(
                "there is no previous champion to go back to",
                where=f"model {model}",
                expected="at least two promotions",
                action=f"promote a version: visionloop promote {model} VERSION ({versions_text(connection, model)})",
            )
        previous = history[-2]
        variant = stage(connection, settings, root, known_version(connection, model, previous))
        change = ChampionChange(
            when=utc_text(now),
            who=who,
            action="rollback",
            model=model,
            from_version=current,
            to_version=previous,
            why=why,
        )
        _set_champion(connection, settings, root, change, history[:-1])
        point_to_champion(settings, root, variant)
        connection.client.set_model_version_tag(model, current, ROLLED_BACK, change.when)
    refresh_catalog(settings, root)
    return change


def _set_champion(
    connection: Connection, settings: RegistrySettings, root: Path, change: ChampionChange, history: Sequence[str]
) -> None:
    client = connection.client
    # The alias is the commit; what follows only describes it and is put right by `_history` if it is lost.
    client.set_registered_model_alias(change.model, CHAMPION, change.to_version)
    client.set_registered_model_tag(change.model, CHAMPIONS, json.dumps(list(history)))
    if aliases_of(connection, change.model).get(CHALLENGER) == change.to_version:
        client.delete_registered_model_alias(change.model, CHALLENGER)
    append_audit(root / settings.audit, change)


def _history(connection: Connection, model: str, current: str | None) -> list[str]:
    """Champions from the first to the current one; a rollback takes the last one off."""
    stored = connection.client.get_registered_model(model).tags.get(CHAMPIONS, "[]")
    history = [str(version) for version in json.loads(stored)]
    if current is None:
        return history
    if current not in history:
        return [*history, current]
    # An interruption between alias and tag leaves versions behind the current one.
    last = len(history) - 1 - history[::-1].index(current)
    return history[: last + 1]


def _changed_meanwhile(model: str, expected: str | None, current: str | None) -> RegistryError:
    return RegistryError(
        f"the champion changed meanwhile: it is version {current or 'none'}, judged against {expected or 'none'}",
        where=f"model {model}",
        expected="the champion the decision was made against",
        action="run the command again; it judges against the new champion",
    )
