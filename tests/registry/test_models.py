from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.evaluation.fake import make_bundle
from tests.registry.conftest import MODEL, Project
from visionloop.artifact.bundle import Bundle
from visionloop.core.errors import BundleError, RegistryError
from visionloop.registry.connection import connect
from visionloop.registry.models import fetch_bundle, fetch_evaluation, list_models, model_name, register, stored_verdict
from visionloop.registry.settings import RegistrySettings


def test_a_bundle_becomes_the_challenger(project: Project) -> None:
    folder = project.make("m0")
    version = project.register(folder)
    assert (version.model, version.version, version.created) == (MODEL, "1", True)
    assert project.aliases() == {"challenger": "1"}
    connection = connect(project.settings, project.root)
    found = connection.client.get_model_version(MODEL, "1")
    digest = Bundle.open(folder / "bundle").digest
    assert found.tags["visionloop.bundle_sha256"] == digest
    assert found.tags["visionloop.task"] == "brightness"
    assert json.loads(found.tags["visionloop.metrics"])["accuracy"] == 1.0
    assert found.description.startswith("accuracy 1.0000 on 64 test images of greys (")
    run = connection.client.get_run(version.run_id)
    assert run.data.metrics["test/accuracy"] == 1.0
    assert run.info.status == "FINISHED"
    assert found.source == f"{run.info.artifact_uri}/{digest[:12]}/bundle"


def test_the_same_bundle_again_changes_nothing(project: Project) -> None:
    folder = project.make("m0")
    first = project.register(folder)
    project.promote("1", None)
    again = project.register(folder)
    assert again == type(first)(model=MODEL, version="1", created=False, run_id=first.run_id)
    assert project.aliases() == {"champion": "1"}
    connection = connect(project.settings, project.root)
    assert len(connection.client.search_runs([connection.experiment_id])) == 1


def test_two_exports_of_one_training_keep_their_files_apart(project: Project) -> None:
    for index in range(2):
        project.register(project.make(f"m{index}", threshold=100.5 + 4 * index, train_key="same"))
    folders = [fetch_bundle(project.settings, project.root, MODEL, version, project.root / "x") for version in "12"]
    assert Bundle.open(folders[0]).digest != Bundle.open(folders[1]).digest


def test_it_joins_the_finished_run_of_its_training(project: Project) -> None:
    connection = connect(project.settings, project.root)
    run = connection.client.create_run(connection.experiment_id, tags={"visionloop.train_key": "k1"})
    connection.client.set_terminated(run.info.run_id, "FINISHED")
    connection.client.create_run(connection.experiment_id, tags={"visionloop.train_key": "k2"})
    assert project.register(project.make("m0", train_key="k1")).run_id == run.info.run_id
    assert project.register(project.make("m1", train_key="k2", threshold=99.5)).run_id != run.info.run_id


def test_the_evaluation_of_another_bundle_is_refused(project: Project) -> None:
    one, two = project.make("m0"), project.make("m1", threshold=99.5)
    with pytest.raises(RegistryError, match="the evaluation is of another bundle"):
        register(project.settings, project.root, one / "bundle", two / "evaluation")


def test_a_bundle_without_proof_is_refused(project: Project) -> None:
    folder = project.make("m0")
    shutil.rmtree(folder / "bundle")
    make_bundle(folder / "bundle", parity_passed=False)
    record = json.loads((folder / "evaluation" / "evaluation.json").read_text())
    record["bundle_digest"] = Bundle.open(folder / "bundle").digest
    (folder / "evaluation" / "evaluation.json").write_text(json.dumps(record))
    with pytest.raises(RegistryError, match="it is not proven that the bundle's graph answers"):
        project.register(folder)


@pytest.mark.parametrize("name", ["champion", "@champion", "1"])
def test_a_bundle_is_fetched_by_alias_or_version(project: Project, name: str, tmp_path: Path) -> None:
    folder = project.make("m0")
    project.register(folder)
    project.promote("1", None)
    shutil.rmtree(project.root / "build")
    found = fetch_bundle(project.settings, project.root, MODEL, name, tmp_path / "dest")
    assert found.is_relative_to(project.root / "mlruns" / "artifacts")
    assert Bundle.open(found).manifest.task == "brightness"
    summary = fetch_evaluation(project.settings, project.root, MODEL, name, tmp_path / "dest")
    assert summary.metrics["accuracy"] == 1.0
    assert not (tmp_path / "dest").exists()


