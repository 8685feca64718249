"""Prepare: from somebody else's layout, and what was labelled since, to a checked, split, canonical dataset."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from visionloop import __version__
from visionloop.core import files
from visionloop.core.errors import ConfigError, DataError, ImageError
from visionloop.core.images import decode_image
from visionloop.core.progress import track
from visionloop.data import checks
from visionloop.data.duplicates import Identity, check_labels, check_leaks
from visionloop.data.findings import Finding, count_rules, sorted_findings, write_findings
from visionloop.data.formats import Record, Source, open_source, suggest_kind
from visionloop.data.formats.names import suffix
from visionloop.data.overlay import FROM_FEEDBACK, Overlay, OverlaySource, identity
from visionloop.data.requirements import Requirements
from visionloop.data.samples import SPLITS, Dataset, DatasetInfo, LabelledObject, Sample, Split, write_dataset
from visionloop.data.settings import CheckSettings, DataSettings
from visionloop.data.splits import Member, assign_splits

FINDINGS = "findings.csv"
"""Name of the list of findings inside a dataset folder."""

Progress = Callable[..., Iterator[Record]]
"""Called as `progress(records, total=..., label=...)`; yields the records and shows how far they are."""

_MAX_ID = 120

_SHOWN = 3
"""Findings, and ignored files, that are named in the summary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareResult:
    """What `prepare` did.

    Attributes:
        dataset: The dataset, opened.
        findings: Every defect of the source, gravest first; the same as in `findings.csv`.
        ignored: Names of the source's files that are no part of its layout.
    """

    dataset: Dataset
    findings: list[Finding]
    ignored: tuple[str, ...] = ()

    def summary(self) -> str:
        """Counts by split, classes, findings by rule, in a line; then the gravest findings, and where all are."""
        info = self.dataset.info
        splits = ", ".join(f"{info.split_counts.get(split, 0):,} {split}" for split in SPLITS)
        found = ", ".join(f"{count} {rule}" for rule, count in count_rules(self.findings).items()) or "none"
        line = f"{info.name}: {splits}, {len(info.classes)} classes; findings: {found}"
        if self.ignored:
            names = ", ".join(PurePosixPath(name).name for name in self.ignored[:_SHOWN])
            more = ", ..." if len(self.ignored) > _SHOWN else ""
            line += f"; ignored: {len(self.ignored)} other file{'s' * (len(self.ignored) > 1)} ({names}{more})"
        lines = [f"  {finding}" for finding in self.findings[:_SHOWN]]
        if len(self.findings) > _SHOWN:
            lines.append(f"  and {len(self.findings) - _SHOWN:,} more")
        return "\n".join([line, *lines])


