"""The drill, short: the loop closes against the real service."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.drill.__main__ import main


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_loop_closes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "drill.html"
    status = main(["--short", "--keep", str(tmp_path / "work"), "--out", str(report)])
    said = capsys.readouterr().out
    assert status == 0, said
    for step in (
        "no false alarm", "drift noticed", "alert", "promoted", "hot swap", "no failed request", "recovered",
        "bad model refused", "rollback",
    ):  # fmt: skip
        assert f"✓ {step}" in said
    assert "The loop closes" in report.read_text()
