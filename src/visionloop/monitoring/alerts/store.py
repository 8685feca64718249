"""Alerts in the database: states that change by compare-and-set, together with the messages about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from visionloop.monitoring.alerts.messages import Message
from visionloop.monitoring.alerts.settings import OutboxSettings
from visionloop.monitoring.alerts.state import AlertState
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store.engine import open_engine
from visionloop.monitoring.store.errors import store_errors
from visionloop.monitoring.store.inserts import insert_into
from visionloop.monitoring.store.tables import (
    ALERT_MESSAGES,
    ALERT_SAMPLES,
    ALERT_SILENCES,
    ALERT_WATCH,
    ALERTS,
)

ANY = "*"
"""As a silence's rule or label: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Messages held back until a time.

    Attributes:
        rule: Name of the rule, or `*`.
        label: What it concerns, or `*`.
        created_at: When it began.
        until: When it ends.
        who: Who asked for it.
        why: Reason.
    """

    rule: str
    label: str
    created_at: datetime
    until: datetime
    who: str
    why: str

    def covers(self, rule: str, label: str, now: datetime) -> bool:
        """Whether it holds back messages about `rule` and `label` now."""
        # A clock that went back must not make a silence longer than was asked for.
        began = self.created_at <= now + timedelta(minutes=5)
        return began and now < self.until and self.rule in (ANY, rule) and self.label in (ANY, label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A message on its way to one channel.

    Attributes:
        id: Of the row; grows.
        message: What is sent.
        channel: Name of the channel.
        created_at: When it was queued.
        state: `pending`, `sent` or `given_up`.
        attempts: Tries so far, the one under way included.
        next_try_at: Not before this.
        ended_at: When it was sent or given up, or None.
        error: Why the last try failed, without secrets.
    """

    id: int
    message: Message
    channel: str
    created_at: datetime
    state: str
    attempts: int
    next_try_at: datetime
    ended_at: datetime | None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The last look of `visionloop alerts run`.

    Attributes:
        looked_at: When it was.
        interval_s: Seconds from one look to the next.
    """

    looked_at: datetime
    interval_s: float


class AlertStore:
    """States, silences, messages and samples; safe with several processes at once."""

    def __init__(self, engine: sa.Engine, where: str) -> None:
        """Use a migrated database; see `open`."""
        self.engine = engine
        self.where = where

    @classmethod
    def open(cls, settings: StoreSettings, root: Path) -> Self:
        """Open the database of the prediction store.

        Raises:
            StoreError: it cannot be used.
        """
        return cls(*open_engine(settings, root))

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    # -- states

    def states(self) -> dict[tuple[str, str], AlertState]:
        """Every state by rule and label."""
        with store_errors(self.where, "read"), self.engine.connect() as connection:
            rows = connection.execute(sa.select(ALERTS).order_by(ALERTS.c.rule, ALERTS.c.label)).mappings()
            return {(row["rule"], row["label"]): AlertState(**row) for row in rows}

    def save(
        self,
        changes: Iterable[tuple[AlertState, Message | None]],
        channels: Sequence[tuple[str, Any]],
        outbox: OutboxSettings,
        now: datetime,
    ) -> list[AlertState]:
        """Write states and queue their messages in one transaction.

        A state that another process has changed since it was read is left alone, and its message is not queued.

        Args:
            changes: States with the revision they were read with, and the message about the change.
            channels: Names with a function that says whether a message goes there.
            outbox: Limits.
            now: The clock.

        Returns:
            The states that were written.
        """
        written: list[AlertState] = []
        # In one order everywhere, so that two processes never wait for each other.
        ordered = sorted(changes, key=lambda change: (change[0].rule, change[0].label))
        with store_errors(self.where, "written"), self.engine.begin() as connection:
            for state, message in ordered:
                if self._swap(connection, state):
                    written.append(state)
                    if message is not None:
                        self._queue(connection, message, [name for name, wants in channels if wants(message)], now)
            self._bound(connection, outbox, now)
        return written

    def _swap(self, connection: sa.Connection, state: AlertState) -> bool:
        values = asdict(state) | {"revision": state.revision + 1}
        if state.revision == 0:
            insert = insert_into(ALERTS, self.engine).values(values).on_conflict_do_nothing()
            return connection.execute(insert).rowcount == 1
        key = (ALERTS.c.rule == state.rule, ALERTS.c.label == state.label, ALERTS.c.revision == state.revision)
        return connection.execute(sa.update(ALERTS).where(*key).values(values)).rowcount == 1

    # -- the watch itself

    def add_look(self, look: Look) -> None:
        """Remember a look; the one before is forgotten."""
        values = asdict(look)
        insert = insert_into(ALERT_WATCH, self.engine).values(id=1, **values)
        with store_errors(self.where, "written"), self.engine.begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=values))

    def last_look(self) -> Look | None:
        """The last look, or None where nobody has watched yet."""
        query = sa.select(ALERT_WATCH.c.looked_at, ALERT_WATCH.c.interval_s)
        with store_errors(self.where, "read"), self.engine.connect() as connection:
            row = connection.execute(query).mappings().first()
            return None if row is None else Look(**row)

    # -- silences

    def silence(self, silence: Silence) -> None:
        """Add a silence."""
        with store_errors(self.where, "written"), self.engine.begin() as connection:
            connection.execute(sa.insert(ALERT_SILENCES).values(asdict(silence)))

    def end_silences(self, rule: str, label: str) -> int:
        """Remove the silences of exactly this rule and label; how many there were."""
        where = (ALERT_SILENCES.c.rule == rule, ALERT_SILENCES.c.label == label)
        with store_errors(self.where, "written"), self.engine.begin() as connection:
            return connection.execute(sa.delete(ALERT_SILENCES).where(*where)).rowcount

    def silences(self, now: datetime) -> list[Silence]:
        """Those that are not over, the first to end first."""
        table = ALERT_SILENCES.c
        columns = (table.rule, table.label, table.created_at, table.until, table.who, table.why)
        with store_errors(self.where, "read"), self.engine.connect() as connection:
            rows = connection.execute(sa.select(*columns).where(table.until > now).order_by(table.until)).mappings()
            return [Silence(**row) for row in rows]

    # -- messages

    def queue(self, message: Message, channels: Sequence[str], outbox: OutboxSettings, now: datetime) -> None:
        """Queue a message that belongs to no state."""
        with store_errors(self.where, "written"), self.engine.begin() as connection:
            self._queue(connection, message, channels, now)
            self._bound(connection, outbox, now)

    def _queue(self, connection: sa.Connection, message: Message, channels: Sequence[str], now: datetime) -> None:
        rest = {"created_at": now, "next_try_at": now, "state": "pending", "attempts": 0, "error": ""}
        rows = [asdict(message) | rest | {"channel": name} for name in channels]
        if rows:
            connection.execute(insert_into(ALERT_MESSAGES, self.engine).on_conflict_do_nothing(), rows)

    def _bound(self, connection: sa.Connection, outbox: OutboxSettings, now: datetime) -> None:
        """Give up the oldest above the limit, and forget what ended long ago."""
        table = ALERT_MESSAGES.c
        newest = sa.select(table.id).where(table.state == "pending").order_by(table.id.desc())
        kept = newest.limit(outbox.max_pending).subquery()
        connection.execute(
            sa.update(ALERT_MESSAGES)
            .where(table.state == "pending", table.id.not_in(sa.select(kept.c.id)))
            .values(state="given_up", ended_at=now, error="too many messages were waiting")
        )
        limit = now - timedelta(days=outbox.keep_days)
        connection.execute(sa.delete(ALERT_MESSAGES).where(table.state != "pending", table.ended_at < limit))
        connection.execute(sa.delete(ALERT_SILENCES).where(ALERT_SILENCES.c.until < limit))

    def due(self, now: datetime, horizon_s: float) -> list[Queued]:
        """Pending messages to be tried now, oldest first; of an incident only the first on each channel.

        Args:
            now: The clock.
            horizon_s: Longest wait there can be; what would wait longer was queued before the clock went back.
        """
        table = ALERT_MESSAGES.c
        earlier = ALERT_MESSAGES.alias()
        overtakes = sa.exists().where(
            earlier.c.state == "pending",
            earlier.c.channel == table.channel,
            earlier.c.incident == table.incident,
            earlier.c.id < table.id,
        )
        is_due = sa.or_(table.next_try_at <= now, table.next_try_at > now + timedelta(seconds=horizon_s))
        query = sa.select(ALERT_MESSAGES).where(table.state == "pending", is_due, ~overtakes)
        return self._messages(query.order_by(table.id))

    def history(self, *, limit: int = 100) -> list[Queued]:
        """The newest messages, newest first."""
        return self._messages(sa.select(ALERT_MESSAGES).order_by(ALERT_MESSAGES.c.id.desc()).limit(limit))

    def _messages(self, query: sa.Select[Any]) -> list[Queued]:
        with store_errors(self.where, "read"), self.engine.connect() as connection:
            return [_queued(row) for row in connection.execute(query).mappings()]

    def claim(self, queued: Queued, until: datetime) -> bool:
        """Take a message for one try; False when another sender has taken it.

        When the try's end is never reported, the message is due again at `until`.
        """
        return self._update(queued, attempts=queued.attempts + 1, next_try_at=until)

    def end(self, queued: Queued, state: str, error: str, now: datetime) -> bool:
        """Report a message as `sent` or `given_up`."""
        return self._update(queued, state=state, ended_at=now, error=error)

    def postpone(self, queued: Queued, until: datetime, error: str) -> bool:
        """Report that a try failed, and when the next is due."""
        return self._update(queued, next_try_at=until, error=error)

    def _update(self, queued: Queued, **values: Any) -> bool:
        table = ALERT_MESSAGES.c
        same = (table.id == queued.id, table.state == "pending", table.attempts == queued.attempts)
        with store_errors(self.where, "written"), self.engine.begin() as connection:
            return connection.execute(sa.update(ALERT_MESSAGES).where(*same).values(values)).rowcount == 1

    def counts(self) -> dict[str, int]:
        """Messages by state."""
        table = ALERT_MESSAGES.c
        with store_errors(self.where, "read"), self.engine.connect() as connection:
            found = connection.execute(sa.select(table.state, sa.func.count()).group_by(table.state)).all()
        return {"pending": 0, "sent": 0, "given_up": 0} | {str(state): count for state, count in found}

    # -- samples of counters

    def add_sample(self, counters: dict[str, float], now: datetime, keep_s: float) -> None:
        """Remember what the service's counters said."""
        table = ALERT_SAMPLES.c
        # Samples from the future were taken before the clock went back; differences to them mean nothing.
        useless = sa.or_(table.at < now - timedelta(seconds=keep_s), table.at > now)
        with store_errors(self.where, "written"), self.engine.begin() as connection:
            connection.execute(sa.delete(ALERT_SAMPLES).where(useless))
            connection.execute(sa.insert(ALERT_SAMPLES).values(at=now, counters=counters))

    def samples(self, since: datetime) -> list[dict[str, float]]:
        """Samples since `since`, and the last one before it, oldest first."""
        table = ALERT_SAMPLES.c
        before = sa.select(sa.func.max(table.at)).where(table.at < since).scalar_subquery()
        query = (
            sa.select(table.counters).where(table.at >= sa.func.coalesce(before, since)).order_by(table.at, table.id)
        )
        with store_errors(self.where, "read"), self.engine.connect() as connection:
            return list(connection.scalars(query))


def _queued(row: sa.RowMapping) -> Queued:
    values = {str(name): value for name, value in row.items()}
    message = Message(**{name: values.pop(name) for name in Message.__dataclass_fields__})
    return Queued(message=message, **values)
