"""The data report: what is said of a dataset, in words where a picture would say nothing."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

from tests.factory import FOLDER_NEEDS, make_folder_source
from visionloop.data.explore import explore
from visionloop.data.prepare import prepare
from visionloop.data.samples import Dataset
from visionloop.data.settings import DataSettings, SourceSettings


def test_images_of_one_size_are_a_sentence_and_boxes_are_charts_of_one_size(
    tmp_path: Path, voc_dataset: Dataset
) -> None:
    page = explore(voc_dataset, tmp_path / "report").read_text(encoding="utf-8")
    assert "All have 64 x 64 pixels." in page
    assert not (tmp_path / "report/sizes.png").exists()
    sizes = set()
    for name in ("light", "objects", "box_sizes", "box_centres"):
        with Image.open(tmp_path / f"report/{name}.png") as chart:
            sizes.add(chart.size)
    assert len(sizes) == 1
    # Every image of the gallery with its classes, in the order in which they were annotated.
    titles = re.findall(r"<li><div class=\"frame\">.*?<span>(.*?)</span>", page)
    assert len(titles) == 24
    assert {"blue", "green", "red", "green, red", "blue, green", "red, blue"} >= set(titles)


def test_images_of_several_sizes_are_a_chart(tmp_path: Path) -> None:
    source = make_folder_source(tmp_path / "source", per_class=4)
    with Image.open(source / "red/0.png") as image:
        larger = image.resize((48, 40))
    larger.save(source / "red/0.png")
    settings = DataSettings(source=SourceSettings(kind="folder", path="source", name="tiny"))
    dataset = prepare(settings, FOLDER_NEEDS, tmp_path / "dataset", root=tmp_path).dataset
    page = explore(dataset, tmp_path / "report").read_text(encoding="utf-8")
    assert "They have 2 sizes." in page
    assert (tmp_path / "report/sizes.png").exists()
