"""`visionloop serve`."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from visionloop.core.errors import VisionloopError


@click.command(short_help="Serve what is deployed over HTTP.", context_settings={"ignore_unknown_options": True})
@click.option("--host", help="Address to listen on; by default as configured.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on; by default as configured.")
@click.argument("bentoml_options", nargs=-1, type=click.UNPROCESSED)
def serve(host: str | None, port: int | None, bentoml_options: Sequence[str]) -> None:
    """Serve what is deployed over HTTP; further options go to `bentoml serve`, such as --ssl-certfile."""
    from visionloop.artifact.deployment import Deployment, describe
    from visionloop.core.places import state_root
    from visionloop.serving.keys import KeyRing, keys_needed, require_keys
    from visionloop.serving.settings import load_settings

    root = Path.cwd()
    settings = load_settings(root)
    host, port = host or settings.host, port or settings.port
    if keys_needed(settings, host):
        require_keys(KeyRing(state_root(root) / settings.keys.file))
    if importlib.util.find_spec("bentoml_cli") is None:
        raise VisionloopError(
            "BentoML is not installed",
            where=sys.prefix,
            expected="the extra `serve`",
            action="install visionloop[serve]",
        )
    _require_free_port(host, port)
    lineups = Deployment.read(root / settings.pointer).tasks
    for task, lineup in lineups.items():
        click.echo(f"{task}: {describe(lineup)}")
    if not lineups:
        click.echo("nothing is deployed yet; the service answers 503 until a model is promoted", err=True)
    click.echo(f"http://{host}:{port}  (routes: /openapi.json; stop with Ctrl-C)")
    target = "visionloop.serving.service:VisionLoop"
    # BentoML keeps the metrics of every server of a user in one folder of its home, and empties it at each start.
    os.environ.setdefault("BENTOML_HOME", str(state_root(root) / "mlruns" / "bentoml"))
    _become_bento(["serve", target, "--host", host, "--port", str(port), *bentoml_options])


def _become_bento(arguments: list[str]) -> None:
    """What the program `bentoml` does; a process of its own would load again what is here already."""
    from bentoml_cli.cli import cli

    sys.argv = ["bentoml", *arguments]  # its option --env reads them there
    cli.main(arguments, prog_name="bentoml")


def _require_free_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            raise VisionloopError(
                f"cannot listen there ({error.strerror})",
                where=f"{host}:{port}",
                expected="an address of this machine and a free port",
                action="stop what listens there, or choose another: visionloop serve --port PORT",
            ) from None
