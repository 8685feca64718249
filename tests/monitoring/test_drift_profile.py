from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.contract import tiny_plan
from visionloop.artifact.bundle import Bundle
from visionloop.artifact.export import Trained, export_bundle
from visionloop.artifact.predictor import Predictor
from visionloop.artifact.settings import ExportSettings, RuntimeSettings
from visionloop.core.errors import BundleError, DataError
from visionloop.core.files import sha256_file
from visionloop.data.samples import Dataset
from visionloop.monitoring.drift.observations import Observation, observe
from visionloop.monitoring.drift.profile import Profile, build_profile
from visionloop.monitoring.settings import ProfileSettings
from visionloop.task import task_names


@pytest.fixture(scope="module", params=task_names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def export(name: str, dataset: Dataset, out: Path) -> Path:
    plan = tiny_plan(name)
    learner = plan.learner(len(dataset.classes))
    trained = Trained(task=plan.task, learner=learner, model=plan.model, recipe=plan.recipe, training={})
    export_bundle(
        ExportSettings(),
        trained,
        dataset,
        out,
        companions=lambda predictor, folder: build_profile(predictor, dataset, ProfileSettings()).save(folder),
    )
    return out


@pytest.fixture(scope="module")
def bundle_root(name: str, datasets: dict[str, Dataset], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(name, datasets[name], tmp_path_factory.mktemp(name) / "bundle")


@pytest.fixture
def copy(bundle_root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_root, tmp_path / "bundle"))


def rehash(root: Path) -> None:
    """Make the manifest say that the files are as they are."""
    path = root / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {name: sha256_file(root / name) for name in manifest["files"]}
    path.write_text(json.dumps(manifest))


def test_a_bundle_carries_the_profile_of_its_own_validation_images(
    name: str, bundle_root: Path, datasets: dict[str, Dataset]
) -> None:
    dataset = datasets[name]
    bundle = Predictor.open(bundle_root).bundle
    assert {"reference.json", "reference.npz"} <= set(bundle.manifest.files)
    profile = Profile.open(bundle)
    samples = dataset.samples("val")
    assert profile.digest == bundle.digest
    assert profile.info.num_images == profile.info.num_available == len(samples)
    assert profile.info.small
    assert profile.observations.ids == tuple(sample.id for sample in samples)
    assert profile.info.metric_value is not None
    # The stored columns are what the model says of the original bytes now.
    predictor = Predictor.open(bundle_root, RuntimeSettings(threads=1))
    rows = profile.observations
    for index, sample in enumerate(samples[:3]):
        image = dataset.read_image(sample)
        (prediction,) = predictor.predict([dataset.read_bytes(sample)])
        row = observe(predictor.task, image, prediction)
        assert int(rows.dhash[index]) == row.features.dhash
        assert np.allclose(rows.embeddings[index], row.embedding, rtol=5e-3, atol=5e-3)
        assert dict(enumerate(rows.class_counts[index].tolist())) == {
            class_id: row.class_counts.get(class_id, 0) for class_id in range(len(dataset.classes))
        }
        for output, value in row.outputs.items():
            found = rows.scalars[output][index]
            assert np.isnan(found) if value is None else found == pytest.approx(value, rel=1e-3, abs=1e-3)


def test_no_more_images_than_asked_for(bundle_root: Path, name: str, datasets: dict[str, Dataset]) -> None:
    profile = build_profile(Predictor.open(bundle_root), datasets[name], ProfileSettings(max_images=4, min_images=3))
    assert (profile.info.num_images, profile.info.small) == (4, False)
    assert len(set(profile.observations.ids)) == 4


def test_an_empty_split_is_refused(
    bundle_root: Path, name: str, datasets: dict[str, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dataset, "samples", lambda self, split=None: [])
    with pytest.raises(DataError, match="the val split is empty"):
        build_profile(Predictor.open(bundle_root), datasets[name], ProfileSettings())


def test_a_bundle_without_a_profile(copy: Path) -> None:
    manifest = json.loads((copy / "bundle.json").read_text())
    for file in ("reference.json", "reference.npz"):
        del manifest["files"][file]
    (copy / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="the bundle has no reference profile") as error:
        Profile.open(Bundle.open(copy))
    assert error.value.action == "export the model again with this version, and deploy that bundle"


def test_a_profile_of_another_model_is_refused(copy: Path) -> None:
    info = json.loads((copy / "reference.json").read_text())
    (copy / "reference.json").write_text(json.dumps(info | {"model_digest": "0" * 64}))
    with pytest.raises(BundleError, match=r"reference\.json is missing or was altered"):
        Bundle.open(copy)
    rehash(copy)
    with pytest.raises(BundleError, match="the reference profile is of another model") as error:
        Profile.open(Bundle.open(copy))
    assert error.value.where.endswith("reference.json")
    assert "never carried over" in error.value.action


@pytest.mark.parametrize("file", ["reference.json", "reference.npz"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"PK\x03\x04 broken", b"\xff\xfe"])
def test_a_damaged_profile_is_refused(copy: Path, file: str, content: bytes) -> None:
    (copy / file).write_bytes(content)
    rehash(copy)
    with pytest.raises(BundleError, match=r"damaged|format version"):
        Profile.open(Bundle.open(copy))


def test_another_format_version_is_refused(copy: Path) -> None:
    info = json.loads((copy / "reference.json").read_text())
    (copy / "reference.json").write_text(json.dumps(info | {"format_version": 99}))
    rehash(copy)
    with pytest.raises(BundleError, match="format version 99"):
        Profile.open(Bundle.open(copy))


def test_stored_records_come_back_as_observations(bundle_root: Path, name: str, datasets: dict[str, Dataset]) -> None:
    predictor = Predictor.open(bundle_root)
    image = datasets[name].read_image(datasets[name].samples("val")[0])
    (prediction,) = predictor.predict_stream([image])
    row = observe(predictor.task, image, prediction, id="a", client="key")
    record = json.loads(json.dumps(row.to_record(), allow_nan=False))
    again = Observation.from_record(record, id="a", embedding=row.embedding.astype(np.float16).tobytes(), client="key")
    assert (again.id, again.client, dict(again.class_counts)) == ("a", "key", dict(row.class_counts))
    assert dict(again.outputs) == dict(row.outputs)
    assert again.features.dhash == row.features.dhash
    assert np.allclose(again.embedding, row.embedding, rtol=1e-2, atol=1e-2)
