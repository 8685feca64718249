from __future__ import annotations

import json

import pytest

from visionloop.core.errors import DataError
from visionloop.data.samples import Dataset, classes_hash


def test_reading_back_gives_what_was_written(voc_dataset: Dataset) -> None:
    again = Dataset.open(voc_dataset.root)
    assert again.info == voc_dataset.info
    train = again.samples("train")
    assert {sample.split for sample in train} == {"train"}
    assert len(train) == again.info.split_counts["train"]
    box = train[0].objects[0].box_xyxy
    assert box is not None
    assert 0 <= box[0] < box[2] <= train[0].width


def test_class_order_matters_to_its_hash() -> None:
    assert classes_hash(["a", "b"]) != classes_hash(["b", "a"])


def test_a_damaged_description_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("damaged")
    (root / "dataset.json").write_text(json.dumps({"classes": ["a"]}))
    with pytest.raises(DataError, match="the description does not fit"):
        Dataset.open(root)
