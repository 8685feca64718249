"""`visionloop label`, on a project whose service has answered real scans."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.monitoring.drift_project import Scans, make_bundle
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Lineup, Variant
from visionloop.cli import main
from visionloop.core.files import sha256_bytes
from visionloop.data.overlay import LabelledImage, Overlay, TrueObject, write_overlay
from visionloop.data.settings import SplitSettings
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import FeedbackRow, PredictionRow, PredictionStore
from visionloop.retraining.collect import Collected, collect
from visionloop.retraining.judgements import read_judgements
from visionloop.retraining.settings import LabelSettings
from visionloop.serving.kept import kept_image

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve answered scans with their images; the bundle has a profile."""
    root, scans = tmp_path_factory.mktemp("label"), Scans.make()
    bundle = make_bundle(root / "mlruns/deployed/1/bundle", scans)
    variant = Variant(model="digits-classification", version="1", digest=bundle.digest, bundle="deployed/1/bundle")
    deployment.change(root / "mlruns/deployment.json", "classification", lambda _: Lineup(champion=variant))
    shutil.copy(Path(__file__).parents[2] / "params.yaml", root)
    store = PredictionStore.open(StoreSettings(flush_s=0.01), root)
    images = scans.traffic[:12]
    for index, (image, seen) in enumerate(zip(images, scans.rows(images), strict=True)):
        sha256 = sha256_bytes(image.tobytes())
        target = root / "mlruns/images" / sha256[:2] / f"{sha256}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(target)
        name = str(next(iter(seen.class_counts)))
        entry = {"class": name, "class_id": int(name), "score": 0.6}
        other = {"class": str((int(name) + 1) % 10), "class_id": (int(name) + 1) % 10, "score": 0.3}
        store.log(
            PredictionRow(
                id=f"{index:032x}", created_at=NOW, task="classification", model="digits-classification", version="1",
                digest=bundle.digest, variant="champion", request_id="r", image_sha256=sha256, width=32, height=32,
                image_bytes=100, result={**entry, "ranked": [entry, other]}, top_class=name, confidence=0.6,
                embedding=seen.embedding.astype("float16").tobytes(), latency_ms=1.0,
            )
        )  # fmt: skip
    assert store.flush()
    store.close()
    return root


@pytest.fixture
def project(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    shutil.copytree(prepared, root)
    monkeypatch.chdir(root)
    monkeypatch.delenv("VISIONLOOP_PARAMS", raising=False)
    monkeypatch.delenv("VISIONLOOP_STATE", raising=False)
    return root


@pytest.fixture
def store(project: Path) -> Iterator[PredictionStore]:
    opened = PredictionStore.open(StoreSettings(flush_s=0.01), project)
    yield opened
    opened.close()


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["label", *map(str, words)])


def tasks(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "tasks.json").read_text()))


def submitted(exported: list[dict[str, Any]], *said: str | None, by: int = 3) -> list[dict[str, Any]]:
    """Label Studio's export after somebody chose these classes; None accepts the answer."""
    done = []
    for number, (task, name) in enumerate(zip(exported, said, strict=False)):
        (result,) = task["predictions"][0]["result"]
        if name is not None:
            result = result | {"value": {"choices": [name]}}
        annotation = {"id": number, "completed_by": by, "result": [result], "updated_at": "2026-11-20T10:00:00Z"}
        done.append(task | {"id": 100 + number, "annotations": [annotation]})
    return done


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def feedback(store: PredictionStore, id_: str) -> list[tuple[str, str, Any]]:
    found = store.prediction(id_)
    assert found is not None
    return [(said["key_id"], said["verdict"], said["label"]) for said in found["feedback"]]


def wrong(task: dict[str, Any]) -> str:
    """A class that the answer is not."""
    return str((int(task["predictions"][0]["result"][0]["value"]["choices"][0]) + 1) % 10)


