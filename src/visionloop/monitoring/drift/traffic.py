"""A deployed version's traffic against its own reference: predictions from the store, cut into windows and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from visionloop.artifact.bundle import Bundle
from visionloop.artifact.deployment import Variant
from visionloop.monitoring.drift.check import check
from visionloop.monitoring.drift.observations import Observation, Observations
from visionloop.monitoring.drift.profile import Profile
from visionloop.monitoring.drift.summary import DriftSummary, WindowReport
from visionloop.monitoring.drift.windows import alarm, tumbling_windows
from visionloop.monitoring.settings import DriftSettings
from visionloop.monitoring.store import PredictionStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is checked.

    Attributes:
        task: Name of the task.
        variant: The version.
        bundle: Its bundle's folder.
    """

    task: str
    variant: Variant
    bundle: Path


class Sent(NamedTuple):
    """A prediction, as a report shows it."""

    created_at: datetime
    image_sha256: str
    top_class: str | None
    confidence: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A check, with what a report needs beside it.

    Attributes:
        summary: What was found.
        profile: What it was compared with.
        sent: What is known of the predictions, by id.
    """

    summary: DriftSummary
    profile: Profile
    sent: dict[str, Sent]


def check_traffic(
    store: PredictionStore, subject: Subject, settings: DriftSettings, *, since: datetime, now: datetime
) -> Checked:
    """Compare a version's stored predictions with its reference profile, window by window.

    Args:
        store: Where the predictions are.
        subject: Whose predictions.
        settings: Windows, tests, most rows.
        since: Earliest prediction.
        now: With a time zone; predictions dated later were made under a wrong clock and are left out.

    Raises:
        BundleError: the bundle or its profile is missing, damaged, or of another version.
        ConfigError: scipy is not installed.
        StoreError: the store cannot be read.
    """
    variant = subject.variant
    profile = Profile.open(Bundle.open(subject.bundle))
    rows, num_stored = store.measured(digest=variant.digest, since=since, until=now, limit=settings.max_rows)
    observations, num_unfit = _observations(rows, profile)
    windows = tumbling_windows(
        observations, settings, duplicate_bits=profile.info.duplicate_bits, digest=variant.digest
    )
    times = {row["id"]: row["created_at"] for row in rows}
    # Histograms and pictures are most of a result, and of interest in the latest full window only.
    latest_full = max((index for index, window in enumerate(windows) if window.complete), default=-1)
    reports = []
    for index, window in enumerate(windows):
        seen = [times[id_] for id_ in observations.ids[max(0, window.first) : window.last + 1]]
        reports.append(
            WindowReport(
                first_at=seen[0] if seen else None,
                last_at=seen[-1] if seen else None,
                result=check(profile, window, settings, brief=index != latest_full),
            )
        )
    if len(reports) > 1 and not reports[-1].result.num_seen:
        del reports[-1]
    statuses = [report.result.status for report in reports if report.result.status != "insufficient_data"]
    latest = statuses[-settings.alarm_windows :]
    raised = alarm(statuses, settings)
    critical = raised and latest.count("critical") >= settings.alarm_drifted
    summary = DriftSummary(
        created_at=now,
        task=subject.task,
        model=variant.model,
        version=variant.version,
        digest=variant.digest,
        since=since,
        num_stored=num_stored,
        num_measured=len(observations),
        windows=tuple(reports),
        alarm=raised if raised or len(latest) >= settings.alarm_drifted else None,
        num_looked_at=len(latest),
        num_drifted=sum(status != "ok" for status in latest),
        severity=("critical" if critical else "warning") if raised else None,
        remarks=_remarks(store, variant.digest, now, num_stored, len(observations), num_unfit),
    )
    sent = {row["id"]: Sent(*(row[name] for name in Sent._fields)) for row in rows}
    return Checked(summary=summary, profile=profile, sent=sent)


def _observations(rows: Sequence[dict[str, Any]], profile: Profile) -> tuple[Observations, int]:
    """Rows of the store as columns, and how many of them another version of the program wrote."""
    num_classes, width = len(profile.classes), profile.observations.embeddings.shape[1]
    found: list[Observation] = []
    for row in rows:
        try:
            one = Observation.from_record(
                row["features"], id=row["id"], embedding=row["embedding"] or b"", client=row["key_id"]
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        if all(0 <= class_id < num_classes for class_id in one.class_counts):
            found.append(one)
    # Where embeddings are not kept, all else is compared.
    kept = any(len(one.embedding) == width for one in found)
    fit = [one for one in found if len(one.embedding) == (width if kept else 0)]
    return Observations.stack(fit, num_classes=num_classes), len(rows) - len(fit)


def _remarks(
    store: PredictionStore, digest: str, now: datetime, num_stored: int, num_measured: int, num_unfit: int
) -> tuple[str, ...]:
    remarks = []
    if num_stored > num_measured + num_unfit:
        remarks.append(
            f"{num_stored - num_measured - num_unfit} of {num_stored} predictions were not measured: more images than "
            "serving.observe allows time for, or measuring is off, or the request said store=false"
        )
    if num_unfit:
        remarks.append(f"{num_unfit} predictions were measured by another version of visionloop and are left out")
    later = store.count_since(digest=digest, since=now)
    if later:
        remarks.append(f"{later} predictions are dated later than now and are left out: a clock was, or is, wrong")
    return tuple(remarks)
