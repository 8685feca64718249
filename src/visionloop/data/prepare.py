"""Prepare: from somebody else's layout to a checked, split, canonical dataset."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from visionloop import __version__
from visionloop.core import files
from visionloop.core.errors import ImageError
from visionloop.core.images import decode_image
from visionloop.core.progress import track
from visionloop.data import checks
from visionloop.data.findings import Finding, count_rules, sorted_findings, write_findings
from visionloop.data.formats import Record, Source, open_source
from visionloop.data.formats.source import suffix
from visionloop.data.requirements import Requirements
from visionloop.data.samples import SPLITS, Dataset, DatasetInfo, LabelledObject, Sample, Split, write_dataset
from visionloop.data.settings import CheckSettings, DataSettings
from visionloop.data.splits import Member, assign_splits

FINDINGS = "findings.csv"
"""Name of the list of findings inside a dataset folder."""

Progress = Callable[..., Iterator[Record]]
"""Called as `progress(records, total=..., label=...)`; yields the records and shows how far they are."""

_MAX_ID = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareResult:
    """What `prepare` did.

    Attributes:
        dataset: The dataset, opened.
        findings: Every defect of the source, gravest first; the same as in `findings.csv`.
    """

    dataset: Dataset
    findings: list[Finding]

    def summary(self) -> str:
        """One line: counts by split, classes, findings by rule."""
        info = self.dataset.info
        splits = ", ".join(f"{info.split_counts.get(split, 0):,} {split}" for split in SPLITS)
        found = ", ".join(f"{count} {rule}" for rule, count in count_rules(self.findings).items()) or "none"
        return f"{info.name}: {splits}, {len(info.classes)} classes; findings: {found}"


@dataclass(slots=True, kw_only=True)
class _Entry:
    """A readable image on its way to becoming a sample; small, because there may be millions."""

    id: str
    sha256: str
    size: tuple[int, int]
    objects: list[checks.CheckedObject]
    official: Split | None
    member: str

    @property
    def path(self) -> str:
        return f"images/{self.id}{suffix(self.member)}"


def prepare(
    settings: DataSettings,
    requirements: Requirements,
    out_dir: Path,
    *,
    root: Path | None = None,
    progress: Progress = track,
) -> PrepareResult:
    """Turn a source into a dataset. The same source and settings give the same bytes.

    Images are decoded to see that they are whole, and copied as they are. Defects are listed in
    `findings.csv`; defective images and objects are kept out.

    Args:
        settings: Source, checks, split.
        requirements: What the task asks of a dataset.
        out_dir: Folder to write; replaced as a whole, and only when everything went well.
        root: Folder at which a relative source path starts; the working directory by default.
        progress: How to show the way; see `Progress`.

    Raises:
        DataError: the source cannot be opened, or has defects that stop; all of them are listed at once.
    """
    source = open_source(settings.source, root=root or Path.cwd())
    try:
        with files.new_folder(out_dir) as folder:
            info, findings = _prepare(settings, requirements, source, folder, progress)
    finally:
        source.close()
    return PrepareResult(dataset=Dataset(out_dir, info), findings=findings)


def _prepare(
    settings: DataSettings, requirements: Requirements, source: Source, folder: Path, progress: Progress
) -> tuple[DatasetInfo, list[Finding]]:
    records = progress(source.records(), total=len(source), label=f"reading {settings.source.name}")
    entries, findings = _copy_images(settings.check, source, records, requirements, folder)
    findings += source.findings
    num_objects = sum(len(entry.objects) for entry in entries) + sum(f.rule in checks.OBJECT_RULES for f in findings)
    findings += checks.check_volume(findings, len(source), num_objects, settings.check)
    splits = assign_splits([_member(entry) for entry in entries], settings.split)
    findings += _check_whole(entries, splits, source.class_names, requirements)
    findings = sorted_findings(findings)
    checks.stop_if_needed(findings, where=source.where)
    write_findings(folder / FINDINGS, findings)
    return _write(settings, entries, splits, source, folder), findings


def _copy_images(
    settings: CheckSettings, source: Source, records: Iterator[Record], requirements: Requirements, folder: Path
) -> tuple[list[_Entry], list[Finding]]:
    """Read, check and copy every image; entries in order of id."""
    (folder / "images").mkdir()
    entries: list[_Entry] = []
    findings: list[Finding] = []
    ids = _Ids()
    for record in records:
        data = source.read(record.member)
        try:
            height, width, _ = decode_image(data, where=record.member).shape
        except ImageError as error:
            findings.append(checks.unreadable(record, error))
            continue
        objects, found = checks.check_record(record, (width, height), requirements, settings)
        findings += found
        if objects is None:
            continue
        entry = _Entry(
            id=ids.new(record),
            sha256=files.sha256_bytes(data),
            size=(width, height),
            objects=objects,
            official=record.split,
            member=record.member,
        )
        (folder / entry.path).write_bytes(data)
        entries.append(entry)
    findings += ids.findings
    return sorted(entries, key=lambda entry: entry.id), findings


class _Ids:
    """Hands out ids: the record's key in safe characters, with a hash behind where that is not unique."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}
        self.findings: list[Finding] = []

    def new(self, record: Record) -> str:
        plain = record.key.replace("/", "-")
        name = re.sub(r"[^A-Za-z0-9._-]", "_", plain)[:_MAX_ID].lstrip(".-")
        digest = files.sha256_bytes(record.member.encode())[:8]
        if name != plain:
            name = f"{name}_{digest}"
        # File systems that ignore case must not make two samples one file.
        earlier = self._taken.setdefault(name.lower(), record.member)
        if earlier == record.member:
            return name
        self.findings.append(
            Finding(
                rule="duplicate_id",
                severity="warning",
                file=record.member,
                found=f"its name differs from that of {earlier} by ending, case or separators only",
                expected="names that differ in letters or digits",
                action=f"kept as {name}_{digest}",
            )
        )
        return f"{name}_{digest}"


