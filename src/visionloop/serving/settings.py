"""The service's settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from visionloop.artifact.settings import RuntimeSettings
from visionloop.core.places import params_path
from visionloop.core.settings import Settings, load_block
from visionloop.monitoring.settings import LabellingSettings, StoreSettings
from visionloop.serving.log import LogLevel


class UploadSettings(Settings):
    """What a request may carry."""

    max_image_mb: float = Field(default=10.0, gt=0, le=1024)
    """Largest encoded image, in megabytes (10**6 bytes)."""
    max_images: int = Field(default=32, ge=1, le=1000)
    """Most images in one request."""
    max_request_mb: float = Field(default=64.0, gt=0, le=4096)
    """Largest body of a request, in megabytes (10**6 bytes)."""
    max_pixels: int = Field(default=64_000_000, ge=1)
    """Most pixels of an image, known from its header before it is decoded."""
    max_pixels_at_once: int = Field(default=96_000_000, ge=1)
    """Decoded pixels a worker holds at once, about 7 bytes each; an image that would be too many gets 503."""
    max_bodies_mb_at_once: float = Field(default=256.0, gt=0)
    """Megabytes (10**6 bytes) of bodies that a worker holds at once, while they arrive and until they are answered; a
    body that would be too much gets 503, unless it is alone."""
    body_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds within which a body must have arrived."""


class BatchingSettings(Settings):
    """How requests share an inference."""

    max_batch: int = Field(default=16, ge=1, le=1024)
    """Most images put through a graph at once."""
    parallel: int = Field(default=0, ge=0, le=64)
    """Batches a worker works on at once; 0 takes the cores this process may use, and 1 on a GPU."""
    max_wait_ms: float = Field(default=0.0, ge=0, le=1000)
    """Milliseconds an idle model waits for company; a busy one gathers what arrives meanwhile anyway."""
    max_queue: int = Field(default=128, ge=1, le=100_000)
    """Most images waiting for a model in one worker; above it requests are refused with 503."""
    timeout_s: float = Field(default=10.0, gt=0)
    """Seconds an image may wait for its answer."""


class KeySettings(Settings):
    """Who may ask."""

    file: str = "mlruns/keys.json"
    """The hashed API keys, relative to the project; `visionloop keys` writes it."""
    required: bool | None = None
    """Whether a key is needed; null asks for one unless the service listens on loopback only."""
    requests_per_minute: int = Field(default=6000, ge=1)
    """Requests a key (without keys: an address) may make in a minute, in each worker."""


class CanarySettings(Settings):
    """When the service takes a canary's share away by itself."""

    window: int = Field(default=500, ge=1)
    """Latest requests looked at, in each worker."""
    min_requests: int = Field(default=30, ge=1)
    """Requests before anything is judged."""
    max_error_rate: float = Field(default=0.02, ge=0, le=1)
    """Share of the canary's requests that may fail."""
    max_latency_ratio: float = Field(default=3.0, gt=0)
    """Median latency, as a multiple of the champion's."""
    min_agreement: float = Field(default=0.5, ge=0, le=1)
    """Mean agreement with the champion on the same images: same class; F1 of boxes at IoU 0.5."""


class ImageStoreSettings(Settings):
    """Whether the images that were asked about are kept, for review and retraining."""

    folder: str = "mlruns/images"
    """Where, relative to the project; re-encoded, so that nothing but pixels is kept."""
    keep: bool = True
    """Whether a request that does not say `store=` keeps its images."""
    max_gb: float = Field(default=5.0, ge=0)
    """Gigabytes (10**9 bytes) after which no more are kept."""


class ObserveSettings(Settings):
    """What is noted of an image and its answer, so that drift can be seen."""

    enabled: bool = True
    """Whether brightness, sharpness and the like, a hash and the answer in numbers are stored with a prediction."""
    embedding: bool = True
    """Whether the model's embedding is stored as well; it says more of the picture than any other number here."""
    max_share: float = Field(default=0.02, gt=0, le=1)
    """Share of its time that a worker spends on measuring images; above it some, by chance, are not measured."""


