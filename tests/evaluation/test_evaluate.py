from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.evaluation.fake import make_bundle, make_dataset
from visionloop.artifact.bundle import Bundle
from visionloop.artifact.settings import RuntimeSettings
from visionloop.core.errors import DataError, ImageError
from visionloop.evaluation.evaluate import compare_bundles, evaluate, summarise
from visionloop.evaluation.report import evaluation_report
from visionloop.evaluation.settings import EvaluationSettings
from visionloop.evaluation.summary import EvaluationSummary
from visionloop.task import Figure

_PNG = b"\x89PNG\r\n\x1a\n" + bytes(8) + b"\0\0\0\4\0\0\0\4"
SETTINGS = EvaluationSettings(gallery_images=3, runtime=RuntimeSettings(threads=1, batch_size=10))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """64 greys 0, 4, ..., 252."""
    return make_dataset(tmp_path / "dataset")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Calls 128 to 156 dark: 8 of 64 mistakes."""
    return make_bundle(tmp_path / "bundle", threshold=159.0)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_it_writes_everything(tmp_path: Path, dataset: Path, bundle: Path) -> None:
    result = evaluate(SETTINGS, bundle, dataset, tmp_path / "out", progress=False)
    assert result.summary.metrics["accuracy"] == 56 / 64
    assert sorted(path.name for path in result.folder.iterdir()) == [
        "confusion.csv",
        "evaluation.json",
        "examples",
        "metrics.json",
        "mistakes.png",
        "per_class.csv",
        "per_image.npz",
        "predictions.csv",
        "predictions.jsonl",
        "report.html",
        "report.json",
    ]
    assert json.loads((result.folder / "metrics.json").read_text())["accuracy"] == 56 / 64
    assert [row["class"] for row in rows(result.folder / "per_class.csv")] == ["dark", "light"]
    assert rows(result.folder / "confusion.csv")[0] == {"actual": "dark", "predicted": "dark"}
    assert EvaluationSummary.read(result.folder).metrics == result.summary.metrics


def test_one_row_an_image(tmp_path: Path, dataset: Path, bundle: Path) -> None:
    folder = evaluate(SETTINGS, bundle, dataset, tmp_path / "out").folder
    table = rows(folder / "predictions.csv")
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert len(table) == len(lines) == 64
    assert table[32] == {
        "id": "0032",
        "path": "images/0032.png",
        "truth": "light",
        "prediction": "dark",
        "badness": "0.0000",
    }
    assert lines[39] == {
        "id": "0039",
        "truth": [{"class": "light", "box_xyxy": None}],
        "prediction": {"class": "dark"},
    }


def test_the_gallery_holds_the_worst_mistakes(tmp_path: Path, dataset: Path, bundle: Path) -> None:
    folder = evaluate(SETTINGS, bundle, dataset, tmp_path / "out").folder
    picture = Image.open(folder / "mistakes.png")
    assert [picture.getpixel((8 * index, 0))[0] for index in range(3)] == [156, 152, 148]
    assert "0039, 0038, 0037" in (folder / "report.html").read_text()


def test_the_report_says_what_was_measured_on_what(tmp_path: Path, dataset: Path, bundle: Path) -> None:
    result = evaluate(SETTINGS, bundle, dataset, tmp_path / "out")
    report = (result.folder / "report.html").read_text()
    for words in ("Brightness on greys", "87.5%", "77.2 to 93.5%", result.summary.bundle_digest[:12]):
        assert words in report


def test_a_loss_is_no_share_and_nothing_is_shown_as_it_lies_in_memory(
    tmp_path: Path, dataset: Path, bundle: Path
) -> None:
    result = evaluate(SETTINGS, bundle, dataset, tmp_path / "out", progress=False)
    metrics = {"accuracy": 0.875, "log_loss": 0.0294}
    summary = replace(result.summary, metrics=metrics)
    point = {"temperature": 1.2162356271127863}
    manifest = Bundle.open(bundle).manifest.model_copy(update={"operating_point": point})
    figure = Figure(name="reliability", title="Does the stated confidence hold?", caption="Bars.", png=_PNG)
    page = evaluation_report(summary, [figure], manifest)
    assert "<dt>log loss</dt><dd>0.029</dd>" in page
    assert re.search(r"<td>log loss</td><td[^>]*>0.029</td><td>lower</td>", page)
    assert "hold? Bars." in page
    assert "temperature 1.22<" in page
    assert "device cpu" in page
    assert "device_id" not in page


def test_the_numbers_name_bundle_and_dataset(dataset: Path, bundle: Path) -> None:
    found = summarise(SETTINGS, bundle, dataset)
    assert (found.dataset, found.split, found.num_images) == ("greys", "test", 64)
    assert found.sample_ids[:2] == ("0000", "0001")
    assert found.parity_passed
    assert 0.0 < found.latency_ms < 1000.0
    assert found.model_mb == (bundle / "model.onnx").stat().st_size / 1e6
    assert found.runtime["engine"] == "onnxruntime"


def test_two_bundles_meet_the_same_images(tmp_path: Path, dataset: Path, bundle: Path) -> None:
    better = make_bundle(tmp_path / "better")
    challenger, champion = compare_bundles(SETTINGS, better, bundle, dataset)
    assert challenger.same_images(champion)
    assert (challenger.metrics["accuracy"], champion.metrics["accuracy"]) == (1.0, 56 / 64)


def test_a_bar_is_shown_when_asked_for(
    tmp_path: Path, dataset: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(SETTINGS, bundle, dataset, tmp_path / "out", progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""


def test_other_classes_are_refused_by_name(tmp_path: Path, bundle: Path) -> None:
    dataset = make_dataset(tmp_path / "dataset", classes=("dark", "bright"))
    with pytest.raises(DataError) as caught:
        evaluate(SETTINGS, bundle, dataset, tmp_path / "out")
    assert str(caught.value) == (
        "bundle and dataset differ in their classes (only in the bundle: light; only in the dataset: bright)\n"
        f"  where:    {bundle / 'bundle.json'} and {dataset / 'dataset.json'}\n"
        "  expected: the same classes in the same order\n"
        "  to do:    train and export on this dataset, or evaluate on the dataset the bundle was trained for"
    )
    assert not (tmp_path / "out").exists()


def test_another_order_of_classes_is_refused(tmp_path: Path, bundle: Path) -> None:
    dataset = make_dataset(tmp_path / "dataset", classes=("light", "dark"))
    with pytest.raises(DataError, match="the same names in another order"):
        summarise(SETTINGS, bundle, dataset)


def test_an_empty_split_is_refused(tmp_path: Path, bundle: Path) -> None:
    dataset = make_dataset(tmp_path / "dataset", split="train")
    with pytest.raises(DataError, match="the test split is empty"):
        summarise(SETTINGS, bundle, dataset)


def test_a_damaged_image_leaves_nothing_behind(tmp_path: Path, dataset: Path, bundle: Path) -> None:
    (dataset / "images" / "0020.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"images/0020\.png"):
        evaluate(SETTINGS, bundle, dataset, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "dataset"]
