"""Messages arrive: with a sink that is down, processes that die, two at once, and a database that is locked."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.monitoring.alerts_factory import Clock, Sink, World
from tests.postgresql import on_both
from visionloop.core.errors import ConfigError
from visionloop.core.settings import parse_settings
from visionloop.monitoring.alerts.channels import Channel, ChannelError, open_channels
from visionloop.monitoring.alerts.loop import Loop
from visionloop.monitoring.alerts.messages import Message, trial_message
from visionloop.monitoring.alerts.secrets import redact
from visionloop.monitoring.alerts.settings import AlertSettings, ChannelSettings
from visionloop.monitoring.alerts.store import Look
from visionloop.monitoring.settings import MonitoringSettings
from visionloop.monitoring.store.errors import StoreError

Make = Callable[..., World]
ROOT = Path(__file__).resolve().parents[2]


@on_both
def test_a_sink_that_is_down_gets_everything_in_order_once_it_is_back(world: Make, sink: Sink) -> None:
    one = world(sink, rule={"clear_s": 0})
    sink.up = False
    one.fire()
    for _ in range(40):
        one.sender.deliver()
        one.clock.pass_s(30)
    tries = sink.asked
    assert 5 <= tries <= 9  # 20 minutes of waits that double from 10 s to 900 s
    assert one.look(9) == ["resolved"]
    one.sender.deliver()
    assert sink.asked == tries  # the end waits for its beginning
    sink.up = True
    one.clock.pass_s(900)
    assert [queued.message.kind for queued in one.sender.deliver()] == ["firing", "resolved"]
    assert sink.titles == ["[visionloop warning] load", "[visionloop warning] resolved: load"]
    assert one.store.counts() == {"pending": 0, "sent": 2, "given_up": 0}
    first, last = (body["message"].splitlines()[-1] for body in sink.bodies)
    assert first != last


def test_nothing_is_lost_by_a_restart(world: Make, sink: Sink) -> None:
    first = world(sink)
    sink.up = False
    first.fire()
    first.sender.deliver()
    first.close()
    second = world(sink)
    assert second.look(11) == []  # the same incident
    sink.up = True
    second.clock.pass_s(10)
    assert len(second.sender.deliver()) == 1
    assert len(sink.bodies) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.monitoring.alerts_factory import Clock, World
from visionloop.core.errors import VisionloopError

class Deadly:
    def wants(self, message):
        return True
    def send(self, message):
        if sys.argv[2] == "after":
            channel.send(message)
        os.kill(os.getpid(), signal.SIGKILL)

class Address:
    url = sys.argv[3]

one = World(Path(sys.argv[1]), Clock(), Address())
channel = one.channels["hook"]
one.channels["hook"] = Deadly()
one.fire()
one.sender.deliver()
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_around_the_sending_loses_nothing(
    world: Make, sink: Sink, clock: Clock, tmp_path: Path, moment: str
) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), moment, sink.url], env=environment, cwd=ROOT, timeout=200
    )
    assert done.returncode == -signal.SIGKILL
    before = len(sink.bodies)
    assert before == (moment == "after")
    clock.pass_s(60)
    one = world(sink)
    assert one.look(11) == []  # the incident is known
    assert one.sender.deliver() == []  # still claimed by the dead
    clock.pass_s(60)
    assert len(one.sender.deliver()) == 1
    ids = {body["message"].splitlines()[-1] for body in sink.bodies}
    assert (len(sink.bodies), len(ids)) == (before + 1, 1)  # a receiver knows the second by its id


def test_two_watchers_at_once_send_one_message(world: Make, sink: Sink) -> None:
    pair = [world(sink), world(sink)]
    for one in pair:
        one.look(11)
    pair[0].clock.pass_s(60)
    gate = threading.Barrier(2)
    kinds: list[list[str]] = []

    def watch(one: World) -> None:
        gate.wait()
        kinds.append(one.look(11))
        gate.wait()
        one.sender.deliver()

    threads = [threading.Thread(target=watch, args=(one,)) for one in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kinds) == [[], ["firing"]]
    assert len(sink.bodies) == 1


def test_a_state_that_another_has_changed_is_left_alone(world: Make, sink: Sink) -> None:
    one, other = world(sink), world(sink)
    one.look(11)
    stale = one.store.states()["load", ""]
    other.look(11, after_s=60)
    assert (
        one.store.save(
            [(stale, trial_message(one.clock()))], [("hook", lambda _: True)], one.settings.outbox, one.clock()
        )
        == []
    )
    assert one.store.counts()["pending"] == 1


def test_a_locked_database_changes_nothing_and_the_next_look_goes_on(world: Make, tmp_path: Path) -> None:
    one = world()
    one.look(11)
    one.clock.pass_s(60)
    with sqlite3.connect(tmp_path / "mlruns" / "predictions.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            one.look(11)
        other.execute("ROLLBACK")
    assert one.look(11) == ["firing"]


def test_a_message_is_given_up_after_its_time_with_a_log_line(
    world: Make, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    one = world(sink, outbox={"give_up_hours": 1})
    sink.up = False
    one.fire()
    while one.store.counts()["pending"]:
        one.sender.deliver()
        one.clock.pass_s(300)
    assert "is given up after" in caplog.text
    (queued,) = one.store.history()
    assert (queued.state, queued.ended_at is not None) == ("given_up", True)
    assert "503" in queued.error


def test_the_outbox_is_bounded_and_the_newest_stay(world: Make, sink: Sink) -> None:
    one = world(sink, outbox={"max_pending": 3}, rule={"for_s": 0})
    for label in "abcde":
        one.look(11, label=label)
    waiting = [queued.message.label for queued in one.store.history() if queued.state == "pending"]
    assert waiting == ["e", "d", "c"]
    assert one.store.counts()["given_up"] == 2


def test_what_ended_long_ago_is_forgotten(world: Make, sink: Sink) -> None:
    one = world(sink, rule={"remind_s": None})
    one.fire()
    one.sender.deliver()
    assert one.store.counts()["sent"] == 1
    one.look(11, after_s=31 * 86_400)
    assert one.store.counts()["sent"] == 0


def test_waits_survive_a_clock_that_goes_back(world: Make, sink: Sink) -> None:
    one = world(sink)
    sink.up = False
    one.fire()
    one.sender.deliver()
    sink.up = True
    one.clock.pass_s(-30 * 86_400)
    assert len(one.sender.deliver()) == 1


def test_pauses_double_with_jitter_up_to_a_limit(world: Make, sink: Sink) -> None:
    sender = world(sink).sender
    for attempts, full in ((1, 10), (2, 20), (5, 160), (8, 900), (5000, 900)):
        waits = {sender.wait_s(attempts) for _ in range(50)}
        assert len(waits) > 1
        assert all(full / 2 <= wait <= full for wait in waits)


def test_a_channel_takes_only_what_is_bad_enough(world: Make, sink: Sink, tmp_path: Path) -> None:
    one = world(sink, rule={"for_s": 0, "critical": 20})
    settings = ChannelSettings(url=SecretStr(sink.url), min_severity="critical")
    one.channels["hook"] = open_channels({"hook": settings}, tmp_path)["hook"]
    one.look(11)
    assert one.store.counts()["pending"] == 0
    one.look(21)
    assert one.store.counts()["pending"] == 1


# -- secrets

SECRET = "jsons://ann:S3cret-Passw0rd@127.0.0.1:1/T0KENT0KEN/hook?+Authorization=Bearer%20QWERTY"


def test_what_goes_wrong_is_told_without_secrets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], clock: Clock
) -> None:
    caplog.set_level(logging.INFO)
    channel = open_channels({"ops": ChannelSettings(url=SecretStr(SECRET))}, tmp_path)["ops"]
    with pytest.raises(ChannelError) as error:
        channel.send(trial_message(clock()))
    with pytest.raises(ConfigError) as unknown:
        open_channels({"ops": ChannelSettings(url=SecretStr("nosuch://S3cret-Passw0rd"))}, tmp_path)
    out, err = capfd.readouterr()
    shown = f"{error.value}{unknown.value}{caplog.text}{out}{err}"
    assert "Connection error" in str(error.value)
    for secret in ("S3cret", "T0KEN", "QWERTY"):
        assert secret not in shown


def test_settings_do_not_show_a_url() -> None:
    settings = parse_settings(AlertSettings, {"channels": {"ops": {"url": SECRET}}}, where="test")
    for text in (repr(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "S3cret" not in text
    for wrong in (SECRET, [SECRET], {"url": {"a": SECRET}}, {"url": SECRET, "min_severity": SECRET}):
        with pytest.raises(ConfigError) as error:
            parse_settings(MonitoringSettings, {"alerts": {"channels": {"ops": wrong}}}, where="test")
        assert "S3cret" not in str(error.value)
        assert "alerts.channels.ops" in str(error.value)


def test_a_url_is_read_from_the_environment_or_a_file(
    sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setenv("ALERT_URL", sink.url)
    (tmp_path / "secret").write_text(sink.url + "\n")
    for text in ("env:ALERT_URL", "file:secret"):
        open_channels({"ops": ChannelSettings(url=SecretStr(text))}, tmp_path)["ops"].send(trial_message(clock()))
    assert len(sink.bodies) == 2
    for text, problem in (("env:NOTHING", "NOTHING is not set"), ("file:nothing", "nothing cannot be read")):
        with pytest.raises(ConfigError, match=rf"{problem}[\s\S]*monitoring\.alerts\.channels\.ops\.url"):
            open_channels({"ops": ChannelSettings(url=SecretStr(text))}, tmp_path)


def test_redaction_takes_every_part_that_may_be_a_secret() -> None:
    text = "POST https://hooks.example.org/services/AAAA1111/b%2Fc4/end by ann failed: aaaa1111"
    shown = redact(text, ["slack://AAAA1111/b%2Fc4"])
    assert shown == "POST https://hooks.example.org/services/***/end by ann failed: ***"


# -- the watch without its database


class Memory:
    def __init__(self) -> None:
        self.sent: list[Message] = []

    def wants(self, message: Message) -> bool:
        return True

    def send(self, message: Message) -> None:
        self.sent.append(message)


def test_a_database_that_is_away_is_told_once_and_its_return_too(world: Make, clock: Clock) -> None:
    one, memory = world(), Memory()
    channels: dict[str, Channel] = {"memory": memory}
    one.channels["memory"] = memory
    away = True

    def open_parts() -> tuple[object, object, object]:
        if away:
            raise StoreError("the database is gone", where="x", expected="x", action="x")
        return one.store, one.watcher, one.sender

    loop = Loop(open_parts, one.settings, channels, clock, threading.Event())  # type: ignore[arg-type]
    for _ in range(10):
        loop.once()
        clock.pass_s(30)
    assert [message.title for message in memory.sent] == ["[visionloop critical] store"]
    assert one.store.last_look() is None
    away = False
    loop.once()
    loop.once()
    # Whoever wants to know whether somebody watches is told how often that is.
    assert one.store.last_look() == Look(looked_at=clock(), interval_s=one.settings.interval_s)
    assert [message.title for message in memory.sent][1:] == ["[visionloop critical] resolved: store"]
    assert len({message.incident for message in memory.sent}) == 1