@dataclass(slots=True, kw_only=True)
class _Entry:
    """A readable image on its way to becoming a sample; small, because there may be millions."""

    id: str
    sha256: str
    group: str
    size: tuple[int, int]
    objects: list[checks.CheckedObject]
    official: Split | None
    member: str
    flags: tuple[str, ...] = ()

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
    `findings.csv`; defective images and objects are kept out. Labelled images of the overlay join train and val; they
    change neither the classes nor the split of any image of the source.

    Args:
        settings: Source, checks, split.
        requirements: What the task asks of a dataset.
        out_dir: Folder to write; replaced as a whole, and only when everything went well.
        root: Folder at which a relative source path starts; the working directory by default.
        progress: How to show the way; see `Progress`.

    Raises:
        DataError: the source cannot be opened, or has defects that stop; all of them are listed at once.
    """
    root = root or Path.cwd()
    overlay = _open_overlay(settings, root)
    source = open_source(settings.source, root=root)
    try:
        with files.new_folder(out_dir) as folder:
            info, findings = _prepare(settings, requirements, source, overlay, folder, progress)
    except DataError as error:
        suggest_kind(error, settings.source.kind, source.likely_kind)
        raise
    finally:
        source.close()
    return PrepareResult(dataset=Dataset(out_dir, info), findings=findings, ignored=source.ignored)


def prepare_recent(
    settings: DataSettings, requirements: Requirements, dataset: Dataset, out_dir: Path, *, root: Path
) -> Dataset | None:
    """The overlay's recent images as a dataset of their own, which has a test split only.

    Args:
        settings: Names the overlay.
        requirements: What the task asks of a dataset.
        dataset: What `prepare` made of the same settings: its classes are these, and none of its images is here.
        out_dir: Folder to write.
        root: Folder at which relative paths start.

    Returns:
        The dataset, or None where no recent image can be used; then there is no folder.
    """
    overlay = _open_overlay(settings, root)
    known = {sample.group for sample in dataset.iter_samples()}
    entries: list[_Entry] = []
    if overlay is not None:
        with files.new_folder(out_dir) as folder:
            source = OverlaySource(overlay, ["recent"])
            entries, findings = _add_overlay(
                settings, source, requirements, folder, _Ids(), known=known, classes=dataset.classes
            )
            write_findings(folder / FINDINGS, sorted_findings(findings))
            info = write_dataset(
                folder,
                name=f"{settings.source.name}-recent",
                classes=dataset.classes,
                samples=_samples(entries, ["test"] * len(entries), dataset.classes),
                licence=settings.source.licence,
                provenance={"overlay": overlay.digest, "dataset": dataset.info.content_hash},
            )
    if not entries:
        shutil.rmtree(out_dir, ignore_errors=True)
        return None
    return Dataset(out_dir, info)


def _open_overlay(settings: DataSettings, root: Path) -> Overlay | None:
    """The overlay, None where none is set or it is empty.

    Raises:
        ConfigError: the source would read it as its own.
    """
    if settings.overlay is None:
        return None
    folder, source = (root / settings.overlay).resolve(), (root / settings.source.path).resolve()
    hidden = any(part.startswith(".") for part in folder.parts[len(source.parts) :])
    if folder.is_relative_to(source) and not hidden:
        raise ConfigError(
            "the labels from feedback lie inside the source, which would read them as its own",
            where=f"setting data.overlay={settings.overlay}",
            expected=f"a folder outside {settings.source.path}, or one whose name begins with a dot",
            action="correct the setting",
        )
    overlay = Overlay.open(folder)
    return overlay if overlay.images else None


def _prepare(
    settings: DataSettings,
    requirements: Requirements,
    source: Source,
    overlay: Overlay | None,
    folder: Path,
    progress: Progress,
) -> tuple[DatasetInfo, list[Finding]]:
    records = progress(source.records(), total=len(source), label=f"reading {settings.source.name}")
    (folder / "images").mkdir()
    ids = _Ids()
    entries, findings = _copy_images(settings.check, source, records, requirements, folder, ids)
    entries, conflicts = _without_conflicts(entries, requirements, folder)
    findings += conflicts + source.findings
    num_objects = sum(len(entry.objects) for entry in entries) + sum(f.rule in checks.OBJECT_RULES for f in findings)
    findings += checks.check_volume(findings, len(source), num_objects, settings.check)
    splits = assign_splits([_member(entry) for entry in entries], settings.split)
    classes = sorted({item.name for entry in entries for item in entry.objects})
    if overlay is not None:
        more = OverlaySource(overlay, ["train", "val"])
        known = {entry.group for entry in entries}
        added, found = _add_overlay(settings, more, requirements, folder, ids, known=known, classes=classes)
        findings += found
        entries += added
        splits += [entry.official or "train" for entry in added]
    findings += _check_whole(entries, splits, source.class_names, requirements)
    findings = sorted_findings(findings + ids.findings)
    checks.stop_if_needed(findings, where=source.where)
    write_findings(folder / FINDINGS, findings)
    return _write(settings, entries, splits, classes, source, overlay, folder), findings


def _add_overlay(
    settings: DataSettings,
    source: OverlaySource,
    requirements: Requirements,
    folder: Path,
    ids: _Ids,
    *,
    known: set[str],
    classes: Sequence[str],
) -> tuple[list[_Entry], list[Finding]]:
    """Those of an overlay's images that are new and whose classes the source has; the others become findings."""
    (folder / "images").mkdir(exist_ok=True)
    findings: list[Finding] = []

    def usable() -> Iterator[Record]:
        for record in source.records():
            unknown = sorted({item.name for item in record.objects} - set(classes))
            if identity(record.member) in known:
                findings.append(checks.known_image(record))
            elif unknown:
                findings.append(checks.unknown_class(record, unknown))
            else:
                yield record

    entries, found = _copy_images(settings.check, source, usable(), requirements, folder, ids)
    for entry in entries:
        entry.group, entry.flags = identity(entry.member), (FROM_FEEDBACK,)
    return entries, findings + found


