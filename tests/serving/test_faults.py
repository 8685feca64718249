"""Bad models and a broken database: what serves goes on serving, and the metrics say what is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.serving.altered import scaled, signed
from tests.serving.conftest import Service, encoded, problem, variant
from visionloop.artifact.bundle import GOLDEN, GRAPH
from visionloop.artifact.deployment import Lineup
from visionloop.serving import metrics


def without_numbers(bundle: Path) -> None:
    scaled(bundle, np.nan)


def with_other_answers(bundle: Path) -> None:
    with np.load(bundle / GOLDEN) as golden:
        arrays = {name: golden[name] for name in golden.files}
    arrays["logits"] = arrays["logits"] + 5
    np.savez(bundle / GOLDEN, **arrays)
    signed(bundle, GOLDEN)


def with_a_golden_batch_that_is_no_archive(bundle: Path) -> None:
    (bundle / GOLDEN).write_bytes(b"no archive")
    signed(bundle, GOLDEN)


def with_a_golden_batch_of_another_size(bundle: Path) -> None:
    with np.load(bundle / GOLDEN) as golden:
        arrays = {name: golden[name] for name in golden.files}
    arrays["images"] = arrays["images"][:, :5, :5]
    np.savez(bundle / GOLDEN, **arrays)
    signed(bundle, GOLDEN)


def with_a_graph_that_is_none(bundle: Path) -> None:
    (bundle / GRAPH).write_bytes(b"no graph")
    signed(bundle, GRAPH)


def tampered(bundle: Path) -> None:
    with (bundle / GRAPH).open("ab") as file:
        file.write(b"x")


def cut_short(bundle: Path) -> None:
    (bundle / GRAPH).unlink()


@pytest.mark.parametrize(
    "spoil",
    [
        without_numbers,
        with_other_answers,
        with_a_golden_batch_that_is_no_archive,
        with_a_golden_batch_of_another_size,
        with_a_graph_that_is_none,
        tampered,
        cut_short,
    ],
)
@pytest.mark.parametrize("role", ["champion", "shadow"])
def test_a_bad_model_is_refused_the_old_one_stays_and_an_alert_fires(
    service: Service, bundles: dict[str, Path], tmp_path: Path, spoil: Callable[[Path], None], role: str
) -> None:
    good = Lineup(champion=variant(bundles["classification"]))
    bad = tmp_path / "bad"
    shutil.copytree(bundles["classification-2"], bad)
    spoil(bad)
    service.lineup("classification", good.model_copy(update={role: variant(bad, "2")}))
    slot = f"classification.{role}"
    answer = service.client.post("/v1/classify", files={"image": encoded()})
    assert answer.status_code == 200
    assert answer.json()["model"]["version"] == "1"
    assert service.client.get("/readyz").status_code == 200
    assert service.client.get("/v1/models").json()["failures"][slot]
    # deploy/prometheus/alerts.yml fires on this gauge.
    assert metrics.DEPLOYMENT_FAILED.labels(slot)._value.get() == 1
    service.lineup("classification", good)
    assert metrics.DEPLOYMENT_FAILED.labels(slot)._value.get() == 0
    assert service.client.get("/v1/models").json()["failures"] == {}


def test_a_service_whose_only_model_is_bad_starts_and_says_so(
    service: Service, bundles: dict[str, Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(bundles["classification-2"], bad)
    with_a_golden_batch_that_is_no_archive(bad)
    service.lineup("detection", None)
    service.lineup("classification", None)
    service.lineup("classification", Lineup(champion=variant(bad)))
    body = problem(service.client.get("/readyz"), 503, "not_deployed")
    assert "classification.champion" in body.detail
    assert service.client.get("/livez").status_code == 200