def _member(entry: _Entry) -> Member:
    names = frozenset(item.name for item in entry.objects)
    return Member(group=entry.sha256, official=entry.official, classes=names)


def _check_whole(
    entries: Sequence[_Entry], splits: Sequence[Split], declared: Sequence[str], requirements: Requirements
) -> list[Finding]:
    class_counts: dict[str, Counter[Split]] = {}
    identities: list[checks.Identity] = []
    for entry, split in zip(entries, splits, strict=True):
        for item in entry.objects:
            class_counts.setdefault(item.name, Counter())[split] += 1
        label = entry.objects[0].name if requirements.one_label else ""
        identities.append(checks.Identity(file=entry.member, sha256=entry.sha256, split=split, label=label))
    findings = checks.check_classes(class_counts, Counter(splits), declared, requirements)
    return findings + checks.check_duplicates(identities)


def _write(
    settings: DataSettings, entries: Sequence[_Entry], splits: Sequence[Split], source: Source, folder: Path
) -> DatasetInfo:
    classes = sorted({item.name for entry in entries for item in entry.objects})
    class_ids = {name: class_id for class_id, name in enumerate(classes)}
    return write_dataset(
        folder,
        name=settings.source.name,
        classes=classes,
        samples=(_sample(entry, split, class_ids) for entry, split in zip(entries, splits, strict=True)),
        licence=settings.source.licence,
        provenance={
            "source": settings.source.kind,
            "path": settings.source.path,
            "source_hash": source.content_hash,
            "visionloop": __version__,
            "settings": settings.model_dump(mode="json"),
        },
    )


def _sample(entry: _Entry, split: Split, class_ids: dict[str, int]) -> Sample:
    objects = tuple(
        LabelledObject(class_id=class_ids[item.name], box_xyxy=item.box_xyxy, flags=item.flags)
        for item in entry.objects
    )
    return Sample(
        id=entry.id,
        path=entry.path,
        sha256=entry.sha256,
        width=entry.size[0],
        height=entry.size[1],
        group=entry.sha256,
        split=split,
        objects=objects,
        source_record=entry.member,
    )
