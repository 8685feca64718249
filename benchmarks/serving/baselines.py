"""The same bundle behind other servers, as their documentation would have one write it."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
from PIL import Image

from visionloop.artifact.predictor import Predictor
from visionloop.artifact.settings import RuntimeSettings


def _open() -> Predictor:
    return Predictor.open(Path(os.environ["BENCH_BUNDLE"]), RuntimeSettings(threads=1))


def _answer(predictor: Predictor, image: Image.Image) -> dict[str, Any]:
    pixels = np.asarray(image.convert("RGB"))
    return next(predictor.predict_stream([pixels])).to_record(predictor.classes)


@bentoml.service(workers=2, logging={"access": {"enabled": False}})
class Native:
    """BentoML's own route, with its own image input."""

    def __init__(self) -> None:
        self.predictor = _open()

    @bentoml.api(route="/classify")  # type: ignore[untyped-decorator]
    def classify(self, image: Image.Image) -> dict[str, Any]:
        """One image."""
        return _answer(self.predictor, image)


def fastapi_app() -> Any:
    """FastAPI with a synchronous handler, one image at a time."""
    from fastapi import FastAPI, UploadFile

    app, predictor = FastAPI(), _open()

    def classify(image: UploadFile) -> dict[str, Any]:
        return _answer(predictor, Image.open(io.BytesIO(image.file.read())))

    # Without the future import's strings, FastAPI sees the types.
    classify.__annotations__ = {"image": UploadFile, "return": dict[str, Any]}
    app.post("/classify")(classify)
    return app
