"""The canonical dataset: images as they came, one table of samples, one description.

Layout of a dataset folder::

    images/          the original bytes, named by sample id
    samples.parquet  one row a sample, in order of id
    dataset.json     classes with counts, splits, licence, provenance, content hash
    findings.csv     every defect found in the source and what was done about it
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from visionloop.core import files
from visionloop.core.errors import DataError
from visionloop.core.images import ImageArray, decode_image

if TYPE_CHECKING:
    import pyarrow as pa

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

_BATCH_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledObject:
    """One thing an annotator named in an image.

    Attributes:
        class_id: 0-based index into the dataset's classes.
        box_xyxy: (x1, y1, x2, y2) in pixels of the upright image, 0 <= x1 < x2 <= width and
            0 <= y1 < y2 <= height; None for a label of the whole image.
        flags: Annotator's remarks such as `difficult`, `truncated`, `crowd`.
    """

    class_id: int
    box_xyxy: tuple[float, float, float, float] | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One image with all that is known of it, the same for every format and task.

    Attributes:
        id: Unique in the dataset, stable over versions; letters, digits, `-`, `_`, `.`.
        path: Relative to the dataset folder, POSIX separators.
        sha256: Hex hash of the file's bytes.
        width, height: Pixels of the upright image.
        group: Samples of one group (duplicates, frames of one scene) share a split.
        split: `train`, `val`, `test`, or None before splits are assigned.
        objects: In the source's order; empty for a background image.
        flags: Remarks about the image.
        source_record: Where the sample came from in the source (file, archive member).
    """

    id: str
    path: str
    sha256: str
    width: int
    height: int
    group: str
    split: Split | None
    objects: tuple[LabelledObject, ...]
    flags: tuple[str, ...] = ()
    source_record: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """What `dataset.json` holds.

    Attributes:
        name: Dataset's name.
        classes: Names in the order of their ids.
        split_counts: Samples per split.
        class_counts: Objects per class name and split.
        licence: Licence of the images, free text; empty if unknown.
        provenance: Source kind, path as configured, hash of the source, visionloop's version, settings.
        content_hash: Hex SHA-256 over classes and rows; names the dataset's version.
    """

    name: str
    classes: tuple[str, ...]
    split_counts: dict[str, int]
    class_counts: dict[str, dict[str, int]]
    licence: str
    provenance: dict[str, Any]
    content_hash: str

    @property
    def classes_hash(self) -> str:
        """Hash of the class order; travels through checkpoint, graph, bundle and registry."""
        return classes_hash(self.classes)


def classes_hash(classes: Sequence[str]) -> str:
    """Hex SHA-256 of the ordered class names."""
    return files.hash_json(list(classes))


@cache
def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("path", pa.string()),
            ("sha256", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("group", pa.string()),
            ("split", pa.string()),
            (
                "objects",
                pa.list_(
                    pa.struct(
                        [
                            ("class_id", pa.int32()),
                            ("box_xyxy", pa.list_(pa.float32())),
                            ("flags", pa.list_(pa.string())),
                        ]
                    )
                ),
            ),
            ("flags", pa.list_(pa.string())),
            ("source_record", pa.string()),
        ]
    )


