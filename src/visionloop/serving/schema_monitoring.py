"""Types of the routes by which people watch the service; see `schema`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from visionloop.serving.schema import Shape


class Percentiles(Shape):
    """Of latency, milliseconds."""

    p50: float
    """Half of the answers took longer."""
    p95: float
    """One in twenty took longer."""
    p99: float
    """One in a hundred took longer."""


class IntervalBody(Shape):
    """An estimate with its 95% interval."""

    value: float | None
    """The estimate; null where there is none."""
    lower: float
    """Lower bound."""
    upper: float
    """Upper bound."""


class FeedbackAccuracyBody(IntervalBody):
    """Share of right answers by feedback."""

    judged: int
    """Answers people judged with one voice."""
    right: int
    """Of these, right."""
    disputed: int
    """Answers that people judged differently; they count for neither."""
    uncorrected: float
    """Right answers among the judged ones, as they are."""
    basis: Literal["random", "weighted", "plain"]
    """`random`: by the judged answers that were drawn by chance, at least 30; only of the whole time. `weighted`: each
    group of confidence counts by its share of the traffic. `plain`: too few for either; `value` is `uncorrected`."""
    drawn: int
    """Judged answers drawn by chance that a `random` one rests on, else 0."""


class TrafficBucket(Shape):
    """What was answered in a stretch of time."""

    start: datetime
    """When it begins; the next one begins where it ends."""
    answers: int
    """Images answered."""
    by_version: dict[str, int]
    """By the model's version."""
    by_class: dict[str, int]
    """By the most confident class, for those in `classes`."""
    other_classes: int
    """With another class."""
    found_nothing: int
    """Without any finding."""
    latency_ms: Percentiles | None
    """Null without answers."""
    accuracy: FeedbackAccuracyBody | None
    """By what people have said of these answers until now; null where they said nothing."""


class ConfidenceBody(Shape):
    """How sure the answers were."""

    edges: list[float]
    """Edges of the bins, one more than counts."""
    counts: list[int]
    """Answers in each bin, by the most confident class's score."""


class SummaryAnswer(Shape):
    """Answer of `/v1/monitoring/summary`."""

    task: str
    """As asked."""
    range: Literal["hour", "day", "week", "month"]
    """As asked."""
    since: datetime
    """Where the first bucket begins."""
    until: datetime
    """Where the last one ends: it is under way."""
    at: datetime
    """When this was counted."""
    bucket_s: float
    """Seconds of a bucket."""
    answers: int
    """Stored answers in all of it; what requests asked not to store is here too, without its image."""
    versions: list[str]
    """Versions that answered."""
    classes: list[str]
    """Most frequent classes: nine, or ten where there are no more."""
    latency_ms: Percentiles | None
    """From the request's arrival to its answer, counted in bins a quarter wide; null without answers."""
    confidence: ConfidenceBody
    """Of answers that found something."""
    found_nothing: int
    """Answers without any finding."""
    accuracy: FeedbackAccuracyBody | None
    """Over all of it."""
    held_back: int
    """Words of suspicious keys, as retraining named them, that `accuracy` leaves out."""
    buckets: list[TrafficBucket]
    """Oldest first, without gaps."""


class VersionSpan(Shape):
    """A version that has answered."""

    version: str
    """Its number."""
    first_at: datetime
    """Its first stored answer."""
    last_at: datetime
    """Its last."""
    answers: int
    """Stored ones."""


class ArmBody(Shape):
    """One of two versions."""

    version: str
    """Its number."""
    answers: int
    """Images it answered."""
    judged: int
    """Of these, judged with one voice."""
    right: int
    """Of the judged, right."""
    disputed: int
    """Judged differently by two people."""
    accuracy: IntervalBody | None
    """Right among the judged, for one look; null where nothing was judged."""
    p50_ms: float | None
    """Median latency."""
    p95_ms: float | None
    """95th percentile."""


class AgreementBody(IntervalBody):
    """How far two versions agree on the same images, 0 to 1."""

    images: int
    """Images that both answered."""


