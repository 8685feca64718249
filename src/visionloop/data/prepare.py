"""The prepare stage: a source is read, checked and split, and becomes a dataset, whole or not at all."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import track

from visionloop.core import files
from visionloop.data.checks import CheckedRecord, Tally, check_record, require_usable, unusable
from visionloop.data.findings import Finding, findings_csv
from visionloop.data.formats import read_source
from visionloop.data.formats.record import RawObject, Record
from visionloop.data.requirements import Requirements
from visionloop.data.samples import Dataset, DatasetInfo, LabelledObject, Sample, Split, write_dataset
from visionloop.data.settings import DataSettings
from visionloop.data.splits import SplitItem, assign_splits

FINDINGS = "findings.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareResult:
    """What was prepared.

    Attributes:
        dataset: The dataset written.
        findings: Every defect found, in the source's order.
    """

    dataset: Dataset
    findings: list[Finding]

    def summary(self) -> str:
        """One line: counts by split, classes, findings by rule."""
        info = self.dataset.info
        splits = ", ".join(f"{count} {split}" for split, count in info.split_counts.items())
        rules = Counter(finding.rule for finding in self.findings)
        found = ", ".join(f"{count} {rule}" for rule, count in sorted(rules.items())) or "none"
        return f"{info.name}: {splits}, {len(info.classes)} classes; findings: {found}"


@dataclass(frozen=True, slots=True)
class _Row:
    """A checked record without its bytes, which are on disk by now."""

    id: str
    path: str
    sha256: str
    size: tuple[int, int]
    official: Split | None
    objects: tuple[RawObject, ...]
    member: str


def prepare(settings: DataSettings, requirements: Requirements, out_dir: Path, *, root: Path) -> PrepareResult:
    """Read, check, split and write.

    Args:
        settings: Source, tolerance, splits.
        requirements: What the task needs.
        out_dir: Where the dataset appears.
        root: Folder that a relative source path starts from.

    Raises:
        DataError: the source cannot be learned from; everything wrong with it at once.
    """
    where = str(root / settings.source.path)
    tally = Tally()
    with files.new_folder(out_dir) as folder:
        (folder / "images").mkdir()
        rows = _read(settings, requirements, folder, root, tally)
        class_counts = Counter(item.class_name for row in rows for item in row.objects)
        require_usable(settings.check, requirements, tally, class_counts, where)
        classes = sorted(class_counts)
        splits = _split(settings, rows, classes)
        _require_classes_in_train(rows, splits, tally, where)
        tally.findings += _leaks(rows, splits)
        info = _write(settings, folder, rows, splits, classes)
        files.write_text(folder / FINDINGS, findings_csv(tally.findings))
    return PrepareResult(dataset=Dataset(out_dir, info), findings=tally.findings)


def _read(settings: DataSettings, requirements: Requirements, folder: Path, root: Path, tally: Tally) -> list[_Row]:
    console = Console(stderr=True)
    records = track(
        read_source(settings.source, root),
        description=f"reading {settings.source.name}",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    rows: list[_Row] = []
    taken: set[str] = set()
    for item in records:
        if isinstance(item, Finding):
            tally.findings.append(item)
            continue
        checked = check_record(settings.check, requirements, item, tally)
        if checked is None:
            continue
        row = _row(checked, taken)
        taken.add(row.id)
        # Written in place: the whole folder is temporary until every check has passed.
        (folder / row.path).write_bytes(checked.data)
        rows.append(row)
    return sorted(rows, key=lambda row: row.id)


def _row(checked: CheckedRecord, taken: set[str]) -> _Row:
    record: Record = checked.record
    path = PurePosixPath(record.member)
    name = sample_id(record.member)
    if name in taken:
        # Two members whose names differ only in characters that an id may not have.
        name = f"{name}-{files.sha256_bytes(record.member.encode())[:8]}"
    return _Row(
        id=name,
        path=f"images/{name}{path.suffix.lower()}",
        sha256=checked.sha256,
        size=(checked.width, checked.height),
        official=record.split,
        objects=checked.objects,
        member=record.member,
    )


def sample_id(member: str) -> str:
    """An id from a member's name: stable, and safe as a file name on every system."""
    stem = str(PurePosixPath(member).with_suffix(""))
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem.replace("/", "-")).strip("-.")[-120:] or "sample"


def _split(settings: DataSettings, rows: Sequence[_Row], classes: Sequence[str]) -> list[Split]:
    ids = {name: index for index, name in enumerate(classes)}
    items = [
        SplitItem(
            group=row.sha256, official=row.official, classes=frozenset(ids[item.class_name] for item in row.objects)
        )
        for row in rows
    ]
    return assign_splits(items, settings.split)


def _require_classes_in_train(rows: Sequence[_Row], splits: Sequence[Split], tally: Tally, where: str) -> None:
    seen: dict[str, set[str]] = defaultdict(set)
    for row, split in zip(rows, splits, strict=True):
        seen[split] |= {item.class_name for item in row.objects}
    problems = [f"the {split} split is empty" for split in ("train", "val", "test") if split not in splits]
    for split in ("val", "test"):
        if unknown := sorted(seen[split] - seen["train"]):
            problems.append(f"classes in {split} that train does not have: {', '.join(unknown)}")
    if problems:
        raise unusable(problems, tally.findings, where)


def _leaks(rows: Sequence[_Row], splits: Sequence[Split]) -> Iterator[Finding]:
    """The same bytes in two splits: the metrics would be flattered."""
    first: dict[str, tuple[str, Split]] = {}
    for row, split in zip(rows, splits, strict=True):
        member, other = first.setdefault(row.sha256, (row.member, split))
        if other != split:
            yield Finding(
                rule="leak",
                severity="warning",
                file=row.member,
                found=f"the same image as {member}, which is in {other}",
                expected=f"images of {split} that no other split has",
                action="kept, because the official splits say so; remove one of the two",
            )


def _write(
    settings: DataSettings, folder: Path, rows: Sequence[_Row], splits: Sequence[Split], classes: Sequence[str]
) -> DatasetInfo:
    ids = {name: index for index, name in enumerate(classes)}
    samples = (
        Sample(
            id=row.id,
            path=row.path,
            sha256=row.sha256,
            width=row.size[0],
            height=row.size[1],
            group=row.sha256,
            split=split,
            objects=tuple(
                LabelledObject(class_id=ids[item.class_name], box_xyxy=item.box_xyxy, flags=item.flags)
                for item in row.objects
            ),
            source_record=row.member,
        )
        for row, split in zip(rows, splits, strict=True)
    )
    source = settings.source
    return write_dataset(
        folder,
        name=source.name,
        classes=classes,
        samples=samples,
        licence=source.licence,
        provenance={"settings": settings.model_dump(mode="json")},
    )
