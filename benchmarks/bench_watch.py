"""How soon the panel "Watch" has its numbers, over a store of a million predictions.

    python -m benchmarks.bench_watch --rows 1000000

Prints milliseconds: of the first look at each range, when past hours are counted and kept, and of the next ones.
"""

from __future__ import annotations

import argparse
import platform
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from visionloop.monitoring.ab.compare import compare
from visionloop.monitoring.history.accuracy import judgements
from visionloop.monitoring.history.traffic import TrafficHistory
from visionloop.monitoring.history.versions import answering_versions
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import PredictionStore

RANGES = {"hour": (60, 60), "day": (3600, 24), "week": (3 * 3600, 56), "month": (12 * 3600, 60)}
_COLUMNS = (
    "id", "created_at", "task", "model", "version", "digest", "variant", "request_id", "image_sha256", "width",
    "height", "image_bytes", "result", "top_class", "confidence", "features", "embedding", "latency_ms",
)  # fmt: skip


def rows(count: int, now: datetime) -> Iterator[tuple[Any, ...]]:
    """Thirty days of answers of two versions, as large as a small classifier's are."""
    rng = random.Random(0)
    begin = now.replace(tzinfo=None) - timedelta(days=30)
    step = timedelta(days=30) / count
    filler, embedding = '{"ranked": "' + 300 * "x" + '"}', bytes(256)
    for index in range(count):
        second = index > 0.7 * count and index % 2
        yield (
            f"{rng.getrandbits(128):032x}", f"{begin + index * step:%Y-%m-%d %H:%M:%S.%f}", "classification", "digits",
            "2" if second else "1", ("b" if second else "a") * 64, "champion", "r", f"{index:064x}", 32, 32, 600,
            filler, str(rng.randrange(10)), rng.betavariate(8, 1), filler, embedding, rng.lognormvariate(2.5, 0.6),
        )  # fmt: skip


def fill(folder: Path, count: int, now: datetime) -> float:
    """Write the rows; megabytes of the database."""
    PredictionStore.open(StoreSettings(), folder).close()
    path = folder / "mlruns/predictions.db"
    with closing(sqlite3.connect(path)) as database:
        marks = ", ".join("?" for _ in _COLUMNS)
        database.executemany(f"INSERT INTO predictions ({', '.join(_COLUMNS)}) VALUES ({marks})", rows(count, now))
        database.execute(
            "INSERT INTO feedback (prediction_id, created_at, verdict, key_id) SELECT id, created_at, "
            "CASE WHEN confidence > 0.6 THEN 'right' ELSE 'wrong' END, '' FROM predictions WHERE rowid % 500 = 0"
        )
        database.commit()
    return path.stat().st_size / 1e6


def timed(work: Callable[[], object], repeats: int = 5) -> tuple[float, float]:
    """Milliseconds of the first call, and the median of the next ones."""
    found = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        work()
        found.append(1000 * (time.perf_counter() - started))
    return found[0], median(found[1:])


def main() -> None:
    """Fill a store, and look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    count = parser.parse_args().rows
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = fill(folder, count, now)
        print(f"{count:,} rows, {size:,.0f} MB, SQLite {sqlite3.sqlite_version}, Python {platform.python_version()}")
        with closing(PredictionStore.open(StoreSettings(), folder)) as store:
            engine, where = store.database
            for title, (seconds, num) in RANGES.items():
                end = datetime.fromtimestamp(now.timestamp() // seconds * seconds + seconds, UTC)
                edges = [end - timedelta(seconds=seconds * index) for index in range(num, -1, -1)]
                traffic = TrafficHistory(engine, where)
                first, later = timed(lambda: traffic.buckets("classification", edges, now))  # noqa: B023
                print(f"traffic of a {title:6} first {first:8.0f} ms, then {later:7.1f} ms")
                _, later = timed(lambda: judgements(engine, where, "classification", edges))  # noqa: B023
                print(f"feedback of a {title:5}                    {later:7.1f} ms")
            _, later = timed(lambda: answering_versions(engine, where, "classification"))
            print(f"versions                                {later:7.1f} ms")
            pair = {"first": ("1", "a" * 64), "second": ("2", "b" * 64)}
            _, later = timed(lambda: compare(engine, task="classification", **pair), repeats=3)  # type: ignore[arg-type]
            print(f"two versions compared                   {later:7.1f} ms")


if __name__ == "__main__":
    main()