class ComparisonReport(Shape):
    """The second version against the first."""

    since: datetime
    """Earliest answer looked at."""
    basis: Literal["shared", "sequence"]
    """`shared`: both answered at the same time. `sequence`: one after the other; then what was sent may have changed
    with them, and the difference is not the models' alone."""
    confidence: float
    """Of all intervals."""
    first: ArmBody
    """The one that was there."""
    second: ArmBody
    """The other."""
    gain: IntervalBody
    """Second's accuracy by feedback less the first's; of `shared` traffic, bounds that hold at every look."""
    verdict: Literal["better", "worse", "undecided"]
    """Of the second: whether the bounds of the gain leave zero."""
    slower_ms: IntervalBody | None
    """Difference of the 95th percentiles of latency; null with fewer than 20 answers on a side."""
    agreement: AgreementBody | None
    """Null where no image was answered by both, which a shadow's are."""


class ComparisonAnswer(Shape):
    """Answer of `/v1/monitoring/comparison`."""

    task: str
    """As asked."""
    versions: list[VersionSpan]
    """Versions whose answers are stored, the latest to answer first."""
    report: ComparisonReport | None
    """Null with fewer than two of them."""


class AlertBody(Shape):
    """An alert."""

    rule: str
    """Its rule."""
    label: str
    """What it concerns: a task, a slot, a reason; or nothing."""
    phase: Literal["firing", "pending", "resolved"]
    """`pending`: its condition holds, but not for long enough yet."""
    since: datetime
    """Since when."""
    severity: Literal["info", "warning", "critical"]
    """Of its current or last incident."""
    text: str
    """What was seen last."""
    evidence: str
    """Where to see more."""
    seen_at: datetime
    """When that was."""
    silenced_until: datetime | None
    """Until when nobody is told."""
    silenced_why: str | None
    """The reason given."""
    runbook: str
    """File and heading of what to do."""


class AlertsAnswer(Shape):
    """Answer of `/v1/monitoring/alerts`."""

    watched_at: datetime | None
    """When `visionloop alerts` looked last; null where it never did."""
    watch_interval_s: float | None
    """Seconds between two looks of `visionloop alerts run`, as it said itself; null where it never ran."""
    alerts: list[AlertBody]
    """Firing ones first, then pending, then resolved."""


class RefusalCount(Shape):
    """Refusals of one kind."""

    code: str
    """As in problem documents."""
    count: int
    """How many."""
    ours: bool
    """Whether it was no fault of who asked."""


class StageBody(Percentiles):
    """A stage of answering an image."""

    task: str
    """Whose model."""
    stage: str
    """`decode`, `queue`, or of a batch of images `inference`."""
    count: int
    """How often it was timed."""


class RowsBody(Shape):
    """Answers on their way into the prediction store."""

    written: int
    """Stored."""
    pending: int
    """Waiting."""
    dropped: int
    """Lost: the queue was full, or the database away."""


class ServiceAnswer(Shape):
    """Answer of `/v1/monitoring/service`: counted by this service's workers, and by no other replica's."""

    since: datetime | None
    """Since when: the start of the service."""
    requests: int
    """Requests answered, refusals included; those without a key or of a foreign page are counted as refusals alone."""
    by_status: dict[str, int]
    """By the first digit of their status: `2xx`, `4xx`, `5xx`."""
    refusals: list[RefusalCount]
    """By code, most frequent first."""
    stages: list[StageBody]
    """Milliseconds, interpolated between the edges of a histogram."""
    rows: RowsBody
    """Of the workers alive."""


class EndingsBucket(Shape):
    """How the requests of a stretch of time ended."""

    start: datetime
    """Its beginning."""
    requests: int
    """All of them."""
    refused: int
    """With a status from 400 to 499."""
    failed: int
    """With a status from 500."""
    by_code: dict[str, int]
    """Of those refused or failed."""


class RequestsAnswer(Shape):
    """Answer of `/v1/monitoring/requests`: of all workers and replicas that share the prediction store."""

    range: Literal["hour", "day", "week", "month"]
    """As asked."""
    since: datetime
    """Beginning of the first bucket."""
    until: datetime
    """End of the last, which is under way."""
    bucket_s: float
    """Seconds of a bucket."""
    requests: int
    """All; but not health checks, scrapes of metrics, and what the panel "Watch" asks."""
    refused: int
    """With a status from 400 to 499."""
    failed: int
    """With a status from 500."""
    codes: list[RefusalCount]
    """Why, most frequent first."""
    buckets: list[EndingsBucket]
    """Oldest first."""
