from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from visionloop.cli import main


def test_help_names_every_command_and_loads_little() -> None:
    code = (
        "import sys; from visionloop.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = ['torch', 'mlflow', 'hydra', 'numpy', 'pydantic', 'onnxruntime']\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    for name in ("predict", "models", "promote", "rollback"):
        assert f"\n  {name} " in done.stdout
    assert done.stdout.endswith("[]\n")


def test_outside_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["models"])
    assert done.exit_code == 1
    assert "error: there is no configuration here" in done.output
    assert "to do:    change to the project's folder" in done.output


def test_a_missing_file_and_an_empty_folder(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["predict", str(tmp_path / "a.png")])
    assert (done.exit_code, "no such file or folder" in done.output) == (1, True)
    done = CliRunner().invoke(main, ["predict", str(tmp_path)])
    assert (done.exit_code, "no image found" in done.output) == (1, True)


def _groups(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group):
        yield path
        for name, child in command.commands.items():
            yield from _groups(child, (*path, name))


@pytest.mark.parametrize("path", list(_groups(main)), ids=lambda path: " ".join(("visionloop", *path)))
def test_lists_of_commands_fit_a_terminal(path: tuple[str, ...]) -> None:
    output = CliRunner().invoke(main, [*path, "--help"], terminal_width=80).output
    _, _, commands = output.partition("Commands:\n")
    assert commands
    assert "..." not in commands