def test_images_go_to_label_studio_and_their_labels_come_back(project: Path, store: PredictionStore) -> None:
    done = run("export", "out", "--limit", "6", "--files-root", "digits/out")
    assert done.exit_code == 0, done.output
    exported = tasks(project / "out")
    assert len(exported) == 6
    id_ = exported[0]["data"]["prediction_id"]
    assert exported[0]["data"]["image"] == f"/data/local-files/?d=digits/out/images/{id_}.png"
    assert (project / f"out/images/{id_}.png").is_file()
    assert "<Choice value=" in (project / "out/labelling.xml").read_text()
    file = write(project / "back.json", submitted(exported, None, other := wrong(exported[1])))
    dry = run("import", file, "--dry-run")
    assert "2 labels would be stored" in dry.output
    assert feedback(store, id_) == []
    assert "2 labels stored" in run("import", file).output
    assert feedback(store, id_) == [("label-studio/3", "right", None)]
    second = exported[1]["data"]["prediction_id"]
    assert feedback(store, second) == [("label-studio/3", "corrected", other)]
    again = run("import", file)
    assert (again.exit_code, again.output) == (0, "0 labels stored; 2 as before\n")
    # Judged images are not exported again.
    assert run("export", "more", "--limit", "6").exit_code == 0
    assert id_ not in {task["data"]["prediction_id"] for task in tasks(project / "more")}
    assert tasks(project / "more")[0]["data"]["image"].startswith("data:image/png;base64,")


def test_annotators_who_disagree_are_reported_and_retraining_waits(project: Path, store: PredictionStore) -> None:
    run("export", "out", "--limit", "3")
    exported = tasks(project / "out")
    ids = [task["data"]["prediction_id"] for task in exported]
    store.add_feedback(FeedbackRow(prediction_id=ids[2], created_at=NOW, verdict="right", key_id="page"))
    other = [wrong(task) for task in exported]
    file = submitted(exported, None, None, other[2])
    file[0]["annotations"] += submitted(exported, other[0], by=4)[0]["annotations"]
    done = run("import", write(project / "back.json", file), "--json")
    told = json.loads(done.stdout)
    assert told["stored"] == 4
    assert {tuple(sorted(conflict["keys"])) for conflict in told["conflicts"]} == {
        ("label-studio/3", "label-studio/4"), ("label-studio/3", "page"),
    }  # fmt: skip
    words = read_judgements(store.judged(task="classification"), boxes=False)
    collected = collect(
        words, Overlay(project / "none", {}), LabelSettings(), SplitSettings(), known={}, classes=None,
        find=lambda sha256: kept_image(project / "mlruns/images", sha256),
    )  # fmt: skip
    assert [item.reason for item in collected.held] == ["conflict", "conflict"]
    assert len(collected.images) == 1


def test_what_cannot_be_taken_stops_the_import_unless_partial(project: Path, store: PredictionStore) -> None:
    run("export", "out", "--limit", "5")
    file = submitted(tasks(project / "out"), None, "seven", None, None, None)
    file[2]["data"]["prediction_id"] = "gone"
    file[3]["data"]["image_sha256"] = "0" * 64
    file[4]["annotations"] += submitted(tasks(project / "out")[4:], wrong(file[4]))[0]["annotations"]
    path = write(project / "back.json", file)
    done = run("import", path)
    assert done.exit_code == 1
    for said in (
        "the model has no class 'seven'\n  where:    back.json, task 101, annotation 1",
        "there is no prediction 'gone'\n  where:    back.json, task 102, annotation 2",
        "the image's hash is another than the prediction's\n  where:    back.json, task 103",
        "label-studio/3 says something else in task 104, annotation 4\n  where:    back.json, task 104, annotation 0",
        "0 labels stored, 1 not: correct the errors above, or use --partial",
    ):
        assert said in done.output
    first = file[0]["data"]["prediction_id"]
    assert feedback(store, first) == []
    assert "1 labels stored" in run("import", path, "--partial").output
    assert len(feedback(store, first)) == 1


