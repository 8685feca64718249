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
