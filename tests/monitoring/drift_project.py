"""A project whose service has answered: a deployed bundle that carries a profile, and rows in the prediction store."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from tests.monitoring.drift_data import CLASSES, DigitModel, digits, profile_of
from visionloop.artifact import deployment
from visionloop.artifact.bundle import GRAPH, Bundle, ParityReport, write_manifest
from visionloop.artifact.deployment import Lineup, Variant
from visionloop.core.files import sha256_bytes
from visionloop.core.images import ImageArray, Recipe
from visionloop.monitoring.drift.observations import Observation
from visionloop.monitoring.drift.profile import Profile, model_digest
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import PredictionRow, PredictionStore

MODEL = "digits-classification"
PARITY = ParityReport(
    num_images=0, max_relative_error={}, tolerance={}, metric="accuracy", metric_framework=None, metric_bundle=None,
    max_metric_drop=0.0, passed=True,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Scans:
    """A model that learned from 400 scans, 700 that it is held against, and the rest as traffic."""

    model: DigitModel
    reference: list[ImageArray]
    traffic: list[ImageArray]

    @classmethod
    def make(cls) -> Scans:
        images, truth = digits()
        order = np.random.default_rng(1).permutation(len(images))
        learn, reference, rest = order[:400], order[400:1100], order[1100:]
        model = DigitModel([images[index] for index in learn], truth[learn])
        return cls(model, [images[index] for index in reference], [images[index] for index in rest])

    @functools.cached_property
    def profile(self) -> Profile:
        return profile_of(self.model.observe(self.reference, "reference "))

    @functools.cached_property
    def _known(self) -> dict[int, Observation]:
        return {id(image): row for image, row in zip(self.traffic, self.model.rows(self.traffic), strict=True)}

    def rows(self, images: Sequence[ImageArray]) -> list[Observation]:
        """Answers; those to `traffic` are worked out once."""
        known = [self._known.get(id(image)) for image in images]
        new = iter(self.model.rows([image for image, row in zip(images, known, strict=True) if row is None]))
        return [row or next(new) for row in known]


def make_bundle(root: Path, scans: Scans, graph: bytes = b"graph") -> Bundle:
    """As far as a drift check opens it: manifest, hashes, profile; the graph is never run."""
    root.mkdir(parents=True)
    (root / GRAPH).write_bytes(graph)
    values: dict[str, Any] = {
        "task": "classification", "classes": CLASSES, "classes_hash": "c" * 64, "recipe": Recipe(height=32, width=32),
        "outputs": ("logits", "embedding"), "operating_point": {"temperature": 1.0}, "model": {}, "training": {},
        "dataset": {"name": "digits"}, "parity": PARITY, "versions": {},
    }  # fmt: skip
    manifest = write_manifest(root, **values)
    profile = scans.profile
    info = profile.info.model_copy(update={"model_digest": model_digest(manifest)})
    dataclasses.replace(profile, info=info).save(root)
    write_manifest(root, **values)
    return Bundle.open(root)


class DriftProject:
    """A project folder. Time passes by a minute with each prediction, up to now."""

    def __init__(self, root: Path, scans: Scans, *, url: str = StoreSettings().url, **drift: Any) -> None:
        self.root, self.scans, self.url = root, scans, url
        self.bundle = make_bundle(root / "mlruns/deployed/1/bundle", scans)
        self.variant = Variant(model=MODEL, version="1", digest=self.bundle.digest, bundle="deployed/1/bundle")
        deployment.change(root / "mlruns/deployment.json", "classification", lambda _: Lineup(champion=self.variant))
        self.settle(**drift)
        self.sent = 0
        self.now = datetime.now(UTC)

    def settle(self, **drift: Any) -> None:
        """Settings of drift."""
        settings = {"max_test_images": 150, "report": False} | drift
        blocks = {"monitoring": {"drift": settings}, "serving": {"store": {"url": self.url}}}
        (self.root / "params.yaml").write_text(yaml.safe_dump(blocks))

    def send(self, images: Sequence[ImageArray], *, key: str | None = None, keep: bool = False, **changes: Any) -> None:
        """Have images answered and remembered, each in the minute after the one before it."""
        self.store(self.scans.rows(images), images, key=key, keep=keep, **changes)

    def store(
        self,
        rows: Sequence[Observation],
        images: Sequence[ImageArray],
        *,
        key: str | None = None,
        keep: bool = False,
        **changes: Any,
    ) -> None:
        """Observations as rows of the prediction store."""
        settings = StoreSettings(url=self.url, flush_s=0.01, max_pending=100_000)
        with closing(PredictionStore.open(settings, self.root)) as store:
            for row, image in zip(rows, images, strict=True):
                self.sent += 1
                sha256 = sha256_bytes(image.tobytes())
                values: dict[str, Any] = {
                    "id": f"{self.sent:032x}",
                    "created_at": self.now - timedelta(days=1) + timedelta(seconds=self.sent),
                    "task": "classification", "model": MODEL, "version": "1", "digest": self.bundle.digest,
                    "variant": "champion", "request_id": "r", "key_id": key, "image_sha256": sha256,
                    "width": 32, "height": 32, "image_bytes": 100, "result": {}, "latency_ms": 1.0,
                    "features": json.loads(json.dumps(row.to_record(), allow_nan=False)),
                    "embedding": row.embedding.astype(np.float16).tobytes(),
                }  # fmt: skip
                store.log(PredictionRow(**(values | changes)))
                if keep:
                    target = self.root / "mlruns/images" / sha256[:2] / f"{sha256}.png"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(image).save(target)
