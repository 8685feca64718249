"""The `visionloop` command. Imports of work happen inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import sys
from typing import Any

import click

from visionloop import __version__
from visionloop.commands.ab import ab
from visionloop.commands.alerts import alerts
from visionloop.commands.drift import drift
from visionloop.commands.keys import keys
from visionloop.commands.label import label
from visionloop.commands.models import deploy, models, promote, rollback
from visionloop.commands.predict import predict
from visionloop.commands.retrain import drill, retrain, schedule
from visionloop.commands.serve import serve
from visionloop.core.errors import VisionloopError


class _Group(click.Group):
    """Prints a user's error without a stack trace."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VisionloopError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="visionloop")
def main() -> None:
    """Use, watch and renew the models of this project.

    They are made by `dvc repro`, or stage by stage by `python -m pipelines.STAGE` (prepare, explore, train, export,
    evaluate, register); README.md and docs/ say more.
    """


for command in (
    predict, models, promote, rollback, deploy, serve, keys, label, drift, alerts, ab, retrain, schedule, drill,
):  # fmt: skip
    main.add_command(command)


if __name__ == "__main__":
    sys.exit(main())
