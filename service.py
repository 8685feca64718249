"""Where `bentoml serve` and `bentoml build` find the service, in this folder and in a bento made of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE / "src"))
os.environ.setdefault("VISIONLOOP_PARAMS", str(_HERE / "params.yaml"))

from visionloop.serving.service import VisionLoop  # noqa: E402

__all__ = ["VisionLoop"]
