"""The `visionloop` command. Imports of work happen inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from visionloop import __version__
from visionloop.ab_commands import ab
from visionloop.alert_commands import alerts
from visionloop.core.errors import ImageError, RegistryError, VisionloopError
from visionloop.drift_commands import drift
from visionloop.label_commands import label
from visionloop.retrain_commands import drill, retrain, schedule

if TYPE_CHECKING:
    from visionloop.registry.settings import RegistrySettings


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
    """The whole loop for computer vision: train, evaluate, register, promote, predict."""


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", "-m", help="A bundle's folder, a task's name (its champion), or MODEL@ALIAS or MODEL/VERSION.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for pictures with labels or boxes drawn.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of a table.")
@click.option(
    "--engine", type=click.Choice(["onnxruntime", "openvino", "torch"]), default="onnxruntime", show_default=True
)
@click.option("--threads", type=click.IntRange(0), default=0, help="Threads of one inference; 0 takes all cores.")
def predict(
    images: Sequence[Path], model: str | None, out: Path | None, as_json: bool, engine: Any, threads: int
) -> None:
    """Predict what is in IMAGES (files or folders) with a bundle."""
    from visionloop.artifact.predictor import Predictor
    from visionloop.artifact.runtimes import RuntimeSettings

    paths = _image_files(images)
    predictor = Predictor.open(_bundle_folder(model), RuntimeSettings(engine=engine, threads=threads))
    failures = 0
    rows: list[tuple[str, str]] = []
    for path in paths:
        try:
            line, summary = _predict_one(predictor, path, out)
        except ImageError as error:
            failures += 1
            line, summary = {"image": str(path), "error": error.what, "code": error.code}, f"skipped: {error.what}"
        if as_json:
            click.echo(json.dumps(line, ensure_ascii=False))
        rows.append((str(path), summary))
    if not as_json:
        width = max(len(name) for name, _ in rows)
        for name, summary in rows:
            click.echo(f"{name:<{width}}  {summary}")
    if out is not None and failures < len(rows):
        click.echo(f"{len(rows) - failures} pictures in {out}", err=True)
    if failures:
        raise VisionloopError(
            f"{failures} of {len(rows)} files are not images",
            where=next(name for name, summary in rows if summary.startswith("skipped")),
            expected="JPEG, PNG, WebP or BMP",
            action="see the lines marked above; the others were predicted",
        )


def _predict_one(predictor: Any, path: Path, out: Path | None) -> tuple[dict[str, Any], str]:
    from visionloop.core.images import decode_image

    image = decode_image(path.read_bytes(), where=str(path))
    prediction = next(predictor.predict_stream([image]))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        predictor.task.draw(image, prediction, predictor.classes).save(_free_name(out, path))
    return {"image": str(path), **prediction.to_record(predictor.classes)}, prediction.summary(predictor.classes)


def _free_name(folder: Path, path: Path) -> Path:
    """A PNG name in `folder` for the picture of `path`; never one that exists, so that no input is overwritten."""
    candidate, number = folder / f"{path.stem}.png", 1
    while candidate.exists():
        number += 1
        candidate = folder / f"{path.stem}-{number}.png"
    return candidate


def _image_files(paths: Sequence[Path]) -> list[Path]:
    from visionloop.core.images import SUFFIXES

    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        elif path.is_file():
            found.append(path)
        else:
            raise VisionloopError(
                "no such file or folder", where=str(path), expected="an image or a folder", action="correct the path"
            )
    if not found:
        raise VisionloopError(
            "no image found",
            where=", ".join(map(str, paths)),
            expected=f"files ending in {', '.join(SUFFIXES)}",
            action="name image files, or a folder that holds some",
        )
    return found


def _bundle_folder(model: str | None) -> Path:
    """The folder of the bundle that `--model` names: a folder itself, else a version in the registry."""
    if model is not None and (Path(model) / "bundle.json").is_file():
        return Path(model)
    from visionloop.registry.models import fetch_bundle

    settings, root = _registry()
    name, alias = _registered(model)
    return fetch_bundle(settings, root, name, alias, root / "build" / "fetched")


def _registered(model: str | None) -> tuple[str, str]:
    """Name and alias or version of `NAME`, `NAME@ALIAS`, `NAME/VERSION`; a task's name means its champion."""
    from visionloop.registry.models import list_models

    name, alias = model or "", "champion"
    for separator in "@/":
        if separator in name:
            name, alias = name.rsplit(separator, 1)
    settings, root = _registry()
    rows = list_models(settings, root)
    champions = {row.model for row in rows if "champion" in row.aliases}
    matches = [row for row in sorted(champions) if not name or row == name or row.endswith(f"-{name}")]
    if name in {row.model for row in rows}:
        return name, alias
    if len(matches) == 1:
        return matches[0], alias
    raise RegistryError(
        f"{'no model is named' if name else 'several champions, or none;'} {model or 'name one'}"
        if not matches
        else f"{len(matches)} champions fit",
        where="option --model",
        expected=", ".join(sorted(champions)) or "a bundle's folder, or a registered model",
        action="name a model with --model, or run `make demo` first" if not champions else "name one with --model",
    )


