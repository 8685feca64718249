from __future__ import annotations

import ast
import itertools
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from visionloop.core.errors import VisionloopError
from visionloop.core.settings import load_block
from visionloop.retraining.schedule import Scheduler, calendar_expression, cron_expression, latest_due, next_due
from visionloop.retraining.schedule_files import FORMS, Target, install_cron, install_systemd
from visionloop.retraining.settings import RetrainingSettings, ScheduleSettings

ROOT = Path(__file__).resolve().parents[2]
MON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("settings", "latest", "after", "cron", "calendar"),
    [
        ({"every": "hour", "at": "00:20"}, "2026-03-02T11:20Z", "2026-03-02T12:20Z", "20 * * * *", "*-*-* *:20:00 UTC"),
        ({}, "2026-03-02T03:00Z", "2026-03-03T03:00Z", "0 3 * * *", "*-*-* 03:00:00 UTC"),
        ({"at": "12:00"}, "2026-03-02T12:00Z", "2026-03-03T12:00Z", "0 12 * * *", "*-*-* 12:00:00 UTC"),
        ({"every": "week"}, "2026-03-01T03:00Z", "2026-03-08T03:00Z", "0 3 * * 0", "Sun *-*-* 03:00:00 UTC"),
        (
            {"every": "week", "weekday": "sat", "at": "23:30", "timezone": "Asia/Tokyo"},
            "2026-02-28T14:30Z", "2026-03-07T14:30Z", "30 23 * * 6", "Sat *-*-* 23:30:00 Asia/Tokyo",
        ),
    ],
)  # fmt: skip
def test_due_times_in_every_schedulers_words(
    settings: dict[str, Any], latest: str, after: str, cron: str, calendar: str
) -> None:
    schedule = ScheduleSettings(**settings)
    assert (latest_due(schedule, MON), next_due(schedule, MON)) == (at(latest), at(after))
    assert (cron_expression(schedule), calendar_expression(schedule)) == (cron, calendar)


@pytest.mark.parametrize("text", ["20:30", "'20:30'", "03:00", "00:00", "10:05"])
def test_a_time_of_day_needs_no_quotes_in_yaml(text: str) -> None:
    assert ScheduleSettings.model_validate({"at": yaml.safe_load(text)}).at == text.strip("'")


def test_summer_time_is_due_once_a_day() -> None:
    schedule = ScheduleSettings(at="02:30", timezone="Europe/Berlin")
    for day in ("2026-03-28T12:00Z", "2026-10-24T12:00Z"):
        moments = []
        now = at(day)
        for _ in range(3):
            now = next_due(schedule, now)
            assert latest_due(schedule, now) == now
            moments.append(now.astimezone(UTC))
        assert {timedelta(hours=22) < b - a < timedelta(hours=26) for a, b in itertools.pairwise(moments)} == {True}


