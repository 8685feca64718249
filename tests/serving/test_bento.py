"""The bento: what `bentoml build` packs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.conftest import variant
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Lineup
from visionloop.registry.deploy import DEPLOYED

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_bento_holds_the_bundles_that_serve_and_no_torch(tmp_path: Path, bundles: dict[str, Path]) -> None:
    project = tmp_path / "project"
    shutil.copytree(ROOT / "src", project / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("service.py", "bentofile.yaml", "params.yaml", "requirements-serve.txt"):
        shutil.copy(ROOT / name, project / name)
    shutil.copytree(bundles["detection"].parent, project / "mlruns" / DEPLOYED / "abc")
    pointer = project / "mlruns/deployment.json"
    bundle = deployment.relative_bundle(pointer, project / "mlruns" / DEPLOYED / "abc/bundle")
    champion = variant(bundles["detection"]).model_copy(update={"bundle": bundle})
    deployment.change(pointer, "detection", lambda _: Lineup(champion=champion))
    environment = os.environ | {
        "BENTOML_HOME": str(tmp_path / "home"),
        "BENTOML_DO_NOT_TRACK": "True",
        # Nothing is fetched: whoever tries meets a closed door.
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    command = [str(Path(sys.executable).parent / "bentoml"), "build"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (bento,) = (tmp_path / "home/bentos/visionloop").glob("*/")
    assert (bento / "src/mlruns/deployed/abc/bundle/model.onnx").exists()
    requirements = (bento / "env/python/requirements.txt").read_text()
    assert "onnxruntime" in requirements
    assert not [line for line in requirements.splitlines() if line.startswith(("torch", "mlflow", "dvc", "--"))]
