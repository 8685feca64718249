"""The README's commands, read out of the README, on tiny data."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from pipelines.run import stage
from pipelines.stage import run
from tests.e2e.workspace import ROOT, call
from tests.factory import make_folder_source, make_voc_source, pack

README = (ROOT / "README.md").read_text()


def commands(heading: str) -> list[str]:
    """The lines of the first code block below a heading, without comments."""
    block = re.search(rf"^## {re.escape(heading)}$.*?^```\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert block, f"README has no code block below {heading!r}"
    return [line.split("  #")[0].strip() for line in block.group(1).splitlines()]


def shell(project: Path, line: str) -> str:
    return call(project, "bash", "-ec", line)


# Whoever comes first waits for the first `dvc repro`.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_changing_things(project: Path) -> None:
    repro, compare, experiment, grid, by_hand, elsewhere = commands("Changing things")

    assert "Running stage" not in shell(project, repro)

    output = shell(project, compare)
    for name in ("accuracy", "map_50", "dvc_plots/index.html"):
        assert name in output
    page = (project / "dvc_plots/index.html").read_text()
    assert "train_loss" in page
    assert "curves.png" in page

    # One task's experiment leaves the other task alone, and its result is there to compare.
    output = shell(project, experiment.replace("max_epochs=5", "max_epochs=1"))
    ran = [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]
    assert [name for name in ran if name.endswith("@detection")] == []
    assert "train@classification" in ran
    changed = json.loads(call(project, "dvc", "params", "diff", "--json"))["params.yaml"]
    assert changed["classification.model.architecture"]["new"] == "resnet18"

    # Only the last command of the grid needs the queue's worker, which a test does not leave behind.
    queue, start, show = (part.strip() for part in grid.split("&&"))
    assert shell(project, queue).count("Queued experiment") == 2
    assert start == "dvc queue start"
    table = shell(project, show.replace("dvc exp show", "dvc exp show --csv"))
    assert table.count("Queued") == 2
    shell(project, "dvc queue remove --all")

    assert "train@detection" in shell(project, by_hand)

    pack(make_voc_source(project / "elsewhere", side=96), project / "bccd.tar.gz")
    # Its own 384 x 288 is for photographs; smaller, it runs the same code in a fraction of the time.
    smaller = "recipe.height=96 recipe.width=96"
    output = shell(project, f"{elsewhere} training.max_epochs=1 gate.min_images=1 {smaller}")
    assert "run@detection: bccd-detection version 1: refuse" in output


def test_the_other_experiment_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # `bccd` is the README's own example, above.
    assert sorted(path.stem for path in (ROOT / "conf/experiment").glob("*.yaml")) == ["bccd", "cifar10"]
    pack(make_folder_source(project / "cifar10", splits=("train", "test")), project / "cifar10.zip")
    monkeypatch.chdir(project)
    words = ["experiment=cifar10", "source.path=cifar10.zip", "build=runs/cifar10", "reports=runs/cifar10/reports"]
    assert run(stage, name="run", argv=[*words, "training.max_epochs=1"]) == 0
    output = capsys.readouterr().out
    assert "run@classification: cifar10-classification version 1: " in output


def test_own_data_in_five_lines(tmp_path: Path, project: Path) -> None:
    images = make_folder_source(tmp_path / "my-images")
    lines = commands("Your own data, in five lines")
    assert len(lines) == 5
    first = lines[0].replace("~/my-images", shlex.quote(str(images)))
    folder = tmp_path / "project"
    call(tmp_path, "cp", "-r", str(project), "project")
    shell(folder, first)
    shell(folder, "sed -i 's/experiment: tiny/experiment: null/' conf/config.yaml")
    for line in lines[1:4]:
        shell(folder, line)
    params = (folder / "params.yaml").read_text()
    assert "tasks:\n- classification\n" in params
    assert "name: digits" not in params.split("detection:")[0]
    # The last line trains with the default settings, which takes a while; its first stage shows that it can.
    assert lines[4].startswith("dvc repro &&")
    assert "prepare@classification" in shell(folder, "dvc repro prepare@classification")
