"""The page of a drift check: what it shows, of whose pictures, and what it says where there are none."""

from __future__ import annotations

import base64
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.monitoring.drift_data import CLASSES, rotation
from tests.monitoring.drift_project import DriftProject, Scans
from visionloop.cli import main
from visionloop.core.files import sha256_bytes
from visionloop.data.samples import LabelledObject, Sample, write_dataset


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> DriftProject:
    """Two windows of scans, then two of turned ones; images kept, and the dataset of the reference at hand."""
    scans = Scans.make()
    made = DriftProject(tmp_path_factory.mktemp("project"), scans, report=True, newest_images=5)
    rng = np.random.default_rng(0)
    made.send(scans.traffic[:400], keep=True, top_class="3", confidence=0.9)
    turned = [rotation(image, rng) for image in scans.traffic[:400]]
    made.send(turned, keep=True, top_class="<b>7</b>", confidence=0.83)
    return made


def with_dataset(project: DriftProject, name: str = "digits") -> None:
    root = project.root / "build/classification/dataset"
    shutil.rmtree(root, ignore_errors=True)
    (root / "images").mkdir(parents=True)
    samples = []
    for number, image in enumerate(project.scans.reference):
        path = root / f"images/{number}.png"
        Image.fromarray(image).save(path)
        samples.append(
            Sample(
                id=f"reference {number}",
                path=f"images/{number}.png",
                sha256=sha256_bytes(path.read_bytes()),
                width=32,
                height=32,
                group=str(number),
                split="val",
                objects=(LabelledObject(class_id=0),),
            )
        )
    write_dataset(root, name=name, classes=CLASSES, samples=samples, licence="", provenance={})


def page(project: DriftProject, out: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(project.root)
    monkeypatch.delenv("VISIONLOOP_PARAMS", raising=False)
    monkeypatch.delenv("VISIONLOOP_STATE", raising=False)
    done = CliRunner().invoke(main, ["drift", "--out", str(out)])
    assert done.exit_code == 3, done.output
    assert f"report: {out / 'classification.html'}" in done.output
    return (out / "classification.html").read_text()


def pictures(html: str) -> dict[str, Image.Image]:
    """By alternative text."""
    found = re.findall(r'src="data:image/png;base64,([^"]+)" alt="([^"]+)"', html)
    return {alt: Image.open(io.BytesIO(base64.b64decode(data))) for data, alt in found}


def test_the_page_shows_windows_distributions_classes_and_pictures(
    project: DriftProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_dataset(project)
    html = page(project, tmp_path / "out", monkeypatch)
    assert "<h1>Drift: digits-classification 1</h1>" in html
    assert "2 of 3 windows drifted" in html
    assert '<span class="tag bad">critical</span>' in html
    assert '<span class="tag neutral">not valid</span>' in html
    assert "label some of them" in html
    assert "not at hand" not in html
    assert "were not kept" not in html
    shown = pictures(html)
    assert list(shown) == [
        "AUC of each window over time", "distributions of each number", "share of each class on both sides",
        "new images beside reference images",
    ]  # fmt: skip
    # Self-contained: nothing is fetched, and what a caller sent is text.
    assert not re.search(r"(src|href)=\"(?!data:|#)", html)
    assert "<b>7" not in html
    # A scan is drawn where the reference's neighbours stand: the empty place has one colour.
    sheet = np.asarray(shown["new images beside reference images"])
    beside = sheet[12 : 12 + 80, 12 + 288 + 12 : 12 + 288 + 12 + 80]
    assert len(np.unique(beside)) > 50


def test_pictures_that_are_not_there_are_said(
    project: DriftProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_dataset(project, name="other digits")  # the same ids, other pictures
    kept = project.root / "mlruns/images"
    kept.rename(project.root / "mlruns/moved")
    try:
        html = page(project, tmp_path, monkeypatch)
    finally:
        (project.root / "mlruns/moved").rename(kept)
    assert "Their pictures were not kept" in html
    assert "The reference images are not at hand here" in html
    assert "new images beside reference images" not in pictures(html)
    assert "reference " in html
