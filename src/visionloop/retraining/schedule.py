"""When the job is called: the next time, the same in every scheduler's words, and a scheduler for one machine."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from visionloop.core import files
from visionloop.core.settings import Settings
from visionloop.retraining.settings import ScheduleSettings

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_LONGEST_NAP_S = 30.0
"""Seconds after which the clock is looked at again: it may have been set, or the machine may have slept."""


def latest_due(schedule: ScheduleSettings, now: datetime) -> datetime:
    """The last moment at or before `now` (UTC) at which the schedule was due.

    A time of day that a change to summer time leaves out is due an hour later; one that comes twice is due once.
    """
    if schedule.every == "hour":
        return _latest_hour(schedule, now)
    zone = ZoneInfo(schedule.timezone)
    day = now.astimezone(zone).date() + timedelta(days=1)
    while True:
        moment = _moment(schedule, zone, day.year, day.month, day.day)
        if moment <= now and _is_day(schedule, day.weekday()):
            return moment
        day -= timedelta(days=1)


def next_due(schedule: ScheduleSettings, now: datetime) -> datetime:
    """The first moment after `now` (UTC) at which the schedule is due."""
    if schedule.every == "hour":
        return _latest_hour(schedule, now) + timedelta(hours=1)
    zone = ZoneInfo(schedule.timezone)
    day = now.astimezone(zone).date() - timedelta(days=1)
    while True:
        moment = _moment(schedule, zone, day.year, day.month, day.day)
        if moment > now and _is_day(schedule, day.weekday()):
            return moment
        day += timedelta(days=1)


def cron_expression(schedule: ScheduleSettings) -> str:
    """Five fields, in the schedule's own time zone."""
    hour, minute = (int(part) for part in schedule.at.split(":"))
    if schedule.every == "hour":
        return f"{minute} * * * *"
    if schedule.every == "day":
        return f"{minute} {hour} * * *"
    return f"{minute} {hour} * * {(WEEKDAYS.index(schedule.weekday) + 1) % 7}"


def calendar_expression(schedule: ScheduleSettings) -> str:
    """systemd's OnCalendar, with the time zone."""
    if schedule.every == "hour":
        return f"*-*-* *:{schedule.at[3:]}:00 {schedule.timezone}"
    day = "" if schedule.every == "day" else f"{calendar.day_abbr[WEEKDAYS.index(schedule.weekday)]} "
    return f"{day}*-*-* {schedule.at}:00 {schedule.timezone}"


class Memory(Settings):
    """What the scheduler remembers over restarts."""

    due: datetime
    """The latest due time that is settled: it was called, or lies before the scheduler's first start."""


class Scheduler:
    """Calls something whenever the schedule is due; however many times were missed, once.

    A clock that goes back calls nothing twice.
    """

    def __init__(
        self,
        schedule: ScheduleSettings,
        memory: Path,
        call: Callable[[], None],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], bool],
    ) -> None:
        """Make a scheduler.

        Args:
            schedule: When.
            memory: File in which it remembers.
            call: What.
            now: The clock, UTC.
            sleep: Waits so many seconds; returns whether to stop.
        """
        self._schedule, self._path, self._call, self._now, self._sleep = schedule, memory, call, now, sleep

    def run(self) -> None:
        """Until `sleep` says stop."""
        while True:
            self.tick()
            now = self._now()
            left = (next_due(self._schedule, now) - now).total_seconds()
            if self._sleep(min(max(left, 0.0), _LONGEST_NAP_S)):
                return

    def tick(self) -> bool:
        """Look once; returns whether it was called."""
        now = self._now()
        due, settled = latest_due(self._schedule, now), self._settled()
        if settled is None or settled > next_due(self._schedule, now):
            # The first start; or what is remembered lies so far ahead that the clock was wrong then.
            self._settle(due)
            return False
        if due <= settled:
            return False
        # First: a call that takes the scheduler with it must not be called again at every start.
        self._settle(due)
        self._call()
        return True

    def _settled(self) -> datetime | None:
        try:
            return Memory.model_validate_json(self._path.read_text()).due
        except (FileNotFoundError, ValidationError, UnicodeDecodeError):
            return None

    def _settle(self, due: datetime) -> None:
        files.write_text(self._path, Memory(due=due).model_dump_json() + "\n")


def _latest_hour(schedule: ScheduleSettings, now: datetime) -> datetime:
    moment = now.astimezone(UTC).replace(minute=int(schedule.at[3:]), second=0, microsecond=0)
    return moment if moment <= now else moment - timedelta(hours=1)


def _is_day(schedule: ScheduleSettings, weekday: int) -> bool:
    return schedule.every == "day" or WEEKDAYS[weekday] == schedule.weekday


def _moment(schedule: ScheduleSettings, zone: ZoneInfo, year: int, month: int, day: int) -> datetime:
    hour, minute = (int(part) for part in schedule.at.split(":"))
    return datetime(year, month, day, hour, minute, tzinfo=zone).astimezone(UTC)
