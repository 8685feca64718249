"""The bundle: a folder in which every file is hashed and nothing is a pickle.

Layout::

    bundle.json          the manifest: task, classes, recipe, operating point, provenance, parity, file hashes
    model.onnx           the graph: uint8 [N,H,W,3] in, the task's outputs out
    weights.safetensors  the framework's weights, for the torch runtime and for further training
    golden.npz           a few real inputs with the graph's outputs, replayed when the bundle is opened
    model_card.md        what the model is, for people
    reference.json/.npz  what held-out images and the answers to them look like, for drift (monitoring.drift.profile)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError

from visionloop.core import files
from visionloop.core.errors import BundleError
from visionloop.core.images import Recipe
from visionloop.core.settings import Settings

FORMAT_VERSION = 1
MANIFEST = "bundle.json"
GRAPH = "model.onnx"
WEIGHTS = "weights.safetensors"
GOLDEN = "golden.npz"
MODEL_CARD = "model_card.md"


class ParityReport(Settings):
    """How closely the exported graph follows the framework, on real validation images."""

    num_images: int = Field(ge=0)
    """Validation images compared."""
    max_relative_error: dict[str, float]
    """Largest absolute difference per output, relative to its largest absolute value."""
    tolerance: dict[str, float]
    """What was allowed per output."""
    metric: str
    """The task's primary metric."""
    metric_framework: float | None
    """Its value with the framework's outputs."""
    metric_bundle: float | None
    """Its value with the graph's outputs."""
    max_metric_drop: float
    """Allowed drop, absolute."""
    passed: bool
    """Whether every tolerance and the metric drop held."""


class Manifest(Settings):
    """What `bundle.json` holds."""

    format_version: int
    """Version of this layout."""
    task: str
    """Name of the task."""
    classes: tuple[str, ...]
    """Class names in the order of the graph's class axis."""
    classes_hash: str
    """Hash of that order."""
    recipe: Recipe
    """How an image becomes the graph's input."""
    outputs: tuple[str, ...]
    """Names of the graph's outputs."""
    operating_point: dict[str, Any]
    """Temperature or thresholds, chosen on the validation split."""
    model: dict[str, Any]
    """The model's settings, enough to rebuild the network around the weights."""
    dataset: dict[str, Any]
    """Name, content hash and split counts of the dataset it was trained on."""
    training: dict[str, Any]
    """Training's settings and summary."""
    parity: ParityReport
    """The proof that the graph is the trained network."""
    versions: dict[str, str]
    """Versions of visionloop and the libraries that made it."""
    files: dict[str, str]
    """SHA-256 of every other file, by relative name."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle whose files have been verified."""

    root: Path
    manifest: Manifest

    @classmethod
    def open(cls, root: Path, *, verify: bool = True) -> Self:
        """Open a bundle folder.

        Args:
            root: The folder with `bundle.json`.
            verify: Whether to hash every file; leave it out only right after writing.

        Raises:
            BundleError: not a bundle, an unknown format version, a file missing or altered.
        """
        manifest = _read_manifest(root)
        if verify:
            _verify(root, manifest)
        return cls(root, manifest)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the manifest, which holds every file's hash: the bundle's identity."""
        return files.sha256_file(self.root / MANIFEST)

    @property
    def size_bytes(self) -> int:
        """Bytes of the files a service loads: the graph."""
        return (self.root / GRAPH).stat().st_size


def write_manifest(root: Path, **values: Any) -> Manifest:
    """Hash the files in `root` and write the manifest, last.

    Args:
        root: Folder with every other file in place.
        values: The manifest's fields except `format_version` and `files`.
    """
    hashes = {
        path.relative_to(root).as_posix(): files.sha256_file(path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    manifest = Manifest(format_version=FORMAT_VERSION, files=hashes, **values)
    files.write_text(root / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    return manifest


def _read_manifest(root: Path) -> Manifest:
    path = root / MANIFEST
    action = "run the export stage again, or fetch the bundle again from the registry"
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise BundleError(
            "this is not a bundle", where=str(root), expected=f"a folder with {MANIFEST}", action=action
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"damaged: {error}", where=str(path), expected="a JSON manifest", action=action) from None
    version = values.get("format_version") if isinstance(values, dict) else None
    if version != FORMAT_VERSION:
        raise BundleError(
            f"format version {version!r}",
            where=str(path),
            expected=f"format version {FORMAT_VERSION}",
            action="open it with the visionloop version that wrote it, or export it again",
        )
    try:
        return Manifest.model_validate_json(json.dumps(values))
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleError(
            f"field {'.'.join(map(str, first['loc']))}: {first['msg']}",
            where=str(path),
            expected="a manifest as visionloop writes it",
            action=action,
        ) from None


def _verify(root: Path, manifest: Manifest) -> None:
    for name, expected in manifest.files.items():
        path = root / name
        found = files.sha256_file(path) if path.is_file() else "no file"
        if found != expected:
            raise BundleError(
                f"file {name} is missing or was altered (sha256 {found[:12]})",
                where=str(path),
                expected=f"sha256 {expected[:12]}…",
                action="fetch the bundle again; an altered bundle is never loaded",
            )
