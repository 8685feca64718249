"""The pages of docs/ that are made from the code: docs/configuration.md, and docs/api.md."""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
import textwrap
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipelines.api_reference import API_TARGET, api_reference
from pipelines.stage import guarded
from visionloop.config import TASK_SCHEMA, GeneralSettings
from visionloop.core.files import write_text
from visionloop.task import load_task, task_names

TARGET = Path("docs/configuration.md")


def main() -> None:
    """Write the pages."""
    for target, text in ((TARGET, reference()), (API_TARGET, api_reference())):
        write_text(target, text)
        print(f"wrote {target}")


def reference() -> str:
    """docs/configuration.md, from the settings' own docstrings."""
    parts = [
        "# Configuration\n\nMade by `python -m pipelines.reference` from the code. Values are set in `conf/`; a value "
        "that no file there mentions\nhas the default below.\n",
        "## General\n",
        *_table(GeneralSettings, ""),
        "\n## Every task\n\nBelow `<task>.`:\n",
    ]
    for section, cls in TASK_SCHEMA.items():
        parts += [f"\n### {section}\n", *_table(cls, f"{section}.")]
    for name in task_names():
        task = load_task(name)
        for section, cls in (("model", task.model_settings), ("augment", task.augment_settings)):
            parts += [f"\n### {name}.{section}\n", *_table(cls, f"{section}.")]
    return "\n".join(parts) + "\n"


def _table(cls: type[BaseModel], prefix: str) -> list[str]:
    return ["| key | default | range | meaning |", "|---|---|---|---|", *_rows(cls, prefix)]


def _rows(cls: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    meanings = _attribute_docstrings(cls)
    for name, field in cls.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            rows += _rows(annotation, f"{prefix}{name}.")
            continue
        default = "required" if field.is_required() else f"`{field.get_default(call_default_factory=True)!r}`"
        meaning = " ".join(meanings.get(name, "").split()).replace("|", "\\|")
        rows.append(f"| `{prefix}{name}` | {default} | {_range(field)} | {meaning} |")
    return rows


def _attribute_docstrings(cls: type[BaseModel]) -> dict[str, str]:
    """What is written below the fields of a class, and of those it inherits from."""
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if not issubclass(owner, BaseModel) or owner is BaseModel:
            continue
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in itertools.pairwise(definition.body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(meaning))):
                    found[name] = meaning
    return found


def _range(field: FieldInfo) -> str:
    annotation = str(field.annotation)
    if "Literal" in annotation:
        return annotation.split("Literal", 1)[1].strip("[]")
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "multiple_of": "multiple of"}
    found = [
        f"{sign} {getattr(item, key)}" for item in field.metadata for key, sign in signs.items() if hasattr(item, key)
    ]
    return ", ".join(found)


if __name__ == "__main__":
    sys.exit(guarded(main))