class BatchJobSettings(Settings):
    """Jobs of many images (`/v1/batches`)."""

    folder: str = "mlruns/batches"
    """Where jobs and their results lie, relative to the project; all workers share it."""
    max_archive_mb: float = Field(default=1000.0, gt=0, le=100_000)
    """Largest body of a batch, in megabytes (10**6 bytes)."""
    max_images: int = Field(default=100_000, ge=1, le=10_000_000)
    """Most images in a batch."""
    max_unpacked_mb: float = Field(default=10_000.0, gt=0, le=1_000_000)
    """Most megabytes (10**6 bytes) the images of an archive may unpack to."""
    body_timeout_s: float = Field(default=900.0, gt=0)
    """Seconds within which the body of a batch must have arrived."""
    keep_hours: float = Field(default=72.0, gt=0)
    """Hours a finished job is kept."""
    max_running: int = Field(default=1, ge=1, le=16)
    """Jobs a worker works on at once."""
    max_waiting: int = Field(default=8, ge=1, le=10_000)
    """Jobs waiting in all workers together; above it they are refused with 503."""


class ServingSettings(Settings):
    """The HTTP service."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=3000, ge=1, le=65535)
    """Port to listen on."""
    workers: int = Field(default=2, ge=1, le=256)
    """Processes; more than one, so that the service lives on when one dies."""
    pointer: str = "mlruns/deployment.json"
    """The deployment pointer, relative to the project: which bundles serve."""
    poll_s: float = Field(default=1.0, gt=0, le=60)
    """Seconds between looks at the pointer."""
    drain_s: float = Field(default=2.0, ge=0, le=300)
    """Seconds a stopping worker says it is not ready while it still answers, so that balancers turn away first."""
    log_level: LogLevel = "info"
    """Least serious lines that a worker writes to standard error, as JSON: with `info` each request is one, with
    `warning` only those answered with 500 and above."""
    runtime: RuntimeSettings = RuntimeSettings(threads=1)
    """Engine of every worker; with one thread each, workers do not fight for cores."""
    upload: UploadSettings = UploadSettings()
    """Limits of a request."""
    batching: BatchingSettings = BatchingSettings()
    """Limits of the queue before a model."""
    batches: BatchJobSettings = BatchJobSettings()
    """Jobs of many images."""
    keys: KeySettings = KeySettings()
    """API keys and rates."""
    canary: CanarySettings = CanarySettings()
    """When a canary is stopped."""
    store: StoreSettings = StoreSettings()
    """Where predictions and feedback are kept."""
    images: ImageStoreSettings = ImageStoreSettings()
    """Images kept for review and retraining."""
    observe: ObserveSettings = ObserveSettings()
    """What is noted for drift; never of a request that says `store=false`."""
    labelling: LabellingSettings = LabellingSettings()
    """Which images people are asked to label."""
    explain_masks: int = Field(default=192, ge=1, le=2048)
    """Times an image is asked about with random parts hidden to explain an answer; more is slower and less noisy."""
    explain_timeout_s: float = Field(default=30.0, gt=0, le=600)
    """Seconds within which an explanation must be there; then it is given up, and answered with 504."""
    tracing: bool = False
    """Whether BentoML's OpenTelemetry traces are made; the exporter is set in BENTOML_CONFIG."""
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    """Host headers that are answered; `*` answers all, `*.example.org` a domain's."""
    origins: tuple[str, ...] = ()
    """Origins that pages in a browser may call from (CORS); none by default."""


def load_settings(root: Path) -> ServingSettings:
    """The `serving` block of the project's `params.yaml`; the defaults where there is no such file or block.

    Raises:
        ConfigError: lists everything wrong with it.
    """
    return load_block(ServingSettings, params_path(root), "serving")
