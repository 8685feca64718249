"""A service that has been watched for six days: answers, feedback, a drift check's result, alerts."""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from visionloop.monitoring.alerts.settings import OutboxSettings
from visionloop.monitoring.alerts.state import AlertState
from visionloop.monitoring.alerts.store import AlertStore, Look, Silence
from visionloop.monitoring.drift.estimate import AccuracyEstimate
from visionloop.monitoring.drift.result import ClassShare, DriftResult, Histogram, NewImage, TestReport
from visionloop.monitoring.drift.summary import FOLDER, DriftSummary, WindowReport, write_summary
from visionloop.monitoring.drift.thumbnails import write_thumbnails
from visionloop.monitoring.drift.windows import Status
from visionloop.monitoring.history.requests import Ending, add_endings
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import FeedbackRow, PredictionRow, PredictionStore

CLASSES = ("red", "green", "blue")
HOURS = 144
PER_HOUR = 4
WATCH_S = 3600.0
"""Alerts are looked at so seldom that no browser test finds them unwatched."""
DIGESTS = {"1": "1" * 64, "2": "2" * 64}
_STORE = StoreSettings()


def watch(
    folder: Path,
    now: datetime,
    digests: Mapping[str, str] = DIGESTS,
    *,
    pictures: bool = True,
    store: StoreSettings = _STORE,
) -> None:
    """Fill a project's folder, and its store; with `pictures`, two of the images are kept.

    Version 2 answers half of the images from 36 to 24 hours ago, and is right more often.
    """
    _answers(folder, now, digests, store)
    if pictures:
        _keep_pictures(folder)
    write_drift(folder, now, digests["1"])
    with closing(AlertStore.open(store, folder)) as alerts:
        states = [
            _alert("drift", "classification", "firing", "critical", now - timedelta(hours=3), now),
            _alert("latency", "classification", "pending", "warning", now - timedelta(minutes=2), now),
            _alert("disk", "", "ok", "warning", now - timedelta(hours=20), now),
        ]
        alerts.save([(state, None) for state in states], [], OutboxSettings(), now)
        alerts.add_look(Look(looked_at=now, interval_s=WATCH_S))
        alerts.silence(
            Silence(
                rule="drift", label="*", created_at=now, until=now + timedelta(hours=2), who="ann",
                why="the camera is being replaced",
            )
        )  # fmt: skip


def _answers(folder: Path, now: datetime, digests: Mapping[str, str], settings: StoreSettings) -> None:
    rng = random.Random(5)
    settings = settings.model_copy(update={"flush_s": 0.01, "max_pending": 100_000})
    with closing(PredictionStore.open(settings, folder)) as store:
        said = []
        for index in range(HOURS * PER_HOUR):
            age = timedelta(hours=(index + 0.5) / PER_HOUR)
            version = "2" if timedelta(hours=24) < age < timedelta(hours=36) and index % 2 else "1"
            top = rng.choices(CLASSES, [5, 3, 2])[0]
            id_ = f"{index:032x}"
            store.log(
                PredictionRow(
                    id=id_, created_at=now - age, task="classification", model="tiny-classification",
                    version=version, digest=digests[version], variant="champion", request_id="r",
                    image_sha256=f"{index:064x}", width=48, height=40, image_bytes=700, result={}, top_class=top,
                    confidence=rng.betavariate(8, 2),
                    latency_ms=rng.lognormvariate(2.5, 0.5),
                )
            )  # fmt: skip
            if index % 3 == 0 or version == "2":
                right = rng.random() < (0.98 if version == "2" else 0.8)
                said.append(FeedbackRow(prediction_id=id_, created_at=now, verdict="right" if right else "wrong"))
        store.flush(60)
        for row in said:
            store.add_feedback(row)
        add_endings(*store.database, _endings(now), now)


def _endings(now: datetime) -> dict[Ending, int]:
    """Requests of six days: a few refused in most hours, and an hour in which the service was overloaded."""
    rng = random.Random(6)
    found: dict[Ending, int] = {}
    for hour in range(1, HOURS):
        minute = int((now - timedelta(hours=hour)).timestamp()) // 60
        found[Ending(minute, 200, "")] = rng.randint(40, 60)
        found[Ending(minute, 415, "image_unsupported_format")] = rng.randint(0, 3)
        if hour == 9:
            found[Ending(minute, 503, "overloaded")] = 14
    return {ending: num for ending, num in found.items() if num}


def _keep_pictures(folder: Path) -> None:
    for index in (0, 1):
        path = folder / "mlruns/images/00" / f"{index:064x}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(index).save(path)


def picture(seed: int) -> Image.Image:
    """Something to see: coloured stripes."""
    x = np.linspace(0, 3 * np.pi * (seed + 1), 64)
    wave = (127 + 120 * np.sin(x)).astype(np.uint8)
    return Image.fromarray(
        np.stack(
            [np.tile(wave, (64, 1)), np.tile(wave[::-1], (64, 1)).T, np.full((64, 64), 90 * (seed % 3), np.uint8)],
            axis=-1,
        )
    )


