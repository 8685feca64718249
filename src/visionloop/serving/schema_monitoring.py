"""Types of the routes by which people watch the service; see `schema`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

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


class EstimateBody(Shape):
    """Accuracy estimated without labels; never a measurement."""

    status: Literal["estimate", "not_valid", "unavailable"]
    """`not_valid` while embeddings drift: then there is no value."""
    metric: str
    """What is estimated."""
    value: float | None
    """Null unless `estimate`."""
    lower: float | None
    """Lower bound, 95%."""
    upper: float | None
    """Upper bound."""
    reason: str
    """What it rests on, or why there is none."""


class DriftWindow(Shape):
    """A window of images that follow each other."""

    first_at: datetime | None
    """Its first image."""
    last_at: datetime | None
    """Its last."""
    status: Literal["ok", "drift", "critical", "insufficient_data"]
    """What was found in it."""
    num_images: int
    """Distinct images."""
    num_required: int
    """Distinct images that fill it."""
    auc: float | None
    """How well a classifier tells it from the reference: 0.5 not at all, 1 always."""
    drifted: list[str]
    """Tests that are significant, most significant first."""
    accuracy: EstimateBody
    """Estimated over it."""


class HistogramBody(Shape):
    """Both sides of one number, over the same bins."""

    edges: list[float]
    """Bin edges; the outer bins hold everything beyond them."""
    reference: list[int]
    """Reference images per bin."""
    window: list[int]
    """Images of the window per bin."""


class DriftTest(Shape):
    """One test of the latest complete window."""

    name: str
    """`brightness`, `classes`, `embedding_mmd`, ..."""
    subject: Literal["image", "answer", "embedding"]
    """What it looks at."""
    method: Literal["ks", "chi_square", "mmd", "domain_classifier"]
    """Which test."""
    outcome: str
    """`tested`, or why not."""
    p_adjusted: float | None
    """After Holm's correction over all tests; at most `alpha` is significant."""
    effect: float | None
    """How large the difference is."""
    effect_name: Literal["D", "V", "MMD2", "AUC"]
    """In which unit."""
    drifted: bool
    """Significant, and not too small to matter."""
    reference_median: float | None
    """Of the reference."""
    window_median: float | None
    """Of the window."""
    unit: str
    """Of the medians and the histogram."""
    meaning: str
    """What the number is."""
    histogram: HistogramBody | None
    """Of one number."""


class DriftClass(Shape):
    """How often a class is answered."""

    class_name: str = Field(alias="class")
    """Its name."""
    reference: float
    """Share on reference images."""
    window: float
    """Share in the window."""


class ReferenceImage(Shape):
    """A held-out image that the model is compared by."""

    id: str
    """In the dataset."""
    jpeg_base64: str | None
    """A small picture; null where the check had no dataset at hand."""


class NewImageBody(Shape):
    """An image of the window that looks least like the reference."""

    prediction_id: str
    """Its prediction; `/v1/predictions/{id}/image` has the image, where it is kept."""
    score: float
    """Share of reference images that look more like the reference than it does."""
    has_image: bool
    """Whether its image is kept."""
    nearest: list[ReferenceImage]
    """Reference images nearest by embedding."""


class DriftReportBody(Shape):
    """What `visionloop drift` found last."""

    created_at: datetime
    """When."""
    model: str
    """Of the champion then."""
    version: str
    """Its version."""
    is_champion: bool
    """Whether that version is champion still."""
    alarm: bool | None
    """Null with too few windows to say."""
    severity: Literal["warning", "critical"] | None
    """Of the alarm."""
    status: Literal["ok", "drift", "critical", "insufficient_data"]
    """Of the latest complete window."""
    sentence: str
    """The verdict in one line."""
    num_looked_at: int
    """Complete windows that the alarm goes by."""
    num_drifted: int
    """Of these, drifted."""
    num_stored: int
    """Predictions stored in the time looked at."""
    num_measured: int
    """Of these, measured for drift."""
    num_reference: int
    """Images of the reference."""
    alpha: float
    """Chance of a false alarm of a window, over all its tests."""
    windows: list[DriftWindow]
    """Oldest first; only the last may be incomplete."""
    latest: int
    """Index of the window that the rest is about."""
    tests: list[DriftTest]
    """Most significant first; empty with too few images."""
    classes: list[DriftClass]
    """In order of id."""
    newest: list[NewImageBody]
    """Newest first."""
    accuracy: EstimateBody
    """Estimated over the latest complete window."""
    remarks: list[str]
    """What a reader should know."""


class DriftAnswer(Shape):
    """Answer of `/v1/monitoring/drift`."""

    task: str
    """As asked."""
    report: DriftReportBody | None
    """Null before the first check."""
    problem: str | None
    """Why the result of the last check cannot be read."""


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
