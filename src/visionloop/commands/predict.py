"""`visionloop predict`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from visionloop.commands.project import registry
from visionloop.core.errors import ImageError, RegistryError, VisionloopError


@click.command()
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
    from visionloop.artifact.settings import RuntimeSettings

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
            action="see the lines marked above"
            + ("; the others were predicted" if failures < len(rows) else "; nothing was predicted"),
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

    settings, root = registry()
    name, alias = _registered(model)
    return fetch_bundle(settings, root, name, alias, root / "build" / "fetched")


def _registered(model: str | None) -> tuple[str, str]:
    """Name and alias or version of `NAME`, `NAME@ALIAS`, `NAME/VERSION`; a task's name means its champion."""
    from visionloop.registry.models import list_models

    name, alias = model or "", "champion"
    for separator in "@/":
        if separator in name:
            name, alias = name.rsplit(separator, 1)
    settings, root = registry()
    rows = list_models(settings, root)
    fitting = [row for row in rows if not name or row.model == name or row.model.endswith(f"-{name}")]
    champions = sorted({row.model for row in fitting if "champion" in row.aliases})
    if name in {row.model for row in rows}:
        return name, alias
    if len(champions) == 1:
        return champions[0], alias
    raise _no_single_champion(name, champions, [f"{row.model}/{row.version}" for row in fitting], bool(rows))


def _no_single_champion(name: str, champions: list[str], versions: list[str], are_others: bool) -> RegistryError:
    of_name = f" of {name!r}" if name else ""
    what, expected = "no model is registered yet", "a bundle's folder, or a registered model"
    action = "run `dvc repro`, or `make demo` for the digits, first"
    if champions:
        what, expected, action = f"{len(champions)} champions fit", ", ".join(champions), "name one with --model"
    elif versions:
        what, expected = f"there is no champion{of_name}: the gate promoted none", ", ".join(versions)
        model = versions[0].rpartition("/")[0]
        action = f"name a version, as in --model {versions[0]}; `visionloop promote {model}` says what the gate found"
    elif are_others:
        what, expected = f"there is no model {name!r}", "a registered model, as `visionloop models` lists them"
        action = "name one with --model"
    return RegistryError(what, where="option --model", expected=expected, action=action)
