"""Where deploy/ lies, and the document about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DOCS = (ROOT / "docs/deploy.md").read_text()


def load(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text())
