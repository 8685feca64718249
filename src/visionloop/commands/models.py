"""`visionloop models`, `promote`, `rollback` and `deploy`."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

import click

from visionloop.commands.project import registry


@click.command(short_help="List registered models.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def models(as_json: bool) -> None:
    """List registered models: versions, aliases, metrics, the gate's decision."""
    from visionloop.registry.models import list_models
    from visionloop.registry.render import models_json, models_table

    rows = list_models(*registry())
    if as_json:
        click.echo(models_json(rows))
    elif not rows:
        click.echo("no model is registered yet; `dvc repro` registers what it trains")
    else:
        from rich.console import Console

        # A pipe has no width of its own; cells must not be cut there.
        console = Console()
        width = console.width if console.is_terminal else 160
        Console(width=width).print(models_table(rows, width=width))


@click.command(short_help="Make a version the champion.")
@click.argument("model")
@click.argument("version", required=False)
@click.option("--why", default="by hand", show_default=True, help="Reason, for the audit.")
@click.option("--force", is_flag=True, help="Promote although the gate refused; the audit says so.")
def promote(model: str, version: str | None, why: str, force: bool) -> None:
    """Make VERSION of MODEL (its challenger by default) the champion, if the gate allows it."""
    from visionloop.registry.champions import promote_by_hand
    from visionloop.registry.render import change_line

    settings, root = registry()
    change = promote_by_hand(
        settings, root, model, version, who=getpass.getuser(), why=why, now=datetime.now(UTC), force=force
    )
    click.echo(change_line(change))


@click.command()
@click.argument("model")
@click.option("--why", default="by hand", show_default=True, help="Reason, for the audit.")
def rollback(model: str, why: str) -> None:
    """Make the previous champion of MODEL the champion again."""
    from visionloop.registry.champions import rollback as roll_back
    from visionloop.registry.render import change_line

    settings, root = registry()
    click.echo(change_line(roll_back(settings, root, model, who=getpass.getuser(), why=why, now=datetime.now(UTC))))


@click.command()
@click.argument("model")
@click.argument("version", required=False)
@click.option("--canary", metavar="SHARE", help="Let VERSION (the challenger by default) answer a share, such as 10%.")
@click.option("--shadow", is_flag=True, help="Let VERSION (the challenger by default) answer along, unseen.")
@click.option("--why", default="by hand", show_default=True, help="Reason of a canary, for the audit.")
@click.option("--force", is_flag=True, help="Start a canary although the gate refused it; the audit says so.")
@click.option("--stop", is_flag=True, help="End canary and shadow.")
def deploy(
    model: str, version: str | None, canary: str | None, shadow: bool, why: str, force: bool, stop: bool
) -> None:
    """Let MODEL's champion serve its task, or a VERSION beside it. A running service follows within seconds."""
    from visionloop.artifact.deployment import describe
    from visionloop.registry import deploy as deploying

    if sum((canary is not None, shadow, stop)) > 1:
        raise click.UsageError("--canary, --shadow and --stop exclude each other")
    if canary is None and force:
        raise click.UsageError("--force is of --canary")
    settings, root = registry()
    if stop:
        lineup = deploying.withdraw(settings, root, model)
    elif canary is not None:
        lineup = deploying.deploy(
            settings, root, model, version, role="canary", share=_share(canary), why=why, force=force
        )
    else:
        lineup = deploying.deploy(settings, root, model, version, role="shadow" if shadow else "champion")
    click.echo(f"serves: {describe(lineup)}")


def _share(text: str) -> float:
    """`10%` or `0.1` as 0.1."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise click.BadParameter(f"{text!r} is no share; 10% and 0.1 are", param_hint="--canary")
    return value