class Clock:
    """Naps pass at once; the test says what happens to the clock meanwhile."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.until: datetime | None = None

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> bool:
        self.now += timedelta(seconds=max(seconds, 0.001))
        return self.until is not None and self.now >= self.until


class Calls:
    def __init__(self, tmp_path: Path, now: datetime = MON, **settings: Any) -> None:
        self.clock, self.times = Clock(now), list[datetime]()
        self.memory, self.schedule = tmp_path / "schedule.json", ScheduleSettings(**settings)

    def scheduler(self) -> Scheduler:
        return Scheduler(
            self.schedule,
            self.memory,
            lambda: self.times.append(self.clock.now),
            now=self.clock,
            sleep=self.clock.sleep,
        )


def test_it_calls_at_the_due_times_and_not_at_its_first_start(tmp_path: Path) -> None:
    calls = Calls(tmp_path)
    calls.clock.until = MON + timedelta(days=2)
    calls.scheduler().run()
    assert [f"{time:%a %H:%M}" for time in calls.times] == ["Tue 03:00", "Wed 03:00"]


def test_three_missed_days_are_one_call(tmp_path: Path) -> None:
    calls = Calls(tmp_path)
    assert not calls.scheduler().tick()
    calls.clock.now += timedelta(days=3)
    scheduler = calls.scheduler()
    assert [scheduler.tick(), scheduler.tick(), calls.scheduler().tick()] == [True, False, False]


def test_a_clock_that_goes_back_calls_nothing_twice(tmp_path: Path) -> None:
    calls = Calls(tmp_path)
    scheduler = calls.scheduler()
    scheduler.tick()
    calls.clock.now = at("2026-03-03T03:00Z")
    assert scheduler.tick()
    for back in ("2026-03-03T02:59Z", "2026-03-03T03:00Z", "2026-03-03T12:00Z"):
        calls.clock.now = at(back)
        assert not scheduler.tick()
    calls.clock.now = at("2026-03-04T03:01Z")
    assert scheduler.tick()


def test_a_clock_that_was_years_ahead_does_not_stop_it_for_years(tmp_path: Path) -> None:
    calls = Calls(tmp_path, now=at("2036-01-01T12:00Z"))
    calls.scheduler().tick()
    calls.clock.now = MON
    assert not calls.scheduler().tick()
    calls.clock.now += timedelta(days=1)
    assert calls.scheduler().tick()


def test_a_call_that_ends_the_scheduler_is_not_repeated(tmp_path: Path) -> None:
    calls = Calls(tmp_path)
    calls.scheduler().tick()
    calls.clock.now += timedelta(days=1)

    def die() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        Scheduler(calls.schedule, calls.memory, die, now=calls.clock, sleep=calls.clock.sleep).tick()
    assert not calls.scheduler().tick()
    calls.memory.write_text("{")
    assert not calls.scheduler().tick()


def target(folder: Path = ROOT, **settings: Any) -> Target:
    return Target(project=folder, program=folder / ".venv/bin/visionloop", schedule=ScheduleSettings(**settings))


def test_every_form_calls_the_same_command_at_the_same_time() -> None:
    where = target(every="week", at="04:05", timezone="Europe/Berlin")
    texts = {name: form(where) for name, form in FORMS.items()}
    for name, text in texts.items():
        assert "5 4 * * 0" in text or name == "systemd"
        assert "Europe/Berlin" in text
        assert "retrain" in text
    assert "Persistent=true" in texts["systemd"]
    job = next(document for document in yaml.safe_load_all(texts["kubernetes"]) if document["kind"] == "CronJob")
    assert (job["spec"]["schedule"], job["spec"]["timeZone"]) == ("5 4 * * 0", "Europe/Berlin")
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    for name in ("airflow", "prefect"):
        ast.parse(texts[name])
    workflow = yaml.safe_load(texts["github"])
    assert workflow["jobs"]["retrain"]["steps"][0]["run"].endswith("visionloop retrain || test $? -eq 75")


def test_the_manifest_has_the_schedule_of_the_settings() -> None:
    settings = load_block(RetrainingSettings, ROOT / "params.yaml", "retraining")
    where = Target(project=ROOT, program=ROOT / "visionloop", schedule=settings.schedule)
    assert FORMS["kubernetes"](where) == (ROOT / "deploy/kubernetes/retraining.yaml").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    done: list[list[str]] = []

    def call(command: list[str], text: str | None) -> subprocess.CompletedProcess[str]:
        done.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    install_systemd(target(every="week"), tmp_path, call)
    timer = str(tmp_path / "visionloop-retrain.timer")
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", timer], capture_output=True, text=True, timeout=60
    )
    assert "visionloop-retrain.timer" not in checked.stderr
    assert subprocess.run(
        ["systemd-analyze", "calendar", "Sun *-*-* 03:00:00 UTC"], capture_output=True, timeout=60
    ).returncode == 0  # fmt: skip


class Crontab:
    """What `crontab -l` and `crontab -` do."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    def __call__(self, command: list[str], text: str | None) -> subprocess.CompletedProcess[str]:
        if command == ["crontab", "-"]:
            self.text = text
            return subprocess.CompletedProcess(command, 0, "", "")
        if self.text is None:
            return subprocess.CompletedProcess(command, 1, "", "no crontab for ann\n")
        return subprocess.CompletedProcess(command, 0, self.text, "")


def test_the_cron_line_comes_once_and_leaves_the_others_alone(tmp_path: Path) -> None:
    mine = "MAILTO=ann\n1 1 * * * backup # visionloop retrain\n"
    crontab = Crontab(mine)
    for hour in ("03:00", "05:00"):
        install_cron(target(tmp_path, at=hour), crontab)
    other = target(tmp_path / "other project of 100%")
    for _ in range(2):
        install_cron(other, crontab)
    assert crontab.text is not None
    assert crontab.text.startswith(mine)
    lines = [line for line in crontab.text.splitlines() if "bin/visionloop" in line]
    assert [line.split(" cd ")[0] for line in lines] == ["0 5 * * *", "0 3 * * *"]
    assert f"cd '{tmp_path}/other project of 100\\%' &&" in lines[1]
    empty = Crontab(None)
    install_cron(target(tmp_path), empty)
    assert empty.text is not None
    assert empty.text.count("\n") == 3


@pytest.mark.skipif(shutil.which("crontab") is None, reason="no cron here (Debian's package `cron`)")
def test_a_real_cron_understands_the_line(tmp_path: Path) -> None:
    """Without touching anybody's crontab: `crontab -n` only reads it."""
    checked: list[str] = []

    def call(command: list[str], text: str | None) -> subprocess.CompletedProcess[str]:
        if command == ["crontab", "-l"]:
            return subprocess.CompletedProcess(command, 1, "", "no crontab for ann\n")
        done = subprocess.run(["crontab", "-n", "-"], input=text, capture_output=True, text=True, timeout=60)
        checked.append(done.stderr)
        return done

    for schedule in ({"every": "hour"}, {}, {"every": "week", "weekday": "sat", "timezone": "Asia/Tokyo"}):
        install_cron(target(tmp_path / "a project of 100%", **schedule), call)
    if any("invalid option" in text for text in checked):
        pytest.skip("this cron cannot check without installing")
    assert len(checked) == 3


def test_systemd_is_told_and_a_refusal_says_why(tmp_path: Path) -> None:
    commands: list[list[str]] = []

    def call(command: list[str], text: str | None) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, int("enable" in command), "", "no medium found\n")

    with pytest.raises(VisionloopError, match="systemctl refuses: no medium found"):
        install_systemd(target(), tmp_path, call)
    assert commands[0] == ["systemctl", "--user", "daemon-reload"]
    unit = (tmp_path / "visionloop-retrain.service").read_text()
    assert f'ExecStart="{ROOT}/.venv/bin/visionloop" retrain\n' in unit
