"""`visionloop alerts`: look, list, silence, try out, watch."""

from __future__ import annotations

import contextlib
import getpass
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from visionloop.core.errors import VisionloopError

if TYPE_CHECKING:
    from visionloop.monitoring.alerts.assembly import Alerts
    from visionloop.monitoring.alerts.engine import Report
    from visionloop.monitoring.alerts.state import AlertState

CRITICAL_STATUS = 3
"""Exit status of a check that sees a critical alert; 1 is an error of the command, 2 a wrong use of it."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@click.group()
def alerts() -> None:
    """What is wrong now, and who is told."""


@contextlib.contextmanager
def _opened() -> Iterator[Alerts]:
    from visionloop.monitoring.alerts.assembly import Alerts

    found = Alerts.open(_place())
    with contextlib.closing(found):
        yield found


def _place() -> Any:
    """The settings and folders of the project in the working directory."""
    from visionloop.core.places import params_path, project_root, state_root
    from visionloop.core.settings import load_block
    from visionloop.monitoring.alerts.assembly import Place
    from visionloop.monitoring.settings import MonitoringSettings
    from visionloop.serving.settings import load_settings

    root = project_root()
    serving = load_settings(root)
    settings = load_block(MonitoringSettings, params_path(root), "monitoring").alerts
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(serving.host, serving.host)
    return Place(
        settings=settings,
        store=serving.store,
        root=root,
        state=state_root(root),
        pointer=root / serving.pointer,
        service_url=settings.service_url or f"http://{host}:{serving.port}",
    )


@alerts.command()
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def check(as_json: bool) -> None:
    """Look once, and send what is due: for cron. Exit status 3 when a critical alert fires, else 0."""
    with _opened() as found:
        report = found.watcher.check()
        found.sender.deliver()
        if as_json:
            click.echo(json.dumps(_report_json(report), indent=2, ensure_ascii=False))
        else:
            _table(report.firing, report.at)
            click.echo(f"{len(report.states)} values looked at, {len(report.firing)} alerts fire", err=True)
        for problem in report.problems:
            click.echo(f"cannot look: {problem}", err=True)
        if not found.channels:
            click.echo("nobody is told: monitoring.alerts.channels is empty", err=True)
    if any(state.severity == "critical" for state in report.firing):
        raise click.exceptions.Exit(CRITICAL_STATUS)


@alerts.command("list", short_help="What fires, silences, and messages.")
@click.option("--all", "everything", is_flag=True, help="Also what is well.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
def list_alerts(everything: bool, as_json: bool) -> None:
    """What fires or is about to, silences, and messages, as the last look left them."""
    with _opened() as found:
        now = datetime.now(UTC)
        states = [state for state in found.store.states().values() if everything or state.phase != "ok"]
        silences = found.store.silences(now)
        messages = found.store.history(limit=20)
    if as_json:
        record = {
            "alerts": [_plain(asdict(state)) for state in states],
            "silences": [_plain(asdict(silence)) for silence in silences],
            "messages": [_plain(asdict(queued)) for queued in messages],
        }
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    _table(states, now)
    for silence in silences:
        what = f"{silence.rule}, {silence.label}" if silence.label != "*" else silence.rule
        click.echo(f"silent until {silence.until:%Y-%m-%d %H:%M} UTC: {what} ({silence.who}: {silence.why})")
    for queued in messages:
        fate = queued.state if not queued.error else f"{queued.state}, {queued.attempts} tries: {queued.error}"
        click.echo(f"{queued.created_at:%Y-%m-%d %H:%M:%S}  {queued.channel}  {queued.message.title}  {fate}")


@alerts.command()
@click.argument("rule")
@click.option("--for", "duration", help="How long, such as 30m, 2h, 1d.")
@click.option("--label", default="*", show_default=True, help="Only what concerns this task or slot.")
@click.option("--why", default="by hand", show_default=True, help="Reason, for the list.")
@click.option("--end", is_flag=True, help="End the silences of RULE and LABEL instead.")
def silence(rule: str, duration: str | None, label: str, why: str, end: bool) -> None:
    """Hold back messages of RULE (`*` is all). What still fires afterwards is told then."""
    from visionloop.monitoring.alerts.store import ANY, Silence

    if end == (duration is not None):
        raise click.UsageError("give either --for DURATION or --end")
    with _opened() as found:
        _require_rule(rule, [ANY, *found.rules])
        if end:
            click.echo(f"ended: {found.store.end_silences(rule, label)}")
            return
        now = datetime.now(UTC)
        until = now + parse_duration(duration or "", "--for")
        found.store.silence(
            Silence(rule=rule, label=label, created_at=now, until=until, who=getpass.getuser(), why=why)
        )
    click.echo(f"silent until {until:%Y-%m-%d %H:%M:%S} UTC")


def _require_rule(rule: str, known: list[str]) -> None:
    from visionloop.core.errors import near_matches

    if rule not in known:
        raise VisionloopError(
            f"no rule is called {rule!r}", where="argument RULE", expected=near_matches(rule, known), action="name one"
        )


def parse_duration(text: str, option: str) -> timedelta:
    """`90s`, `30m`, `2h`, `1d`.

    Raises:
        click.BadParameter: it is none, or longer than a year; names `option`.
    """
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([smhd])", text)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0 < seconds <= 366 * 86_400:
        raise click.BadParameter(f"{text!r} is no duration up to a year; 30m, 2h and 1d are", param_hint=option)
    return timedelta(seconds=seconds)


@alerts.command("test")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of lines.")
def test_channels(as_json: bool) -> None:
    """Send a test message to each channel, and say what happened. Exit status 1 when one did not take it."""
    from visionloop.monitoring.alerts.channels import open_channels
    from visionloop.monitoring.alerts.messages import trial_message

    place = _place()
    message = trial_message(datetime.now(UTC))
    outcomes: dict[str, str] = {}
    for name, settings in place.settings.channels.items():
        try:
            open_channels({name: settings}, place.root)[name].send(message)
            outcomes[name] = "delivered"
        except VisionloopError as error:
            outcomes[name] = error.what
    if as_json:
        click.echo(json.dumps(outcomes, indent=2, ensure_ascii=False))
    else:
        for name, outcome in outcomes.items():
            click.echo(f"{name}: {outcome}")
    failed = [name for name, outcome in outcomes.items() if outcome != "delivered"]
    if failed or not outcomes:
        raise VisionloopError(
            f"{len(failed)} of {len(outcomes)} channels did not take the message"
            if outcomes
            else "there are no channels",
            where="setting monitoring.alerts.channels",
            expected="channels that take messages",
            action="see above" if outcomes else "add one to conf/monitoring/default.yaml (docs/alerts.md)",
        )


@alerts.command(short_help="Watch in the foreground until Ctrl-C.")
def run() -> None:
    """Watch until Ctrl-C or SIGTERM, in the foreground; a process of its own, as the service may be what fails."""
    import logging
    import signal
    import threading

    from visionloop.monitoring.alerts.assembly import watch

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # What these write at this level holds addresses.
    for name in ("httpx", "httpcore", "urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    watch(_place(), stop)


def _table(states: Any, now: datetime) -> None:
    rows = [
        (state.severity if state.phase == "firing" else state.phase, _name(state), _age(now - state.since), state.text)
        for state in states
    ]
    if not rows:
        click.echo("nothing fires")
        return
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        click.echo("  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[3]]))


def _name(state: AlertState) -> str:
    return f"{state.rule} ({state.label})" if state.label else state.rule


def _age(age: timedelta) -> str:
    seconds = max(0, round(age.total_seconds()))
    return next((f"{seconds // size}{unit}" for unit, size in reversed(_UNITS.items()) if seconds >= size), "0s")


def _report_json(report: Report) -> dict[str, Any]:
    return {
        "at": report.at.isoformat(),
        "firing": [_plain(asdict(state)) for state in report.firing],
        "messages": [asdict(message) for message in report.messages],
        "problems": list(report.problems),
    }


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in record.items()}
