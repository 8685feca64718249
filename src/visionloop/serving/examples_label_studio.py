"""Examples of the routes that Label Studio calls; see `examples`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visionloop.serving.examples_common import PREDICTION_ID, URL, Sample

_CONFIG = (
    "<View><Image name='image' value='$image'/><Choices name='label' toName='image'>"
    "<Choice value='7'/><Choice value='3'/></Choices></View>"
)

LABEL_STUDIO_SAMPLES: Mapping[str, Sample] = {
    "label_studio_health": Sample(f"curl {URL}/label-studio/health", ""),
    "label_studio_setup": Sample(f"curl --json @setup.json {URL}/label-studio/setup", ""),
    "label_studio_predict": Sample(f"curl --json @tasks.json {URL}/label-studio/predict", ""),
}
"""By operation; a program that is not Label Studio asks the other routes."""

LABEL_STUDIO_BODIES: Mapping[str, Mapping[str, Any]] = {
    "label_studio_setup": {"setup.json": {"value": {"project": "3.1763732712", "schema": _CONFIG}}},
    "label_studio_predict": {
        "tasks.json": {
            "value": {
                "tasks": [{"id": 17, "data": {"prediction_id": PREDICTION_ID}}],
                "label_config": _CONFIG,
                "project": "3.1763732712",
            }
        }
    },
}
"""Bodies, by operation."""

LABEL_STUDIO_ANSWERS: Mapping[str, Any] = {
    "label_studio_health": {"status": "UP", "model_class": "visionloop"},
    "label_studio_setup": {"model_version": "digits-classification 1"},
    "label_studio_predict": {
        "results": [
            {
                "result": [
                    {
                        "from_name": "label",
                        "to_name": "image",
                        "id": "class",
                        "type": "choices",
                        "value": {"choices": ["7"]},
                    }
                ],
                "score": 0.632306,
                "model_version": "digits-classification 1",
            }
        ],
        "model_version": "digits-classification 1",
    },
}
"""Answers, by operation."""
