"""The service against its own OpenAPI document: what is generated from it is answered as it says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from tests.serving.bodies import archives
from tests.serving.conftest import SETTINGS, encoded, listening, serving
from tests.serving.mutate import image_seeds, mutants
from visionloop.serving.models import verbs
from visionloop.serving.openapi import openapi_document
from visionloop.serving.settings import BatchJobSettings, KeySettings
from visionloop.task import task_names

CONFIG = schemathesis.Config.from_dict(
    {
        "generation": {"mode": "all", "max-examples": 20, "deterministic": True, "database": "none"},
        # What is wrong with a request is told by more statuses here than 400 and 422.
        "checks": {"negative_data_rejection": {"expected-statuses": [400, 404, 405, 413, 415, 422]}},
    }
)
# Images as they should be, and damaged ones; a generator of strings finds none.
_SEEDS = image_seeds()
_IMAGES = st.sampled_from([seed.data for seed in _SEEDS] * 2 + mutants(_SEEDS, 30, seed=6))
schemathesis.openapi.format("binary", _IMAGES)
schemathesis.openapi.media_type(
    "image/png", _IMAGES, aliases=["image/jpeg", "image/webp", "image/bmp", "application/octet-stream"]
)
schemathesis.openapi.media_type("application/zip", st.sampled_from([sent.body for sent in archives(30, seed=7)]))
SCHEMA = schemathesis.openapi.from_dict(openapi_document(verbs(task_names())), config=CONFIG)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


class Running(NamedTuple):
    """A service over HTTP, with something to ask for.

    Attributes:
        url: Where it listens.
        prediction: Id of an answer.
        batch: Id of a finished batch.
    """

    url: str
    prediction: str
    batch: str


@pytest.fixture(scope="module")
def running(bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = SETTINGS.model_copy(
        update={
            "keys": KeySettings(requests_per_minute=10**6),
            "batches": BatchJobSettings(max_waiting=1000),
            "explain_masks": 4,
        }
    )
    with serving(tmp_path_factory.mktemp("schemathesis"), bundles, settings) as service, listening(service) as url:
        answer = service.client.post("/v1/classify", files={"image": encoded()}).json()
        job = service.client.post("/v1/batches?task=detection", files={"image": ("a.png", encoded())}).json()
        while service.client.get(job["url"]).json()["status"] != "done":
            time.sleep(0.02)
        yield Running(url, answer["predictions"][0]["id"], job["id"])


_NUMBERS = count()


@SCHEMA.parametrize()
@hypothesis_settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_the_document_holds(case: Case[Any], running: Running) -> None:
    # Every second id is one that is there; a generated one never is.
    if case.meta is not None and case.meta.generation.mode.is_positive and next(_NUMBERS) % 2:
        if "id" in case.path_parameters and case.method == "GET":
            case.path_parameters["id"] = running.prediction if "predictions" in case.path else running.batch
        elif isinstance(case.body, dict) and isinstance(case.body.get("prediction_id"), str):
            case.body["prediction_id"] = running.prediction
    response = case.call(base_url=running.url)
    case.validate_response(response, checks=CHECKS)
