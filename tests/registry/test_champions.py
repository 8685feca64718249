from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.registry.conftest import MODEL, NOW, Project
from visionloop.core.errors import RegistryError
from visionloop.registry.champions import promote_by_hand, rollback
from visionloop.registry.connection import connect


def by_hand(project: Project, version: str | None, *, force: bool = False) -> str:
    change = promote_by_hand(
        project.settings, project.root, MODEL, version, who="ann", why="I know better", now=NOW, force=force
    )
    return change.to_version


def back(project: Project) -> tuple[str | None, str]:
    change = rollback(project.settings, project.root, MODEL, who="bob", why="complaints", now=NOW)
    return change.from_version, change.to_version


def audit(project: Project) -> list[dict[str, object]]:
    return [json.loads(line) for line in (project.root / "mlruns" / "audit.jsonl").read_text().splitlines()]


def test_a_promotion_moves_the_alias_and_leaves_a_line(project: Project) -> None:
    project.versions(2)
    project.promote("1", None)
    project.promote("2", "1", why="accuracy 0.9 to 0.95")
    assert project.aliases() == {"champion": "2"}
    assert audit(project)[1] == {
        "when": "2026-01-02T03:04:05+00:00",
        "who": "ann",
        "action": "promote",
        "model": MODEL,
        "from_version": "1",
        "to_version": "2",
        "why": "accuracy 0.9 to 0.95",
        "forced": False,
    }


def test_another_challenger_stays_challenger(project: Project) -> None:
    project.versions(2)
    project.promote("1", None)
    assert project.aliases() == {"champion": "1", "challenger": "2"}


def test_a_champion_that_changed_meanwhile_is_not_overwritten(project: Project) -> None:
    project.versions(3)
    project.promote("1", None)
    project.promote("2", "1")
    with pytest.raises(RegistryError) as caught:
        project.promote("3", "1")
    assert str(caught.value) == (
        "the champion changed meanwhile: it is version 2, judged against 1\n"
        "  where:    model greys-brightness\n"
        "  expected: the champion the decision was made against\n"
        "  to do:    run the command again; it judges against the new champion"
    )
    assert project.aliases()["champion"] == "2"
    assert len(audit(project)) == 2


def test_of_several_at_once_one_wins(project: Project) -> None:
    versions = project.versions(3)

    def attempt(version: str) -> bool:
        try:
            project.promote(version, None)
        except RegistryError:
            return False
        return True

    with ThreadPoolExecutor(3) as pool:
        won = list(pool.map(attempt, versions))
    assert won.count(True) == 1
    assert project.aliases()["champion"] == versions[won.index(True)]
    assert len(audit(project)) == 1


def test_unknown_versions_are_refused_with_the_known_ones(project: Project) -> None:
    project.versions(2)
    with pytest.raises(RegistryError, match="has no version '7'") as caught:
        project.promote("7", None)
    assert caught.value.expected == "versions 1, 2"


def test_the_champion_is_not_promoted_again(project: Project) -> None:
    project.versions(1)
    project.promote("1", None)
    with pytest.raises(RegistryError, match="version 1 is the champion already"):
        project.promote("1", "1")


def test_rollback_walks_back_through_the_champions(project: Project) -> None:
    project.versions(3)
    for expected, version in ((None, "1"), ("1", "2"), ("2", "3")):
        project.promote(version, expected)
    assert back(project) == ("3", "2")
    assert back(project) == ("2", "1")
    with pytest.raises(RegistryError, match="there is no previous champion to go back to"):
        back(project)
    assert [line["action"] for line in audit(project)] == ["promote"] * 3 + ["rollback"] * 2
    project.promote("3", "1")
    assert back(project) == ("3", "1")


def test_rollback_without_a_champion_is_explained(project: Project) -> None:
    project.versions(1)
    with pytest.raises(RegistryError, match=r"visionloop promote greys-brightness VERSION \(versions 1\)"):
        back(project)


@pytest.mark.parametrize(("stored", "previous"), [('["1", "2"]', "2"), ('["1", "2", "3", "9"]', "2"), ("[]", None)])
def test_rollback_survives_an_interruption_between_alias_and_history(
    project: Project, stored: str, previous: str | None
) -> None:
    project.versions(3)
    client = connect(project.settings, project.root).client
    client.set_registered_model_alias(MODEL, "champion", "3")
    client.set_registered_model_tag(MODEL, "visionloop.champions", stored)
    if previous is None:
        with pytest.raises(RegistryError, match="no previous champion"):
            back(project)
    else:
        assert back(project) == ("3", previous)


def test_by_hand_takes_the_challenger_the_gate_approved(project: Project) -> None:
    folder = project.make("m0")
    project.judge(folder, project.register(folder).version)
    assert by_hand(project, None) == "1"
    assert audit(project)[0]["forced"] is False
    with pytest.raises(RegistryError, match="there is no challenger"):
        by_hand(project, None)


def test_by_hand_against_the_gate_needs_force_and_is_recorded(project: Project) -> None:
    folder = project.make("m0", threshold=159.0)
    project.judge(folder, project.register(folder).version, floor=0.9)
    with pytest.raises(RegistryError) as caught:
        by_hand(project, "1")
    assert str(caught.value) == (
        "the gate says: refuse: accuracy 0.8750 is below its floor 0.9\n"
        "  where:    model greys-brightness, version 1\n"
        "  expected: a version the gate promotes\n"
        "  to do:    train a better model; or add --force with --why, as where classes or data have changed on purpose "
        "and nothing can be compared; both are recorded in the audit"
    )
    assert by_hand(project, "1", force=True) == "1"
    assert audit(project)[0]["forced"] is True


def test_by_hand_without_a_verdict_needs_force(project: Project) -> None:
    project.versions(1)
    with pytest.raises(RegistryError, match="the gate has not judged this version"):
        by_hand(project, "1")
    assert by_hand(project, "1", force=True) == "1"
