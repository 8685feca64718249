from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from tests.evaluation.test_gate import summary
from tests.registry.conftest import MODEL, NOW, Project
from visionloop.artifact.bundle import Bundle
from visionloop.artifact.deployment import Deployment, Lineup
from visionloop.cli import main
from visionloop.core.errors import RegistryError
from visionloop.evaluation.gate import decide
from visionloop.evaluation.settings import GateSettings
from visionloop.registry.audit import champion_changes, champion_since
from visionloop.registry.champions import rollback
from visionloop.registry.deploy import deploy, withdraw
from visionloop.registry.models import fetch_bundle, record_verdict

TASK = "brightness"


def lineup(project: Project) -> Lineup:
    return Deployment.read(project.root / "mlruns/deployment.json").tasks[TASK]


def test_promotion_and_rollback_move_the_pointer_to_a_verified_copy(project: Project) -> None:
    project.versions(2)
    project.promote("1", None)
    first = lineup(project).champion
    assert (first.model, first.version) == (MODEL, "1")
    copy = project.root / "mlruns" / first.bundle
    assert Bundle.open(copy).digest == first.digest
    assert (copy.parent / "evaluation" / "metrics.json").exists()
    project.promote("2", "1")
    assert lineup(project).champion.version == "2"
    rollback(project.settings, project.root, MODEL, who="bob", why="complaints", now=NOW)
    assert lineup(project).champion == first


def test_what_serves_needs_no_registry(project: Project) -> None:
    project.versions(1)
    project.promote("1", None)
    shutil.rmtree(project.root / "mlruns/artifacts")
    assert Bundle.open(project.root / "mlruns" / lineup(project).champion.bundle)


def test_a_version_whose_files_are_gone_is_not_promoted(project: Project) -> None:
    project.versions(1)
    shutil.rmtree(project.root / "mlruns/artifacts")
    with pytest.raises(RegistryError, match="artifacts are gone"):
        project.promote("1", None)
    assert "champion" not in project.aliases()


def test_canary_and_shadow_beside_the_champion(project: Project) -> None:
    project.versions(3)
    project.promote("1", None)
    deploy(project.settings, project.root, MODEL, None, role="canary", share=0.1)
    canary = lineup(project).canary
    assert canary is not None
    assert (canary.version, canary.share) == ("3", 0.1)
    deploy(project.settings, project.root, MODEL, "2", role="shadow")
    shadow = lineup(project).shadow
    assert shadow is not None
    assert shadow.version == "2"
    # The canary becomes champion: it is canary no more, and the shadow stays.
    project.promote("3", "1")
    assert lineup(project).canary is None
    assert lineup(project).shadow == shadow
    withdraw(project.settings, project.root, MODEL)
    assert lineup(project) == Lineup(champion=lineup(project).champion)


def test_what_cannot_be_deployed(project: Project) -> None:
    project.versions(2)
    with pytest.raises(RegistryError, match="there is no champion"):
        deploy(project.settings, project.root, MODEL, None, role="champion")
    with pytest.raises(RegistryError, match="its champion does not serve"):
        deploy(project.settings, project.root, MODEL, "2", role="canary", share=0.1)
    project.promote("1", None)
    with pytest.raises(RegistryError, match="is the champion that serves"):
        deploy(project.settings, project.root, MODEL, "1", role="canary", share=0.1)
    with pytest.raises(RegistryError, match="version 2 is not the champion") as error:
        deploy(project.settings, project.root, MODEL, "2", role="champion")
    assert "visionloop promote" in error.value.action


def test_without_a_champion_one_is_told_what_the_gate_found(project: Project) -> None:
    """Where nothing was promoted, and how to look at the version all the same."""
    project.versions(1)
    verdict = decide(GateSettings(floors={"accuracy": 0.9}), summary(800), None)
    record_verdict(project.settings, project.root, MODEL, "1", verdict)
    asked = [
        lambda: deploy(project.settings, project.root, MODEL, None, role="champion"),
        lambda: fetch_bundle(project.settings, project.root, MODEL, "champion", project.root / "fetched"),
    ]
    for ask in asked:
        with pytest.raises(RegistryError) as raised:
            ask()
        error = raised.value
        assert error.what == (
            "there is no champion; of version 1 the gate says: refuse: accuracy 0.8000 is below its floor 0.9"
        )
        assert error.expected == "a version with the alias @champion (versions 1)"
        assert f"{MODEL}/1" in error.action
        assert f"visionloop promote {MODEL} 1 --force" in error.action


def test_predict_names_the_versions_of_a_task_without_a_champion(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visionloop.commands.predict.registry", lambda: (project.settings, project.root))
    image = project.root / "a.png"
    image.touch()

    def said(model: str) -> str:
        result = CliRunner().invoke(main, ["predict", "--model", model, str(image)])
        return " ".join(result.output.split())

    assert "no model is registered yet" in said(TASK)
    project.versions(1)
    assert f"there is no champion of {TASK!r}: the gate promoted none" in said(TASK)
    assert f"--model {MODEL}/1" in said(TASK)
    assert "there is no model 'other'" in said("other")


def test_bundles_that_served_long_ago_are_cleared_away(project: Project) -> None:
    versions = project.versions(8)
    for before, version in zip([None, *versions], versions, strict=False):
        project.promote(version, before)
    kept = list((project.root / "mlruns/deployed").glob("[!.]*"))
    assert len(kept) == 6
    assert (project.root / "mlruns" / lineup(project).champion.bundle).is_dir()


def test_a_canary_that_the_gate_refused_needs_force_and_leaves_a_trace(project: Project) -> None:
    project.versions(1)
    project.promote("1", None)
    folder = project.make("bad", threshold=90.0)
    version = project.register(folder).version
    project.judge(folder, version, floor=0.99)
    with pytest.raises(RegistryError, match="the gate says: refuse: accuracy") as error:
        deploy(project.settings, project.root, MODEL, version, role="canary", share=0.5)
    assert "--shadow" in error.value.action
    assert lineup(project).canary is None
    deploy(project.settings, project.root, MODEL, version, role="shadow")  # nobody gets its answers
    deploy(
        project.settings, project.root, MODEL, version, role="canary", share=0.5, who="ann", why="to see", force=True
    )
    canary = lineup(project).canary
    assert canary is not None
    assert canary.version == version
    audit = project.root / project.settings.audit
    last = json.loads(audit.read_text().splitlines()[-1])
    assert (last["action"], last["who"], last["to_version"], last["why"], last["forced"]) == (
        "canary", "ann", version, "50%: to see", True,
    )  # fmt: skip
    # Of champions' changes it is none.
    assert champion_since(audit, MODEL) == NOW
    assert [line["action"] for line in champion_changes(audit, 10)] == ["promote"]
    assert champion_since(audit, "another") is None