def test_an_altered_artifact_is_never_handed_out(project: Project, tmp_path: Path) -> None:
    project.register(project.make("m0"))
    folder = fetch_bundle(project.settings, project.root, MODEL, "1", tmp_path)
    (folder / "model_card.md").write_text("better than it is")
    with pytest.raises(BundleError, match=r"file model_card\.md is missing or was altered"):
        fetch_bundle(project.settings, project.root, MODEL, "1", tmp_path)
    shutil.rmtree(folder)
    make_bundle(folder, threshold=1.5)
    with pytest.raises(RegistryError, match="the artifacts hold another bundle"):
        fetch_bundle(project.settings, project.root, MODEL, "1", tmp_path)
    shutil.rmtree(folder)
    with pytest.raises(RegistryError, match="the artifacts are gone"):
        fetch_bundle(project.settings, project.root, MODEL, "1", tmp_path)


def test_unknown_names_come_with_near_ones(project: Project, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="a registered model; there is none yet"):
        fetch_bundle(project.settings, project.root, MODEL, "1", tmp_path)
    project.register(project.make("m0"))
    with pytest.raises(RegistryError) as caught:
        fetch_bundle(project.settings, project.root, "grays-brightness", "1", tmp_path)
    assert str(caught.value) == (
        "there is no model 'grays-brightness'\n"
        f"  where:    registry sqlite:///{project.root}/mlruns/mlflow.db\n"
        "  expected: did you mean greys-brightness?\n"
        "  to do:    correct the name; `visionloop models` lists them"
    )
    with pytest.raises(RegistryError) as caught:
        fetch_bundle(project.settings, project.root, MODEL, "7", tmp_path)
    assert str(caught.value) == (
        "model greys-brightness has no version '7'\n"
        f"  where:    registry sqlite:///{project.root}/mlruns/mlflow.db\n"
        "  expected: versions 1\n"
        "  to do:    correct the version; `visionloop models` lists them"
    )


def test_the_list_shows_aliases_metric_and_verdict(project: Project) -> None:
    folders = [project.make(f"m{index}", threshold=threshold) for index, threshold in enumerate((127.5, 159.0))]
    for folder in folders:
        project.register(folder)
    project.judge(folders[0], "1", floor=0.9)
    project.judge(folders[1], "2", floor=0.9)
    project.promote("1", None)
    rows = list_models(project.settings, project.root)
    assert [(row.version, row.aliases, row.value, row.decision) for row in rows] == [
        ("2", ("challenger",), 0.875, "refuse"),
        ("1", ("champion",), 1.0, "promote"),
    ]
    assert rows[0].reason == "refuse: accuracy 0.8750 is below its floor 0.9"
    assert rows[0].dataset == "greys"


def test_an_empty_registry_lists_nothing(project: Project) -> None:
    assert list_models(project.settings, project.root) == []


def test_the_verdict_is_read_back(project: Project) -> None:
    folder = project.make("m0")
    project.register(folder)
    assert stored_verdict(project.settings, project.root, MODEL, "1") == (None, "")
    verdict = project.judge(folder, "1")
    assert stored_verdict(project.settings, project.root, MODEL, "1") == (verdict, "")


def test_the_models_name_follows_the_pattern(project: Project) -> None:
    settings = RegistrySettings(model_name="{task}")
    folder = project.make("m0")
    assert register(settings, project.root, folder / "bundle", folder / "evaluation").model == "brightness"


def test_characters_that_mlflow_refuses_become_dashes(tmp_path: Path) -> None:
    bundle = Bundle.open(make_bundle(tmp_path / "bundle", dataset="team/it's: cells"))
    assert model_name(RegistrySettings(), bundle) == "team-it-s- cells-brightness"
