from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.data.formats.scenes import Boxes, Scenes
from tests.factory import make_voc_source


@pytest.fixture
def scenes(tmp_path: Path) -> Scenes:
    """What `make_voc_source` draws; it lies in `tmp_path/voc`."""
    voc = make_voc_source(tmp_path / "voc")
    splits = {
        stem: path.stem for path in (voc / "ImageSets/Main").glob("*.txt") for stem in path.read_text().splitlines()
    }
    found: Scenes = {}
    for path in sorted((voc / "Annotations").glob("*.xml")):
        texts = re.findall(
            r"<name>(\w+)<.*?<xmin>(\d+)<.*?<ymin>(\d+)<.*?<xmax>(\d+)<.*?<ymax>(\d+)<", path.read_text()
        )
        boxes: Boxes = [(name, (int(a) - 1.0, int(b) - 1.0, float(c), float(d))) for name, a, b, c, d in texts]
        found[path.stem] = splits[path.stem], boxes
    return found
