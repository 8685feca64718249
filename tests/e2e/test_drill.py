"""The drill's short form: a classifier decays against the real service, and the loop closes."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from pipelines import retrain
from pipelines.drill import model
from pipelines.drill.play import Plan, play
from pipelines.drill.report import write_report
from pipelines.drill.scans import Scans, Tilt
from pipelines.drill.workspace import Workspace
from tests.registry.conftest import fresh_database  # noqa: F401
from visionloop import cli
from visionloop.data.overlay import Overlay

LABELS = 300


class Here(Workspace):
    """Its longer commands are done in this process, which has imported what they need; its service is not."""

    def stage(self, name: str, *words: str, aside: bool = False) -> str:
        if name != "drill.model":
            return super().stage(name, *words, aside=aside)
        with contextlib.chdir(self.root), contextlib.redirect_stdout(io.StringIO()) as said:
            assert model.main(words) == 0
        return said.getvalue()

    def visionloop(self, *words: str, expect: tuple[int, ...] = (0,)) -> tuple[int, str]:
        with contextlib.chdir(self.root), contextlib.redirect_stdout(io.StringIO()) as said:
            if words[0] == "retrain":
                status, text = retrain.main(words[1:]), said.getvalue()
            else:
                done = CliRunner().invoke(cli.main, words)
                status, text = done.exit_code, done.output
        assert status in expect, text
        return status, text


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_loop_closes(tmp_path: Path, fresh_database: Path) -> None:  # noqa: F811
    def workspace(root: Path, settings: dict[str, Any]) -> Workspace:
        (root / "mlruns").mkdir()
        shutil.copy(fresh_database, root / "mlruns/mlflow.db")
        return Here(root, settings)

    tilt = Tilt(degrees=(30, 50), blur=(0.5, 1.0))
    scans = Scans(epochs=8, again=5, rate=0.001, normal=450, times=1, labels=LABELS, recovery=0.9, tilt=tilt)
    # Two clients: so few that the service can keep every image.
    plan = Plan(subjects=(scans,), workers=1, clients=2, whole=False)
    drill = play(tmp_path, plan, Console(width=150), workspace=workspace)
    assert drill.timeline.failed == []
    names = [event.name for event in drill.timeline.events if event.held]
    assert names == [
        "no false alarm", "silence", "decayed", "drift noticed", "alert", "asked for by drift", "promoted", "hot swap",
        "no failed request", "recovered", "every request answered",
    ]  # fmt: skip
    # Every label that was given is in the new version.
    assert len(Overlay.open(tmp_path / "data/classification/.feedback").images) == LABELS
    write_report(drill, tmp_path / "drill.html")
    page = (tmp_path / "drill.html").read_text()
    assert "The loop closes" in page
    assert "data:image/png" in page
