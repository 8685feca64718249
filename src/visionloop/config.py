"""The whole configuration: composed by Hydra from `conf/`, validated once, every mistake reported at once.

`conf/config.yaml` is the table of contents. Each task has a block of its own name with the sections of
`SECTIONS`. A stage run by hand works on the task named by `task`, and an override whose key begins with a
section's name concerns that task: `task=detection training.max_epochs=3` means
`detection.training.max_epochs=3`, and `model=resnet18` chooses `conf/<task>/model/resnet18.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from visionloop.artifact.settings import ExportSettings
from visionloop.core.errors import ConfigError, near_matches
from visionloop.core.files import hash_json
from visionloop.core.images import Recipe
from visionloop.core.settings import Settings, collect_problems, settings_error
from visionloop.data.settings import DataSettings
from visionloop.evaluation.settings import EvaluationSettings, GateSettings
from visionloop.monitoring.settings import MonitoringSettings
from visionloop.registry.settings import RegistrySettings
from visionloop.retraining.settings import RetrainingSettings
from visionloop.serving.settings import ServingSettings
from visionloop.task import Task, load_task, task_names
from visionloop.training.settings import TrainingSettings

TASK_SCHEMA: dict[str, type[Settings]] = {
    "data": DataSettings,
    "recipe": Recipe,
    "training": TrainingSettings,
    "export": ExportSettings,
    "evaluation": EvaluationSettings,
    "gate": GateSettings,
}
"""The sections that are alike for all tasks."""

SECTIONS = (*TASK_SCHEMA, "model", "augment")
"""The sections of a task's block; the groups in `conf/<task>/` fill some of them."""

GROUPS = ("source", "model", "augment", "training")
"""The groups of a task in `conf/<task>/`; `source` fills `data.source`."""

PARAMS = "params.yaml"


class GeneralSettings(Settings):
    """What does not belong to a task."""

    tasks: tuple[str, ...] = Field(min_length=1)
    """The tasks that `dvc repro` works on."""
    task: str
    """The task that a stage run by hand works on."""
    build: str = "build"
    """Folder of everything derived: datasets, models, bundles, evaluations."""
    reports: str = "reports"
    """Folder of the small files that are compared over time: metrics and curves."""
    registry: RegistrySettings
    """Where runs and models are kept."""
    serving: ServingSettings = ServingSettings()
    """The HTTP service."""
    monitoring: MonitoringSettings = MonitoringSettings()
    """What watches it."""
    retraining: RetrainingSettings = RetrainingSettings()
    """The loop from feedback to a new model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskConfig:
    """One task's settings, validated.

    Attributes:
        task: The task.
        data, recipe, model, augment, training, export, evaluation, gate: Its sections.
    """

    task: Task
    data: DataSettings
    recipe: Recipe
    model: Settings
    augment: Settings
    training: TrainingSettings
    export: ExportSettings
    evaluation: EvaluationSettings
    gate: GateSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration, validated.

    Attributes:
        root: The project's folder; relative paths start there.
        general: What does not belong to a task.
        blocks: Each task's settings by its name.
        values: The plain values it was made from.
    """

    root: Path
    general: GeneralSettings
    blocks: dict[str, TaskConfig]
    values: dict[str, Any]

    @property
    def selected(self) -> TaskConfig:
        """The block of the task named by `task`."""
        return self.blocks[self.general.task]

    def build(self, *parts: str) -> Path:
        """A path of the selected task below the build folder."""
        return self.root / self.general.build / self.general.task / Path(*parts)

    def reports(self, *parts: str) -> Path:
        """A path of the selected task below the reports folder."""
        return self.root / self.general.reports / self.general.task / Path(*parts)

    @property
    def digest(self) -> str:
        """Hash of all values."""
        return hash_json(self.values)


def load_config(overrides: Sequence[str] = (), *, root: Path | None = None, params: Path | None = None) -> Config:
    """Compose and validate.

    Args:
        overrides: Hydra overrides such as `task=detection`, `training.max_epochs=3`, `experiment=bccd`.
        root: The project's folder with `conf/`; the working directory by default.
        params: A composed `params.yaml` to read instead of `conf/`; then only `task=` may be overridden.

    Raises:
        ConfigError: lists every unknown key, ill-typed value and unknown name at once.
    """
    root = root or Path.cwd()
    values = read_params(params, overrides) if params is not None else compose(root / "conf", overrides)
    return validate(values, root=root, where=str(params or root / "conf"), generated=params is not None)


