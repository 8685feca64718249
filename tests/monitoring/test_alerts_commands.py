"""`visionloop alerts`, on a project of nothing but settings, a pointer and a state folder."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner, Result

from tests.monitoring.alerts_factory import Sink
from visionloop.cli import main
from visionloop.monitoring.alerts.settings import AlertSettings


@pytest.fixture
def project(tmp_path: Path, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISIONLOOP_PARAMS", raising=False)
    monkeypatch.delenv("VISIONLOOP_STATE", raising=False)
    monkeypatch.setenv("HOOK", sink.url)
    settle(tmp_path)
    return tmp_path


def settle(folder: Path, **alerts: Any) -> None:
    """Settings in which only `service` is watched: nothing listens where it looks."""
    rules = {name: {"enabled": False} for name in AlertSettings().rules} | {"service": {"for_s": 0, "clear_s": 0}}
    block = {"rules": rules, "channels": {"hook": {"url": "env:HOOK"}}, "service_url": "http://127.0.0.1:9"} | alerts
    (folder / "params.yaml").write_text(yaml.safe_dump({"monitoring": {"alerts": block}}))


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["alerts", *words])


def test_a_check_tells_and_ends_with_3_while_a_critical_alert_fires(project: Path, sink: Sink) -> None:
    done = run("check")
    assert done.exit_code == 3
    assert "critical  service  0s  the service gives no metrics: no answer from /metrics" in done.output
    assert sink.titles == ["[visionloop critical] service"]
    again = run("check", "--json")
    assert again.exit_code == 3
    found = json.loads(again.stdout)
    assert [state["rule"] for state in found["firing"]] == ["service"]
    assert found["messages"] == []
    settle(project, rules={name: {"enabled": False} for name in AlertSettings().rules})
    assert run("check").exit_code == 0


def test_the_list_shows_alerts_silences_and_messages(project: Path) -> None:
    assert run("list").output == "nothing fires\n"
    run("check")
    assert run("silence", "service", "--for", "2h", "--why", "moving").exit_code == 0
    lines = run("list").output.splitlines()
    assert lines[0].startswith("critical  service")
    assert "service (" in lines[1]
    assert "moving" in lines[1]
    assert lines[2].endswith("hook  [visionloop critical] service  sent")
    found = json.loads(run("list", "--json").stdout)
    assert {name: len(rows) for name, rows in found.items()} == {"alerts": 1, "silences": 1, "messages": 1}


def test_a_silence_holds_back_until_it_is_ended(project: Path, sink: Sink) -> None:
    run("silence", "*", "--for", "30m")
    assert run("check").exit_code == 3
    assert sink.bodies == []
    assert run("silence", "*", "--end").output == "ended: 1\n"
    run("check")
    assert len(sink.bodies) == 1


@pytest.mark.parametrize("words", [["service"], ["service", "--for", "2h", "--end"], ["service", "--for", "soon"]])
def test_a_silence_that_makes_no_sense(project: Path, words: list[str]) -> None:
    assert run("silence", *words).exit_code == 2


def test_a_silence_of_an_unknown_rule(project: Path) -> None:
    done = run("silence", "servce", "--for", "2h")
    assert (done.exit_code, "did you mean service?" in done.output) == (1, True)


def test_each_channel_is_tried_and_says_what_happened(project: Path, sink: Sink) -> None:
    assert run("test").output == "hook: delivered\n"
    assert sink.titles == ["[visionloop test] this channel works"]
    hidden = "jsons://ann:S3cretS3cret@127.0.0.1:1/T0KENT0KEN"
    settle(project, channels={"hook": {"url": "env:HOOK"}, "gone": {"url": hidden}, "unset": {"url": "env:UNSET_URL"}})
    done = run("test", "--json")
    assert done.exit_code == 1
    outcomes = json.loads(done.stdout)
    assert outcomes["hook"] == "delivered"
    assert "Connection error" in outcomes["gone"]
    assert outcomes["unset"] == "the environment variable UNSET_URL is not set"
    assert "S3cret" not in done.output
    assert "T0KEN" not in done.output
    settle(project, channels={})
    assert "there are no channels" in run("test").output


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_watch_tells_shows_metrics_and_ends_on_sigterm(project: Path, sink: Sink) -> None:
    port = free_port()
    settle(project, interval_s=0.2, metrics_port=port)
    process = subprocess.Popen(
        [sys.executable, "-m", "visionloop", "alerts", "run"], cwd=project, stderr=subprocess.PIPE, text=True
    )
    try:
        text, deadline = "", time.monotonic() + 120
        while 'visionloop_alerts_outbox{state="sent"} 1.0' not in text and time.monotonic() < deadline:
            time.sleep(0.1)
            try:
                text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
            except httpx.HTTPError:
                continue
        assert 'visionloop_alerts_firing{severity="critical"} 1.0' in text
        assert 'visionloop_alerts_outbox{state="pending"} 0.0' in text
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert len(sink.bodies) == 1
    assert "[visionloop critical] service" in said
    assert sink.url not in said