def _registry() -> tuple[RegistrySettings, Path]:
    """The registry of the project in the working directory."""
    from visionloop.config import load_config

    root = Path.cwd()
    return load_config(root=root).general.registry, root


@main.command()
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def models(as_json: bool) -> None:
    """List registered models: versions, aliases, metrics, the gate's decision."""
    from visionloop.registry.models import list_models
    from visionloop.registry.render import models_json, models_table

    rows = list_models(*_registry())
    if as_json:
        click.echo(models_json(rows))
    elif not rows:
        click.echo("no model is registered yet; `dvc repro` registers what it trains")
    else:
        from rich.console import Console

        # A pipe has no width of its own; cells must not be cut there.
        console = Console()
        Console(width=None if console.is_terminal else 160).print(models_table(rows))


@main.command()
@click.argument("model")
@click.argument("version", required=False)
@click.option("--why", default="by hand", show_default=True, help="Reason, for the audit.")
@click.option("--force", is_flag=True, help="Promote although the gate refused; the audit says so.")
def promote(model: str, version: str | None, why: str, force: bool) -> None:
    """Make VERSION of MODEL (its challenger by default) the champion, if the gate allows it."""
    from visionloop.registry.champions import promote_by_hand
    from visionloop.registry.render import change_line

    settings, root = _registry()
    change = promote_by_hand(
        settings, root, model, version, who=getpass.getuser(), why=why, now=datetime.now(UTC), force=force
    )
    click.echo(change_line(change))


@main.command()
@click.argument("model")
@click.option("--why", default="by hand", show_default=True, help="Reason, for the audit.")
def rollback(model: str, why: str) -> None:
    """Make the previous champion of MODEL the champion again."""
    from visionloop.registry.champions import rollback as roll_back
    from visionloop.registry.render import change_line

    settings, root = _registry()
    click.echo(change_line(roll_back(settings, root, model, who=getpass.getuser(), why=why, now=datetime.now(UTC))))


@main.command()
@click.argument("model")
@click.argument("version", required=False)
@click.option("--canary", metavar="SHARE", help="Let VERSION (the challenger by default) answer a share, such as 10%.")
@click.option("--shadow", is_flag=True, help="Let VERSION (the challenger by default) answer along, unseen.")
@click.option("--stop", is_flag=True, help="End canary and shadow.")
def deploy(model: str, version: str | None, canary: str | None, shadow: bool, stop: bool) -> None:
    """Let MODEL's champion serve its task, or a VERSION beside it. A running service follows within seconds."""
    from visionloop.artifact.deployment import describe
    from visionloop.registry import deploy as deploying

    if sum((canary is not None, shadow, stop)) > 1:
        raise click.UsageError("--canary, --shadow and --stop exclude each other")
    settings, root = _registry()
    if stop:
        lineup = deploying.withdraw(settings, root, model)
    elif canary is not None:
        lineup = deploying.deploy(settings, root, model, version, role="canary", share=_share(canary))
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


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--host", help="Address to listen on; by default as configured.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on; by default as configured.")
@click.argument("bentoml_options", nargs=-1, type=click.UNPROCESSED)
def serve(host: str | None, port: int | None, bentoml_options: Sequence[str]) -> None:
    """Serve what is deployed over HTTP; further options go to `bentoml serve`, such as --ssl-certfile."""
    import os
    import shutil

    from visionloop.artifact.deployment import Deployment, describe
    from visionloop.serving.front import load_settings, state_root
    from visionloop.serving.guard import keys_needed, require_keys
    from visionloop.serving.keys import KeyRing

    root = Path.cwd()
    settings = load_settings(root)
    host, port = host or settings.host, port or settings.port
    if keys_needed(settings, host):
        require_keys(KeyRing(state_root(root) / settings.keys.file))
    program = shutil.which("bentoml", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
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
    os.execv(program, [program, "serve", target, "--host", host, "--port", str(port), *bentoml_options])


def _require_free_port(host: str, port: int) -> None:
    import socket

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


main.add_command(ab)
main.add_command(alerts)
main.add_command(retrain)
main.add_command(schedule)
main.add_command(drift)
main.add_command(label)
main.add_command(drill)


@main.group()
def keys() -> None:
    """API keys of the service; only their hashes are kept."""


def _key_file() -> Path:
    from visionloop.serving.front import load_settings, state_root

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


if __name__ == "__main__":
    sys.exit(main())