def write_drift(folder: Path, now: datetime, digest: str) -> DriftSummary:
    """What a check of four windows would have left: none, drift, critical, and one that is not full yet."""
    statuses: list[Status] = ["ok", "drift", "critical", "insufficient_data"]
    windows = tuple(
        WindowReport(
            first_at=now - timedelta(hours=9 - 2 * index),
            last_at=now - timedelta(hours=7.5 - 2 * index),
            result=_result(status, digest, is_latest=index == 2),
        )
        for index, status in enumerate(statuses)
    )
    summary = DriftSummary(
        created_at=now - timedelta(minutes=12), task="classification", model="tiny-classification", version="1",
        digest=digest, since=now - timedelta(days=7), num_stored=842, num_measured=790, windows=windows, alarm=True,
        num_looked_at=3, num_drifted=2, severity="critical", remarks=("52 predictions were not measured",),
    )  # fmt: skip
    path = folder / FOLDER / "classification.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_thumbnails(summary, lambda id_: np.asarray(picture(len(id_))) if id_ != "gone" else None, path)
    write_summary(summary, path)
    return summary


def _result(status: Status, digest: str, *, is_latest: bool) -> DriftResult:
    full = status != "insufficient_data"
    drifted = status in ("drift", "critical")
    estimate: dict[str, object] = {"status": "unavailable", "reason": "no images"}
    if full:
        estimate = {"status": "not_valid", "reason": "embeddings drift"} if drifted else {
            "status": "estimate", "value": 0.93, "lower": 0.9, "upper": 0.96, "num_images": 200, "reason": "confidence",
        }  # fmt: skip
    return DriftResult(
        status=status, alpha=0.01, model_digest="m", bundle_digest=digest, num_reference=358, small_reference=True,
        num_seen=230 if full else 40, num_images=200 if full else 37, num_required=200, num_duplicates=0, num_capped=0,
        num_invalid_embeddings=0, tests=_tests(drifted, is_latest) if full else (),
        classes=tuple(ClassShare(name=name, reference=100, window=20 + len(name) ** 2) for name in CLASSES),
        newest=tuple(
            NewImage(id=f"{index:032x}", score=0.99 - index / 100, nearest_reference=("a", "bb", "gone"))
            for index in range(3)
        ) if is_latest else (),
        accuracy=AccuracyEstimate.model_validate({"metric": "accuracy", **estimate}),
        remarks=("the reference profile has only 358 images; only gross drift is found",) if is_latest else (),
    )  # fmt: skip


def _tests(drifted: bool, is_latest: bool) -> tuple[TestReport, ...]:
    histogram = Histogram(edges=(0.0, 0.25, 0.5, 0.75, 1.0), reference=(40, 160, 120, 38), window=(110, 60, 20, 10))
    common = {"num_reference": 358, "num_window": 200}
    tests = [
        {"name": "brightness", "subject": "image", "method": "ks", "p_adjusted": 2e-14, "effect": 0.41,
         "effect_name": "D", "reference_median": 0.46, "window_median": 0.22, "unit": "share of full scale",
         "histogram": histogram},
        {"name": "embedding_domain", "subject": "embedding", "method": "domain_classifier", "p_adjusted": 0.002,
         "effect": 0.81, "effect_name": "AUC"},
        {"name": "sharpness", "subject": "image", "method": "ks", "p_adjusted": 0.4, "effect": 0.06, "effect_name": "D",
         "reference_median": -1.2, "window_median": -1.3, "unit": "log10", "histogram": histogram},
    ]  # fmt: skip
    found = [
        TestReport.model_validate(
            common | test | {"outcome": "tested", "p": 0.001, "drifted": drifted and test["name"] != "sharpness"}
            | ({} if is_latest else {"histogram": None})
        )
        for test in tests
    ]  # fmt: skip
    width = {"name": "width", "subject": "image", "method": "ks", "p": None, "p_adjusted": None, "effect": None}
    constant = common | width | {"effect_name": "D", "outcome": "constant", "drifted": False}
    return (*found, TestReport.model_validate(constant))


def _alert(rule: str, label: str, phase: str, severity: str, since: datetime, now: datetime) -> AlertState:
    texts = {
        "drift": "tiny-classification 1: 2 of 3 windows drifted: brightness, embedding_domain",
        "latency": "one image in a hundred takes longer than 1,204 ms (median 31 ms, 600 images)",
        "disk": "28.1% of the disk is free (71 of 252 GB)",
    }
    return AlertState(
        rule=rule, label=label, phase=phase, since=since, incident="e" * 32, severity=severity, value=1.0,  # type: ignore[arg-type]
        text=texts[rule], evidence="mlruns/monitoring/drift/classification.html", seen_at=now,
    )  # fmt: skip
