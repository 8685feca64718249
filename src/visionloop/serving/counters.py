"""What this service has counted since it started, over its workers: requests, refusals, stages, rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client import Metric
from prometheus_client.samples import Sample

from visionloop.monitoring.history.counts import percentile
from visionloop.serving import metrics

_PERCENTS = (50, 95, 99)
_OURS = frozenset({"bodies_exhausted", "internal_error", "not_deployed", "overloaded", "pixels_exhausted", "stopping",
                   "store_off", "store_unavailable", "state_unavailable", "no_space", "too_late"})  # fmt: skip
"""Codes that are no fault of who asks."""


def service_counts() -> dict[str, Any]:
    """The answer of `/v1/monitoring/service`; reads the files that the workers share."""
    families = {family.name: family for family in metrics.summed().collect()}
    requests: Counter[str] = Counter()
    for sample in _samples(families, "visionloop_requests", "_total"):
        requests[f"{sample.labels['status'][0]}xx"] += int(sample.value)
    refusals: Counter[str] = Counter()
    for sample in _samples(families, "visionloop_rejections", "_total"):
        refusals[sample.labels["code"]] += int(sample.value)
    started = [sample.value for sample in _samples(families, "visionloop_started_seconds", "")]
    rows = {sample.labels["fate"]: int(sample.value) for sample in _samples(families, "visionloop_log_rows", "")}
    return {
        "since": datetime.fromtimestamp(started[0], UTC).isoformat() if started and started[0] else None,
        "requests": requests.total(),
        "by_status": dict(sorted(requests.items())),
        "refusals": [
            {"code": code, "count": count, "ours": is_ours(code)} for code, count in refusals.most_common() if count
        ],
        "stages": _stages(_samples(families, "visionloop_stage_seconds", "_bucket")),
        "rows": {fate: rows.get(fate, 0) for fate in ("written", "pending", "dropped")},
    }


def is_ours(code: str) -> bool:
    """Whether a refusal is no fault of who asked."""
    return code in _OURS


def _samples(families: Mapping[str, Metric], name: str, suffix: str) -> Iterable[Sample]:
    family = families.get(name)
    return [] if family is None else [sample for sample in family.samples if sample.name == name + suffix]


def _stages(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Percentiles of each stage, from cumulative counts at the histogram's edges."""
    reached: dict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
    for sample in samples:
        key = (sample.labels["task"], sample.labels["stage"])
        reached[key].append((float(sample.labels["le"]), int(sample.value)))
    found = []
    for (task, stage), pairs in sorted(reached.items()):
        pairs.sort()
        edges = [1000 * edge for edge, _ in pairs[:-1]]
        totals = [total for _, total in pairs]
        counts = [total - before for before, total in zip([0, *totals], totals, strict=False)]
        if totals[-1]:
            values = {f"p{percent}": _rounded(percentile(edges, counts, percent)) for percent in _PERCENTS}
            found.append({"task": task, "stage": stage, "count": totals[-1], **values})
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
