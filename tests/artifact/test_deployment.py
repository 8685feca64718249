from __future__ import annotations

from pathlib import Path

import pytest

from visionloop.artifact import deployment
from visionloop.artifact.deployment import Canary, Deployment, Lineup, Variant
from visionloop.core.errors import BundleError


def variant(number: int) -> Variant:
    return Variant(model="m", version=str(number), digest=f"d{number}", bundle=f"deployed/{number}/bundle")


def test_no_file_is_an_empty_deployment_and_a_change_makes_it(tmp_path: Path) -> None:
    pointer = tmp_path / "mlruns" / "deployment.json"
    assert Deployment.read(pointer).tasks == {}
    deployment.change(pointer, "detection", lambda _: Lineup(champion=variant(1)))
    found = Deployment.read(pointer)
    assert found.tasks["detection"].champion == variant(1)
    assert found.bundle_path(pointer, variant(1)) == tmp_path / "mlruns/deployed/1/bundle"
    deployment.change(pointer, "detection", lambda _: None)
    assert Deployment.read(pointer).tasks == {}


def test_bundles_are_named_relative_to_the_pointer_where_they_lie_below_it(tmp_path: Path) -> None:
    pointer = tmp_path / "mlruns" / "deployment.json"
    assert deployment.relative_bundle(pointer, tmp_path / "mlruns/deployed/1/bundle") == "deployed/1/bundle"
    assert deployment.relative_bundle(pointer, tmp_path / "elsewhere") == str(tmp_path / "elsewhere")


def test_a_new_champion_ends_its_own_canary_and_leaves_another() -> None:
    canary = Canary(**variant(2).model_dump(), share=0.1)
    before = Lineup(champion=variant(1), canary=canary, shadow=variant(3))
    assert deployment.with_champion(before, variant(2)) == Lineup(champion=variant(2), shadow=variant(3))
    assert deployment.with_champion(before, variant(4)).canary == canary


def test_only_the_canary_that_was_judged_is_stopped() -> None:
    canary = Canary(**variant(2).model_dump(), share=0.1)
    lineup = Lineup(champion=variant(1), canary=canary)
    stopped = deployment.stop_canary(lineup, "d2", "slow")
    assert stopped is not None
    assert stopped.canary is not None
    assert (stopped.canary.share, stopped.canary.stopped) == (0.0, "slow")
    assert deployment.stop_canary(lineup, "d9", "slow") == lineup
    assert "stopped: slow" in deployment.describe(stopped)


@pytest.mark.parametrize("text", ["", "{", '{"tasks": 3}', '{"format_version": 9}'])
def test_a_damaged_pointer_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deployment.json"
    path.write_text(text)
    with pytest.raises(BundleError, match="pointer is damaged") as error:
        Deployment.read(path)
    assert error.value.where == str(path)
