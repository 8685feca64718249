"""`visionloop keys`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click


@click.group()
def keys() -> None:
    """API keys of the service; only their hashes are kept."""


def _key_file() -> Path:
    from visionloop.core.places import state_root
    from visionloop.serving.settings import load_settings

    root = Path.cwd()
    return state_root(root) / load_settings(root).keys.file


@keys.command("create")
@click.argument("name")
@click.option(
    "--role", type=click.Choice(["predict", "feedback", "admin"]), default="predict", show_default=True,
    help="Each role may do what those before it may.",
)  # fmt: skip
def create_key(name: str, role: Any) -> None:
    """Make a key for NAME; it is shown this once."""
    from visionloop.serving import keys as store

    key, secret = store.create_key(_key_file(), name, role, datetime.now(UTC))
    click.echo(f"key {key.id} for {key.name}, role {key.role}; it is not shown again:", err=True)
    click.echo(secret)


@keys.command("list")
def list_keys() -> None:
    """Names, roles and ages of the keys."""
    from visionloop.serving import keys as store

    rows = store.list_keys(_key_file())
    if not rows:
        click.echo("there are no keys; visionloop keys create NAME makes one")
    for key in rows:
        click.echo(f"{key.id}  {key.role:<8}  {key.created}  {key.name}")


@keys.command("revoke")
@click.argument("id_or_name")
def revoke_key(id_or_name: str) -> None:
    """End a key; a running service follows within a second."""
    from visionloop.serving import keys as store

    click.echo(f"revoked: {store.revoke_key(_key_file(), id_or_name).name}")
