from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.factory import COLOURS, FOLDER_NEEDS, VOC_NEEDS, make_folder_source, make_voc_source, noise, png
from visionloop.core.errors import ConfigError, DataError
from visionloop.core.files import sha256_bytes
from visionloop.data.findings import read_findings
from visionloop.data.overlay import LabelledImage, Overlay, TrueObject, part_of, write_overlay
from visionloop.data.prepare import prepare, prepare_recent
from visionloop.data.samples import Dataset
from visionloop.data.settings import DataSettings, SourceSettings, SplitSettings

WHEN = datetime(2026, 3, 1, tzinfo=UTC)
SPLIT = SplitSettings()


def picture(number: int, *, side: int = 32) -> bytes:
    array = noise(np.random.default_rng(1000 + number), side, side) // 3 + np.array(COLOURS["red"], np.uint8) // 2
    return png(array.astype(np.uint8))


def image(data: bytes, *, side: int = 32, part: str | None = None, name: str = "red") -> LabelledImage:
    digest = sha256_bytes(data)
    return LabelledImage(
        sha256=digest,
        file=f"images/{digest}.png",
        width=side,
        height=side,
        part=part or part_of(digest, SPLIT, 0.2),  # type: ignore[arg-type]
        objects=(TrueObject(name=name),),
        judged_at=WHEN,
        judged_by=("ann",),
    )


def settings(kind: str = "folder", **changes: object) -> DataSettings:
    source = SourceSettings(kind=kind, path="source", name="tiny")  # type: ignore[arg-type]
    return DataSettings(source=source, overlay="source/.feedback").model_copy(update=changes)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overlay")
    make_folder_source(folder / "source")
    return folder


def fill(root: Path, entries: list[tuple[bytes, LabelledImage]]) -> Overlay:
    data = {item.sha256: content for content, item in entries}
    return write_overlay(root / "source/.feedback", [item for _, item in entries], lambda item: data[item.sha256])


def test_labels_join_train_and_val_and_leave_the_frozen_test_set_alone(root: Path, tmp_path: Path) -> None:
    before = prepare(settings(overlay=None), FOLDER_NEEDS, tmp_path / "before", root=root).dataset
    pictures = [picture(number) for number in range(40)]
    overlay = fill(root, [(data, image(data)) for data in pictures])
    after = prepare(settings(), FOLDER_NEEDS, tmp_path / "after", root=root).dataset
    assert after.classes == before.classes
    assert {s.id: s.split for s in before.iter_samples()}.items() <= {
        s.id: s.split for s in after.iter_samples()
    }.items()
    assert after.samples("test") == before.samples("test")
    counts = overlay.counts()
    assert len(after) == len(before) + counts["train"] + counts["val"]
    assert min(counts.values()) >= 2
    recent = prepare_recent(settings(), FOLDER_NEEDS, after, tmp_path / "recent", root=root)
    assert recent is not None
    assert recent.info.split_counts == {"test": counts["recent"]}
    assert recent.classes == after.classes
    assert not {s.group for s in recent.iter_samples()} & {s.group for s in after.iter_samples()}
    sample = recent.samples("test")[0]
    assert recent.read_bytes(sample) in pictures
    # A later version moves nobody, whatever the share is by then.
    assert all(item.part == part_of(item.sha256, SPLIT, 0.2) for item in overlay.images.values())
    assert Dataset.open(tmp_path / "after").info.content_hash == after.info.content_hash


def test_an_image_of_the_source_and_an_unknown_class_stay_out(root: Path, tmp_path: Path) -> None:
    known = (root / "source/red/0.png").read_bytes()
    new = [picture(number) for number in range(3)]
    entries = [(known, image(known, part="train", name="blue")), (known[:-1], image(new[0], part="train", name="pink"))]
    overlay = fill(root, [*entries, (new[1], image(new[1], part="train")), (new[2], image(new[2], part="recent"))])
    dataset = prepare(settings(), FOLDER_NEEDS, tmp_path / "dataset", root=root).dataset
    rules = {finding.rule for finding in read_findings(tmp_path / "dataset/findings.csv")}
    assert {"known_image", "unknown_class"} <= rules
    added = [sample for sample in dataset.iter_samples() if sample.id.startswith("feedback-")]
    assert [sample.group for sample in added] == [image(new[1]).sha256]
    assert len(overlay.images) == 4


def test_boxes_of_the_overlay(tmp_path: Path) -> None:
    make_voc_source(tmp_path / "source", side=64)
    data = png(noise(np.random.default_rng(9), 64, 64))
    boxes = (
        TrueObject(name="red", box_xyxy=(1.0, 2.0, 30.0, 40.5)),
        TrueObject(name="blue", box_xyxy=(0.0, 0.0, 9.0, 9.0)),
    )
    fill(tmp_path, [(data, image(data, side=64, part="train").model_copy(update={"objects": boxes}))])
    dataset = prepare(settings("voc"), VOC_NEEDS, tmp_path / "dataset", root=tmp_path).dataset
    added = next(sample for sample in dataset.iter_samples("train") if sample.id.startswith("feedback-"))
    assert [(dataset.classes[o.class_id], o.box_xyxy) for o in added.objects] == [(b.name, b.box_xyxy) for b in boxes]
    assert prepare_recent(settings("voc"), VOC_NEEDS, dataset, tmp_path / "recent", root=tmp_path) is None
    assert not (tmp_path / "recent").exists()


def test_a_folder_that_the_source_would_read_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lie inside the source"):
        prepare(settings(overlay="source/feedback"), FOLDER_NEEDS, tmp_path / "dataset", root=root)


def test_an_interrupted_write_leaves_the_version_before(tmp_path: Path) -> None:
    one, two = picture(1), picture(2)
    before = fill(tmp_path, [(one, image(one))])

    class Killed(BaseException):
        pass

    def die(item: LabelledImage) -> bytes:
        raise Killed

    with pytest.raises(Killed):
        write_overlay(before.root, [image(two)], die)
    assert Overlay.open(before.root) == before
    after = fill(tmp_path, [(two, image(two))])
    assert Overlay.open(after.root) == after
    assert [path.name for path in (after.root / "images").iterdir()] == [f"{image(two).sha256}.png"]
    assert after.digest != before.digest


def test_a_damaged_table_is_named_by_line(tmp_path: Path) -> None:
    one = picture(1)
    overlay = fill(tmp_path, [(one, image(one))])
    table = overlay.root / "labels.jsonl"
    table.write_text(table.read_text() + '{"sha256": "x"}\n')
    with pytest.raises(DataError, match="damaged") as error:
        Overlay.open(overlay.root)
    assert "line 2" in error.value.where