def _copy_images(
    settings: CheckSettings,
    source: Source,
    records: Iterator[Record],
    requirements: Requirements,
    folder: Path,
    ids: _Ids,
) -> tuple[list[_Entry], list[Finding]]:
    """Read, check and copy every image; entries in order of id."""
    entries: list[_Entry] = []
    findings: list[Finding] = []
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
        digest = files.sha256_bytes(data)
        entry = _Entry(
            id=ids.new(record),
            sha256=digest,
            group=digest,
            size=(width, height),
            objects=objects,
            official=record.split,
            member=record.member,
        )
        (folder / entry.path).write_bytes(data)
        entries.append(entry)
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
    return Member(group=entry.group, official=entry.official, classes=names)


def _without_conflicts(
    entries: list[_Entry], requirements: Requirements, folder: Path
) -> tuple[list[_Entry], list[Finding]]:
    """The entries without those whose bytes have several labels, which are removed from `folder` too."""
    if not requirements.one_label:
        return entries, []
    conflicts = check_labels([_identity(entry, entry.official, requirements) for entry in entries])
    kept = [entry for entry in entries if entry.sha256 not in conflicts]
    for entry in entries:
        if entry.sha256 in conflicts:
            (folder / entry.path).unlink()
    return kept, list(conflicts.values())


def _identity(entry: _Entry, split: Split | None, requirements: Requirements) -> Identity:
    label = entry.objects[0].name if requirements.one_label else ""
    return Identity(file=entry.member, sha256=entry.sha256, split=split, label=label)


def _check_whole(
    entries: Sequence[_Entry], splits: Sequence[Split], declared: Sequence[str], requirements: Requirements
) -> list[Finding]:
    class_counts: dict[str, Counter[Split]] = {}
    identities: list[Identity] = []
    for entry, split in zip(entries, splits, strict=True):
        for item in entry.objects:
            class_counts.setdefault(item.name, Counter())[split] += 1
        identities.append(_identity(entry, split, requirements))
    findings = checks.check_classes(class_counts, Counter(splits), declared, requirements)
    return findings + check_leaks(identities)


def _write(
    settings: DataSettings,
    entries: Sequence[_Entry],
    splits: Sequence[Split],
    classes: Sequence[str],
    source: Source,
    overlay: Overlay | None,
    folder: Path,
) -> DatasetInfo:
    return write_dataset(
        folder,
        name=settings.source.name,
        classes=classes,
        samples=_samples(entries, splits, classes),
        licence=settings.source.licence,
        provenance={
            "source": settings.source.kind,
            "path": settings.source.path,
            "source_hash": source.content_hash,
            "overlay": None if overlay is None else overlay.digest,
            "visionloop": __version__,
            "settings": settings.model_dump(mode="json"),
        },
    )


def _samples(entries: Sequence[_Entry], splits: Sequence[Split], classes: Sequence[str]) -> Iterator[Sample]:
    """In order of id."""
    class_ids = {name: class_id for class_id, name in enumerate(classes)}
    for entry, split in sorted(zip(entries, splits, strict=True), key=lambda pair: pair[0].id):
        yield _sample(entry, split, class_ids)


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
        group=entry.group,
        split=split,
        objects=objects,
        flags=entry.flags,
        source_record=entry.member,
    )
