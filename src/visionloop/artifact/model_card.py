"""The model card: what the model is, from what, and for what, in one page for people (Mitchell et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def model_card(manifest: Mapping[str, Any]) -> str:
    """Markdown from the manifest's fields."""
    dataset, parity, recipe = manifest["dataset"], manifest["parity"], manifest["recipe"]
    classes = ", ".join(f"`{name}`" for name in manifest["classes"])
    splits = ", ".join(f"{count} {split}" for split, count in dataset["split_counts"].items())
    point = "\n".join(
        f"- `{key}`: {by_class(manifest['classes'], value)}" for key, value in manifest["operating_point"].items()
    )
    model = "\n".join(f"- `{key}`: {value}" for key, value in manifest["model"].items() if value is not None)
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    return f"""# {manifest["task"].capitalize()} model for {dataset["name"]}

**Classes** ({len(manifest["classes"])}): {classes}

**Input**: still images of any size; brought to {recipe.width} x {recipe.height} pixels ({recipe.resize}).

**Trained on**: {dataset["name"]} ({splits} images), version `{dataset["content_hash"][:12]}`,
licence: {dataset["licence"] or "not stated"}.

## Operating point (chosen on the validation split)
{point}

## Model
{model}

## Proof that the served graph is the trained network
On {parity.num_images} validation images: {parity.metric} {_number(parity.metric_framework)} in the framework,
{_number(parity.metric_bundle)} in the graph; largest relative difference of an output
{max(parity.max_relative_error.values()):.1e}.

## Limits
It knows only the classes above and says one of them (or finds none) for any image. Its scores hold for images
like those it was trained on. The evaluation on the test split is stored beside the registered version.

Made with {versions}.
"""


def by_class(classes: Sequence[str], value: Any) -> str:
    """A setting; one of each class with the classes' names."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != len(classes):
        return str(value)
    return ", ".join(f"`{name}` {item:.3g}" for name, item in zip(classes, value, strict=True))


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
