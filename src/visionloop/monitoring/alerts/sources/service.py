"""What the service says of itself: its Prometheus metrics, and how they grow."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from visionloop.core.errors import VisionloopError
from visionloop.monitoring.alerts.observations import Observation, span
from visionloop.monitoring.alerts.settings import RuleSettings
from visionloop.monitoring.alerts.store import AlertStore

_OURS = frozenset({"overloaded", "too_late", "not_deployed", "store_unavailable", "internal_error"})
"""Refusals that are not the caller's doing; they count as errors, not as rejected uploads."""


class ServiceSource:
    """`service_up`, `error_rate`, `rejection_rate` (by code), `dropped_rows`, `deployment_failed` (by slot).

    Counters are kept in the store, so that a check started by cron knows how much they grew.

    Args:
        fetch: Returns the text of `/metrics`, or raises `VisionloopError`.
        store: Keeps the samples.
        keep_s: Age in seconds above which samples are forgotten; more than the longest window.
        public_url: Where people reach the service, for links.
    """

    signals = frozenset({"service_up", "error_rate", "rejection_rate", "dropped_rows", "deployment_failed"})

    def __init__(self, fetch: Callable[[], str], store: AlertStore, keep_s: float, public_url: str) -> None:
        self._fetch, self._store, self._keep_s, self._url = fetch, store, keep_s, public_url
        self._failed_slots: dict[str, float] = {}
        self._problem: str | None = None

    def refresh(self, now: datetime) -> None:
        """Ask the service once, for all rules."""
        try:
            counters, self._failed_slots = _parse(self._fetch())
        except (VisionloopError, ValueError) as error:
            self._failed_slots = {}
            self._problem = error.what if isinstance(error, VisionloopError) else "its metrics are not readable"
            return
        self._problem = None
        self._store.add_sample(counters, now, self._keep_s)

    def observe(self, rule: RuleSettings, now: datetime) -> list[Observation]:
        """As `Source`."""
        if rule.signal == "service_up":
            text = f"the service gives no metrics: {self._problem}" if self._problem else "the service answers"
            return [Observation(value=float(self._problem is None), text=text, evidence=f"{self._url}/livez")]
        if self._problem is not None:
            return []
        if rule.signal == "deployment_failed":
            return [self._deployment(slot, value) for slot, value in sorted(self._failed_slots.items())]
        grown = _growth(self._store.samples(now - timedelta(seconds=rule.window_s)))
        if grown is None:
            return []
        if rule.signal == "dropped_rows":
            text = f"{grown.get('dropped', 0):,.0f} predictions were not stored in {span(rule.window_s)}"
            return [Observation(value=grown.get("dropped", 0.0), text=text, evidence=f"{self._url}/metrics")]
        return self._shares(rule, grown)

    def _deployment(self, slot: str, value: float) -> Observation:
        text = f"the bundle for {slot} could not be loaded; what served before goes on"
        return Observation(
            value=value, label=slot, text=text if value else f"{slot} serves", evidence=f"{self._url}/v1/models"
        )

    def _shares(self, rule: RuleSettings, grown: dict[str, float]) -> list[Observation]:
        rejected = {key.partition(":")[2]: value for key, value in grown.items() if key.startswith("rejected:")}
        # The guard refuses some requests before they are counted as such.
        requests = max(grown.get("requests", 0.0), sum(rejected.values()))
        if requests < rule.min_count:
            return []
        evidence, asked = f"{self._url}/metrics", f"{requests:,.0f} requests in {span(rule.window_s)}"
        if rule.signal == "error_rate":
            share = grown.get("errors", 0.0) / requests
            text = f"{share:.1%} of {asked} failed with a status of 500 or above"
            return [Observation(value=share, text=text, evidence=evidence)]
        return [
            Observation(
                value=count / requests,
                label=code,
                text=f"{count / requests:.1%} of {asked} were refused as {code}",
                evidence=evidence,
            )
            for code, count in sorted(rejected.items())
            if code not in _OURS
        ]


def fetch_metrics(url: str, key: str | None, timeout_s: float = 10.0) -> str:
    """The text of the service's `/metrics`.

    Raises:
        VisionloopError: it does not answer, or refuses.
    """
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        # No proxy of the environment: the service is ours, and the key is for it alone.
        with httpx.Client(timeout=timeout_s, trust_env=False) as client:
            answer = client.get(f"{url.rstrip('/')}/metrics", headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _away(url, type(error).__name__) from None
    if answer.status_code != 200:
        raise _away(url, f"status {answer.status_code}")
    return answer.text


def _away(url: str, reason: str) -> VisionloopError:
    return VisionloopError(
        f"no answer from /metrics ({reason})",
        where=url.rpartition("@")[2],
        expected="the service's metrics",
        action="start the service, or correct monitoring.alerts.service_url and service_key",
    )


def _parse(text: str) -> tuple[dict[str, float], dict[str, float]]:
    counters = {"requests": 0.0, "errors": 0.0, "dropped": 0.0}
    slots: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels, value = sample.labels, sample.value
            if sample.name == "visionloop_requests_total":
                counters["requests"] += value
                counters["errors"] += value if labels.get("status", "").startswith("5") else 0.0
            elif sample.name == "visionloop_rejections_total":
                key = f"rejected:{labels.get('code', '')}"
                counters[key] = counters.get(key, 0.0) + value
            elif sample.name == "visionloop_log_rows" and labels.get("fate") == "dropped":
                counters["dropped"] += value
            elif sample.name == "visionloop_deployment_failed":
                slots[labels.get("slot", "")] = max(slots.get(labels.get("slot", ""), 0.0), value)
    return counters, slots


def _growth(samples: Iterable[dict[str, float]]) -> dict[str, float] | None:
    """How much each counter grew from the first sample to the last; None with fewer than two samples."""
    ordered = list(samples)
    if len(ordered) < 2:
        return None
    grown: dict[str, float] = {}
    for before, after in itertools.pairwise(ordered):
        for key, value in after.items():
            earlier = before.get(key, 0.0)
            # A counter that fell began anew with the service. The gauge of dropped rows is summed over the workers
            # alive and also falls when one of many ends: what the others dropped long ago is not new.
            began = 0.0 if key == "dropped" else value
            grown[key] = grown.get(key, 0.0) + (value - earlier if value >= earlier else began)
    return grown
