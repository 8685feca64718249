from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visionloop.artifact import export
from visionloop.artifact.bundle import Bundle
from visionloop.artifact.model_card import by_class
from visionloop.artifact.predictor import Predictor
from visionloop.artifact.settings import RuntimeSettings
from visionloop.core.errors import BundleError, ImageError, ModelError
from visionloop.data.samples import Dataset


@pytest.fixture
def copy(bundle_root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_root, tmp_path / "bundle"))


def jpeg(width: int = 50, height: int = 40) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_bundle_holds_what_it_should(bundle_root: Path) -> None:
    bundle = Bundle.open(bundle_root)
    assert set(bundle.manifest.files) == {"golden.npz", "model.onnx", "model_card.md", "weights.safetensors"}
    assert bundle.manifest.parity.passed
    assert bundle.manifest.classes == ("blue", "green", "red")
    card = (bundle_root / "model_card.md").read_text()
    assert "`blue`, `green`, `red`" in card


def test_a_card_names_the_class_of_each_threshold() -> None:
    assert by_class(["cat", "dog"], [0.701861, 0.5]) == "`cat` 0.702, `dog` 0.5"
    assert by_class(["cat", "dog"], 0.01) == "0.01"
    assert by_class(["cat", "dog"], "fixed") == "fixed"


def test_bytes_in_predictions_out_whatever_the_batch(bundle_root: Path) -> None:
    predictor = Predictor.open(bundle_root, RuntimeSettings(threads=1, batch_size=2))
    images = [jpeg(), jpeg(30, 90), jpeg(200, 20)]
    together = predictor.predict(images)
    alone = [predictor.predict([image])[0] for image in images]
    for a, b in zip(together, alone, strict=True):
        assert np.allclose(a.embedding, b.embedding, rtol=1e-3, atol=1e-4)
    with pytest.raises(ImageError) as error:
        predictor.predict([b"x"], names=["folder/x.jpg"])
    assert error.value.where == "folder/x.jpg"


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_engines_answer_alike(bundle_root: Path, engine: str) -> None:
    reference = Predictor.open(bundle_root, RuntimeSettings(threads=1))
    other = Predictor.open(bundle_root, RuntimeSettings(engine=engine, threads=1))  # type: ignore[arg-type]
    inputs = np.random.default_rng(3).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)
    expected, found = reference.run(inputs), other.run(inputs)
    for name, value in expected.items():
        assert np.allclose(found[name], value, atol=2e-3 * max(1.0, float(np.abs(value).max())))


def test_an_altered_file_is_not_loaded(copy: Path) -> None:
    with (copy / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match=r"file model\.onnx is missing or was altered"):
        Predictor.open(copy)
    (copy / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"no file"):
        Bundle.open(copy)


def test_a_golden_batch_that_answers_otherwise(copy: Path) -> None:
    with np.load(copy / "golden.npz") as golden:
        arrays = {name: golden[name] for name in golden.files}
    arrays["embedding"] = arrays["embedding"] + 5
    np.savez(copy / "golden.npz", **arrays)
    manifest = json.loads((copy / "bundle.json").read_text())
    from visionloop.core.files import sha256_file

    manifest["files"]["golden.npz"] = sha256_file(copy / "golden.npz")
    (copy / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="output embedding of the golden batch differs by"):
        Predictor.open(copy)


def test_what_is_no_bundle(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(BundleError, match="this is not a bundle"):
        Bundle.open(tmp_path)
    manifest = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps(manifest | {"format_version": 99}))
    with pytest.raises(BundleError, match="format version 99"):
        Bundle.open(copy)
    (copy / "bundle.json").write_text("{")
    with pytest.raises(BundleError, match="damaged"):
        Bundle.open(copy)


def test_a_graph_that_is_not_the_network_is_refused(
    datasets: dict[str, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.contract import tiny_plan
    from visionloop.artifact.settings import ExportSettings

    plan, dataset = tiny_plan("classification"), datasets["classification"]
    original = export.export_graph

    def other_weights(graph: object, path: Path, *rest: object) -> None:
        original(plan.task.learner(plan.model, plan.augment, num_classes=3, recipe=plan.recipe).graph(), path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(export, "export_graph", other_weights)
    trained = export.Trained(
        task=plan.task, learner=plan.learner(3), model=plan.model, recipe=plan.recipe, training={"key": "x"}
    )
    with pytest.raises(ModelError, match="the exported graph does not answer as the trained network does"):
        export.export_bundle(ExportSettings(), trained, dataset, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_predicting_loads_no_training_stack(bundle_root: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from visionloop.artifact.predictor import Predictor
predictor = Predictor.open(Path({str(bundle_root)!r}))
predictor.predict([{jpeg()!r}])
heavy = ["torch", "pytorch_lightning", "albumentations", "mlflow", "cv2", "sklearn", "matplotlib", "pyarrow"]
print([name for name in heavy if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "[]"


def test_training_needs_no_platform_tool() -> None:
    code = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("mlflow", "dvc", "bentoml", "hydra"):
            raise ImportError(name)
sys.meta_path.insert(0, Block())
import visionloop.training.fit, visionloop.artifact.export, visionloop.evaluation.evaluate, visionloop.data.prepare
from visionloop.task import load_task, task_names
for name in task_names():
    task = load_task(name)
    from visionloop.core.images import Recipe
    task.learner(task.model_settings(), task.augment_settings(), num_classes=2, recipe=Recipe(height=64, width=64))
print("ok")
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert found.stdout.strip() == "ok"
