"""Prometheus metrics of the service, summed over its workers."""

from __future__ import annotations

import functools
import os

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

REQUESTS = Counter("visionloop_requests", "Requests by route, method and status.", ["route", "method", "status"])
REQUEST_SECONDS = Histogram(
    "visionloop_request_seconds", "From the request's head to the answer's end.", ["route"], buckets=_SECONDS
)
STAGE_SECONDS = Histogram(
    "visionloop_stage_seconds",
    "Per image: decode, queue; per batch: inference with finishing.",
    ["task", "stage"],
    buckets=_SECONDS,
)
IMAGES = Counter("visionloop_images", "Images answered, by task, model version and role.", ["task", "version", "role"])
BATCH_SIZE = Histogram(
    "visionloop_batch_images", "Images that shared an inference.", ["task"], buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
QUEUE = Gauge("visionloop_queue_images", "Images waiting for a model.", ["task", "role"], multiprocess_mode="livesum")
REJECTIONS = Counter("visionloop_rejections", "Requests refused, by reason.", ["code"])
CLASSES = Counter("visionloop_predicted", "Images by the class that stands out.", ["task", "version", "top_class"])
CONFIDENCE = Histogram(
    "visionloop_confidence", "Score of the class that stands out.", ["task", "version"], buckets=_TENTHS
)
AGREEMENT = Histogram(
    "visionloop_agreement", "How far shadow or canary and champion agree.", ["task", "role"], buckets=_TENTHS
)
EXPLANATION_SECONDS = Histogram(
    "visionloop_explanation_seconds",
    "From an image that is to be explained to its answer, or to the end of waiting.",
    ["task", "outcome"],
    buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0),
)
LOG_ROWS = Gauge(
    "visionloop_log_rows", "Rows for the prediction store, by fate.", ["fate"], multiprocess_mode="livesum"
)
OBSERVED = Counter(
    "visionloop_observed",
    "Images for the prediction store, by whether they were measured for drift: measured, passed_over, failed.",
    ["fate"],
)
IMAGES_DROPPED = Counter("visionloop_images_dropped", "Images that should have been kept and were not.", ["reason"])
for _reason in ("busy", "full", "error"):
    # There from the start: Prometheus sees no increase in a series that appears with its first count.
    IMAGES_DROPPED.labels(_reason)
STORE_OPEN = Gauge(
    "visionloop_store_open",
    "1 where the prediction store could be opened; 0 where predictions are not kept.",
    multiprocess_mode="livemin",
)
DEPLOYMENT_FAILED = Gauge(
    "visionloop_deployment_failed",
    "1 where the pointer names a bundle that is not served.",
    ["slot"],
    multiprocess_mode="livemax",
)
CANARY_STOPPED = Counter("visionloop_canary_stopped", "Canaries whose share the service took away.", ["task"])

STARTED = Gauge(
    "visionloop_started_seconds",
    "Unix time from which on this service's counters count: when its first worker started.",
    multiprocess_mode="min",
)

DRIFT_SEVERITY = Gauge(
    "visionloop_drift_severity",
    "Of the last drift check: 0 no drift, 1 warning, 2 critical; NaN where there were too few images to say.",
    ["task"],
    multiprocess_mode="mostrecent",
)
DRIFT_TESTS = Gauge(
    "visionloop_drift_tests",
    "Tests that drifted in the latest complete window.",
    ["task"],
    multiprocess_mode="mostrecent",
)
DRIFT_AUC = Gauge(
    "visionloop_drift_auc",
    "How well a classifier tells the latest complete window from the reference: 0.5 not at all, 1 always.",
    ["task"],
    multiprocess_mode="mostrecent",
)
DRIFT_ACCURACY = Gauge(
    "visionloop_drift_estimated_accuracy",
    "Accuracy estimated without labels; NaN where there is none or embeddings drift.",
    ["task"],
    multiprocess_mode="mostrecent",
)
DRIFT_CHECKED = Gauge(
    "visionloop_drift_checked_seconds", "Unix time of the last drift check.", ["task"], multiprocess_mode="mostrecent"
)


class ModelMeters:
    """The series of one model: looking a series up by its labels costs more than counting."""

    def __init__(self, task: str, version: str, role: str) -> None:
        self.images = IMAGES.labels(task, version, role)
        self._decode, self._queued = STAGE_SECONDS.labels(task, "decode"), STAGE_SECONDS.labels(task, "queue")
        self._inference = STAGE_SECONDS.labels(task, "inference")
        self._batch, self._waiting = BATCH_SIZE.labels(task), QUEUE.labels(task, role)
        self._confidence = CONFIDENCE.labels(task, version)
        self._class_of = functools.cache(functools.partial(CLASSES.labels, task, version))

    def said(self, top: tuple[str, float] | None) -> None:
        """Count an answer by the class that stands out, and its score."""
        self._class_of(top[0] if top else "").inc()
        if top:
            self._confidence.observe(top[1])

    def prepared(self, *, decode_s: float, queue_s: float) -> None:
        """Count the seconds before an image's inference."""
        self._decode.observe(decode_s)
        self._queued.observe(queue_s)

    def worked(self, *, waiting: int, work_s: float, batch: int) -> None:
        """Count an inference of `batch` images that took `work_s`, with `waiting` images in the queue after it."""
        self._waiting.set(waiting)
        self._inference.observe(work_s)
        self._batch.observe(batch)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(summed())


def summed() -> CollectorRegistry:
    """The metrics of all workers of this service."""
    # BentoML names the folder through which its workers share their values.
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