def test_images_go_to_cvat_and_come_back(project: Path, store: PredictionStore) -> None:
    assert run("export", "out.zip", "--format", "cvat", "--limit", "4").exit_code == 0
    assert "0 labels stored; 4 annotated by nobody" in run("import", "out.zip").output
    # CVAT keeps no `source="auto"` of what it imports: what is the model's is known by the stored answer.
    with zipfile.ZipFile("out.zip") as archive:
        xml = archive.read("annotations.xml").decode().replace('source="auto"', 'source="manual"')
    id_, name = re.findall(r'name="(\w+)\.png".*?<tag label="(\w+)"', xml, re.DOTALL)[0]
    other = str((int(name) + 1) % 10)
    Path("annotations.xml").write_text(xml.replace(f'<tag label="{name}"', f'<tag label="{other}"', 1))
    assert "1 labels stored; 3 annotated by nobody" in run("import", "annotations.xml").output
    assert feedback(store, id_) == [("cvat/unknown", "corrected", other)]
    assert "0 labels stored; 1 as before; 3 annotated by nobody" in run("import", "annotations.xml").output
    done = run("import", "out.zip", "--untouched", "--annotator", "ann")
    assert "4 labels stored" in done.output
    rows = store.judged(task="classification")
    assert {(row["verdict"], row["key_id"]) for row in rows} == {
        ("right", "cvat/ann"), ("corrected", "cvat/unknown"),
    }  # fmt: skip
    assert "it exists" in run("export", "out.zip", "--format", "cvat").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["export", "out", "--task", "segmentation"], "no task 'segmentation' is deployed"),
        (["import", "missing.json"], "cannot be read"),
        (["import", "params.yaml"], "not well-formed"),
        (["delete", "nothing"], "there is no such prediction or image"),
        (["delete", f"{0:032x}"], "nothing was said of it"),
    ],
)
def test_a_wrong_use_is_told_in_four_facts(project: Path, words: list[str], said: str) -> None:
    done = run(*words)
    assert done.exit_code == 1
    assert said in done.output
    assert "to do:" in done.output


def test_a_deleted_label_is_gone_from_store_overlay_and_reports(project: Path, store: PredictionStore) -> None:
    ids = [f"{index:032x}" for index in range(3)]
    for id_ in ids:
        store.add_feedback(FeedbackRow(prediction_id=id_, created_at=NOW, verdict="right", key_id="ann"))
    store.add_feedback(FeedbackRow(prediction_id=ids[0], created_at=NOW, verdict="right", key_id="bob"))

    def gathered(before: Overlay) -> Collected:
        words = read_judgements(store.judged(task="classification"), boxes=False)
        find = lambda sha256: kept_image(project / "mlruns/images", sha256)  # noqa: E731
        return collect(words, before, LabelSettings(), SplitSettings(), known={}, classes=None, find=find)

    root = project / "data/classification/.feedback"
    collected = gathered(Overlay(root, {}))
    image = str((store.prediction(ids[0]) or {})["image_sha256"])
    kept = kept_image(project / "mlruns/images", image)
    assert kept is not None
    write_overlay(
        root, collected.images, lambda item: (kept_image(project / "mlruns/images", item.sha256) or kept).read_bytes()
    )
    report = project / "mlruns/retraining/classification/runs/1/feedback.json"
    report.parent.mkdir(parents=True)
    report.write_text(collected.model_dump_json())

    before = Overlay.open(root)
    assert "would delete: 2 words of people, the label gathered" in run("delete", ids[0], "--dry-run").output
    assert Overlay.open(root).digest == before.digest
    # One key's word: the other's stays, and with it the label comes again.
    done = run("delete", ids[0], "--key", "ann")
    assert "deleted: 1 word of people, the label gathered for training, its mention in 1 retraining" in done.output
    assert "1 words on the same image stay" in done.output
    assert feedback(store, ids[0]) == [("bob", "right", None)]
    assert before.images.keys() - Overlay.open(root).images.keys() == {image}
    assert not list((root / "images").glob(f"{image}*"))
    assert image not in report.read_text()
    assert {item.sha256 for item in gathered(Overlay.open(root)).images} == before.images.keys()
    # All of it.
    done = run("delete", image, "--with-image")
    assert "1 word of people, 1 predictions of the image, the kept image" in done.output
    assert store.prediction(ids[0]) is None
    assert not kept.exists()
    assert image not in {item.sha256 for item in gathered(Overlay.open(root)).images}


def test_a_label_outlives_its_prediction_and_is_deleted_by_its_image(project: Path) -> None:
    root, image = project / "data/classification/.feedback", "a" * 64
    item = LabelledImage(
        sha256=image, file=f"images/{image}.png", width=8, height=8, part="train",
        objects=(TrueObject(name="7"),), judged_at=NOW, judged_by=("ann",),
    )  # fmt: skip
    write_overlay(root, [item], lambda _: b"png")
    assert "the label gathered for training" in run("delete", image).output
    assert Overlay.open(root).images == {}