def read_params(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """The values of a composed file, with `task=` applied."""
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(
            "the composed configuration is missing",
            where=str(path),
            expected="a file composed from conf/",
            action="run `python -m pipelines.config`",
        ) from None
    if not isinstance(values, dict):
        raise ConfigError(
            "not a mapping", where=str(path), expected="keys and values", action="run `python -m pipelines.config`"
        )
    for override in overrides:
        key, _, value = override.partition("=")
        if key != "task":
            raise ConfigError(
                f"override {override!r} beside {path.name}",
                where="command line",
                expected="only task=<name> when a composed file is read",
                action="edit conf/, or leave out --params",
            )
        values["task"] = value
    return values


def compose(folder: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Compose `folder`/config.yaml with Hydra into plain values, interpolations resolved.

    Raises:
        ConfigError: Hydra cannot compose it; the message names the key or file.
    """
    if not (folder / "config.yaml").is_file():
        raise ConfigError(
            "there is no configuration here",
            where=str(folder / "config.yaml"),
            expected="the conf/ folder of a visionloop project",
            action="change to the project's folder",
        )
    general = [_qualify(word, "", folder) for word in overrides if not _concerns_task(word)]
    task = str(_compose(folder, general)["task"])
    return _compose(folder, [_qualify(word, task, folder) for word in overrides])


def _compose(folder: Path, overrides: Sequence[str]) -> dict[str, Any]:
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(folder.resolve()), version_base="1.3"):
            composed = hydra.compose("config", overrides=list(overrides))
            values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        if unknown := re.search(r"Could not override '([^'./]+)'", lines[0]):
            # Hydra would have it appended, which would help nobody.
            known = {*GeneralSettings.model_fields, *task_names(), *SECTIONS, *GROUPS, "experiment"}
            raise ConfigError(
                f"there is no setting {unknown[1]!r}",
                where=f"overrides {list(overrides)}",
                expected=near_matches(unknown[1], known),
                action="correct the override",
            ) from None
        raise ConfigError(
            " ".join(lines)[:600],
            where=f"{folder} with overrides {list(overrides)}" if overrides else str(folder),
            expected="groups and files that exist in conf/",
            action="correct the override or the file",
        ) from None
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _split_override(word: str) -> tuple[str, str, str]:
    """Prefix (`+`, `++`, `~` or nothing), key, and the rest from `=` on."""
    body = word.lstrip("+~")
    key, equals, value = body.partition("=")
    return word[: len(word) - len(body)], key, equals + value


def _concerns_task(word: str) -> bool:
    _, key, _ = _split_override(word)
    return key.replace("/", ".").split(".")[0] in {*SECTIONS, *GROUPS}


def _qualify(word: str, task: str, folder: Path) -> str:
    """Spell out the task, and let a value be set that no file in conf/ mentions: validation judges it."""
    prefix, key, rest = _split_override(word)
    if _concerns_task(word):
        is_group = "." not in key and (folder / task / key).is_dir()
        key = f"{task}/{key}" if is_group else f"{task}.{'data.' if key.startswith('source.') else ''}{key}"
    if "." in key and not prefix:
        prefix = "++"
    return f"{prefix}{key}{rest}"


def validate(values: Mapping[str, Any], *, root: Path, where: str, generated: bool = False) -> Config:
    """Plain values into a `Config`.

    Args:
        values: As YAML gives them.
        root: The project's folder.
        where: The file or folder the values come from, for the error.
        generated: Whether that is a params.yaml composed from conf/, for the error.

    Raises:
        ConfigError: every problem at once.
    """
    blocks = {key: value for key, value in values.items() if key in task_names()}
    general_values = {key: value for key, value in values.items() if key not in blocks}
    problems, general = collect_problems(GeneralSettings, general_values)
    configs: dict[str, TaskConfig] = {}
    for name, block in blocks.items():
        found, config = _task_config(name, block)
        problems += found
        if config is not None:
            configs[name] = config
    if general is not None:
        for key, name in (*(("tasks", name) for name in general.tasks), ("task", general.task)):
            if name not in blocks:
                problems.append(f"{key}: {name!r} has no block; {near_matches(name, blocks)}")
    if problems or general is None:
        raise settings_error(list(dict.fromkeys(problems)), where=where, generated=generated)
    return Config(root=root, general=general, blocks=configs, values=dict(values))


def _task_config(name: str, block: Any) -> tuple[list[str], TaskConfig | None]:
    if not isinstance(block, Mapping):
        return [f"{name}: must be a mapping of sections, found {block!r}"], None
    task = load_task(name)
    schema = {**TASK_SCHEMA, "model": task.model_settings, "augment": task.augment_settings}
    problems = [f"{name}.{key}: unknown key; {near_matches(key, schema)}" for key in block if key not in schema]
    parsed: dict[str, Any] = {}
    for section, cls in schema.items():
        found, parsed[section] = collect_problems(cls, block.get(section) or {}, prefix=f"{name}.{section}")
        problems += found
    return problems, None if problems else TaskConfig(task=task, **parsed)


def to_yaml(values: Mapping[str, Any]) -> str:
    """The composed values as the text of `params.yaml`."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
