from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from visionloop.config import compose, load_config, to_yaml
from visionloop.core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


def test_a_section_concerns_the_task_that_is_named() -> None:
    config = load_config(["task=detection", "training.max_epochs=3"], root=ROOT)
    assert config.selected.task.name == "detection"
    assert config.selected.training.max_epochs == 3
    assert config.blocks["classification"].training.max_epochs != 3


def test_groups_and_values_that_no_file_mentions() -> None:
    config = load_config(["model=resnet18", "model.small_stem=true", "evaluation.runtime.threads=2"], root=ROOT)
    assert config.selected.model.model_dump()["architecture"] == "resnet18"
    assert config.selected.model.model_dump()["small_stem"] is True
    assert config.selected.evaluation.runtime.threads == 2


def test_the_source_is_overridden_by_its_group_name() -> None:
    config = load_config(["task=detection", "source=voc", "source.path=x.zip"], root=ROOT)
    assert (config.selected.data.source.kind, config.selected.data.source.path) == ("voc", "x.zip")


def test_every_mistake_at_once_before_any_work() -> None:
    overrides = ["training.max_epoch=3", "training.batch_size=x", "detection.recipe.height=2", "registry.timeout=1"]
    with pytest.raises(ConfigError) as error:
        load_config(overrides, root=ROOT)
    lines = error.value.what.splitlines()
    assert lines[0] == "4 settings are wrong:"
    for key in (
        "classification.training.max_epoch",
        "classification.training.batch_size",
        "detection.recipe.height",
        "registry.timeout",
    ):
        assert any(line.startswith(f"  - {key}: ") for line in lines)


def test_a_misspelt_override_is_told_what_was_meant() -> None:
    with pytest.raises(ConfigError, match="there is no setting 'taks'") as error:
        load_config(["taks=detection"], root=ROOT)
    assert error.value.expected.startswith("did you mean task")


def test_unknown_groups_sections_and_tasks() -> None:
    with pytest.raises(ConfigError, match="Could not find 'classification/model/resnet99'"):
        load_config(["model=resnet99"], root=ROOT)
    with pytest.raises(ConfigError, match=r"classification\.trainin: unknown key; did you mean training\?"):
        load_config(["++classification.trainin.max_epochs=3"], root=ROOT)
    with pytest.raises(ConfigError, match="'segmentation' has no block"):
        load_config(["tasks=[segmentation]"], root=ROOT)


@pytest.mark.parametrize("path", sorted((ROOT / "conf/experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_composes(path: Path) -> None:
    config = load_config([f"experiment={path.stem}"], root=ROOT)
    assert config.general.task in config.general.tasks


def test_params_yaml_is_what_conf_says() -> None:
    """Whoever edits conf/ commits what DVC reads: `python -m pipelines.config`."""
    assert (ROOT / "params.yaml").read_text() == to_yaml(compose(ROOT / "conf"))


def test_a_composed_file_is_read_without_conf(tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    config = load_config(["task=detection"], root=tmp_path, params=tmp_path / "params.yaml")
    assert config.selected.task.name == "detection"
    assert config.build("bundle") == tmp_path / "build/detection/bundle"
    with pytest.raises(ConfigError, match=r"override 'training\.max_epochs=3' beside params\.yaml"):
        load_config(["training.max_epochs=3"], root=tmp_path, params=tmp_path / "params.yaml")
    path = tmp_path / "params.yaml"
    path.write_text(path.read_text().replace("max_epochs: ", "max_epochs: many # "))
    with pytest.raises(ConfigError, match=r"must be a valid integer(.|\n)*run `python -m pipelines\.config`"):
        load_config(root=tmp_path, params=path)


def test_no_project_here(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no configuration here"):
        load_config(root=tmp_path)


def test_values_survive_yaml() -> None:
    values = compose(ROOT / "conf", ["training.learning_rate=1e-5"])
    assert yaml.safe_load(to_yaml(values))["classification"]["training"]["learning_rate"] == 1e-5


def test_the_reference_is_what_the_code_says() -> None:
    """Whoever edits settings runs `python -m pipelines.reference`."""
    from pipelines.reference import reference

    assert (ROOT / "docs/configuration.md").read_text() == reference()