class Dataset:
    """A canonical dataset on disk, opened for reading."""

    def __init__(self, root: Path, info: DatasetInfo) -> None:
        self.root = root
        self.info = info

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open a dataset folder.

        Raises:
            DataError: a file is missing or damaged.
        """
        if not (root / "dataset.json").is_file():
            raise DataError(
                "there is no dataset",
                where=str(root),
                expected="what the stage prepare writes",
                action="run it first: `dvc repro`, or `python -m pipelines.prepare` for the same task and build",
            )
        values = files.read_json(root / "dataset.json")
        try:
            info = DatasetInfo(**(values | {"classes": tuple(values["classes"])}))
        except (TypeError, KeyError) as error:
            raise DataError(
                f"the description does not fit: {error}",
                where=str(root / "dataset.json"),
                expected="a description written by the prepare stage",
                action="run the prepare stage again",
            ) from None
        return cls(root, info)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their ids."""
        return self.info.classes

    def __len__(self) -> int:
        return sum(self.info.split_counts.values())

    def iter_samples(self, split: Split | None = None) -> Iterator[Sample]:
        """Samples in order of id, of one split or of all, a batch of rows in memory at a time."""
        from pyarrow import parquet

        table = parquet.ParquetFile(self.root / "samples.parquet")
        for batch in table.iter_batches(batch_size=_BATCH_ROWS):
            for row in batch.to_pylist():
                if split is None or row["split"] == split:
                    yield _from_row(row)

    def samples(self, split: Split | None = None) -> list[Sample]:
        """`iter_samples` as a list."""
        return list(self.iter_samples(split))

    def read_bytes(self, sample: Sample) -> bytes:
        """The image file's original bytes."""
        return (self.root / sample.path).read_bytes()

    def read_image(self, sample: Sample) -> ImageArray:
        """The upright image, uint8 [H,W,3] RGB."""
        return decode_image(self.read_bytes(sample), where=sample.source_record or sample.path)


def write_dataset(
    root: Path,
    *,
    name: str,
    classes: Sequence[str],
    samples: Iterable[Sample],
    licence: str,
    provenance: dict[str, Any],
) -> DatasetInfo:
    """Write the table and the description into `root`, which already holds the images the samples name.

    Args:
        samples: In order of id; consumed once, a batch in memory at a time.

    Returns:
        The description as written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    split_counts: Counter[str] = Counter()
    class_counts: dict[str, Counter[str]] = {name: Counter() for name in classes}
    digest = hashlib.sha256(files.hash_json(list(classes)).encode())
    rows: list[dict[str, Any]] = []
    with parquet.ParquetWriter(root / "samples.parquet", _schema(), compression="zstd") as writer:
        for sample in samples:
            row = _to_row(sample)
            rows.append(row)
            split_counts[sample.split or "unassigned"] += 1
            for item in sample.objects:
                class_counts[classes[item.class_id]][sample.split or "unassigned"] += 1
            digest.update(
                files.hash_json({key: value for key, value in row.items() if key != "source_record"}).encode()
            )
            if len(rows) == _BATCH_ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema=_schema()))
                rows.clear()
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema=_schema()))
    info = DatasetInfo(
        name=name,
        classes=tuple(classes),
        split_counts=dict(sorted(split_counts.items())),
        class_counts={name: dict(sorted(counts.items())) for name, counts in class_counts.items()},
        licence=licence,
        provenance=provenance,
        content_hash=digest.hexdigest(),
    )
    description = {key: getattr(info, key) for key in DatasetInfo.__slots__}
    files.write_text(root / "dataset.json", json.dumps(description, indent=2, ensure_ascii=False) + "\n")
    return info


def _to_row(sample: Sample) -> dict[str, Any]:
    return {
        "id": sample.id,
        "path": sample.path,
        "sha256": sample.sha256,
        "width": sample.width,
        "height": sample.height,
        "group": sample.group,
        "split": sample.split,
        "objects": [
            {
                "class_id": item.class_id,
                "box_xyxy": None if item.box_xyxy is None else list(item.box_xyxy),
                "flags": list(item.flags),
            }
            for item in sample.objects
        ],
        "flags": list(sample.flags),
        "source_record": sample.source_record,
    }


def _from_row(row: dict[str, Any]) -> Sample:
    objects = tuple(
        LabelledObject(
            class_id=item["class_id"],
            box_xyxy=None if item["box_xyxy"] is None else tuple(item["box_xyxy"]),
            flags=tuple(item["flags"] or ()),
        )
        for item in row["objects"] or ()
    )
    return Sample(**(row | {"objects": objects, "flags": tuple(row["flags"] or ())}))
