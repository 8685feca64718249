"""The evaluation stage: a bundle answers the original bytes of a split, through the Predictor, and is scored."""

from __future__ import annotations

import contextlib
import csv
import heapq
import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from visionloop.artifact.predictor import Predictor
from visionloop.core import files
from visionloop.core.errors import DataError
from visionloop.data.samples import Dataset, Sample
from visionloop.evaluation.record import write_record
from visionloop.evaluation.report import evaluation_report
from visionloop.evaluation.settings import EvaluationSettings
from visionloop.evaluation.summary import EvaluationSummary
from visionloop.task import Evaluation, Example, Prediction, Task

_log = logging.getLogger(__name__)
REPORT = "report.html"
_LOG_EVERY_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """What an evaluation left.

    Attributes:
        folder: With `evaluation.json`, `metrics.json`, `per_image.npz`, `report.html`, the same as data (`report.json`
            with `examples/`), tables as CSV, figures as PNG.
        summary: The numbers.
    """

    folder: Path
    summary: EvaluationSummary


def evaluate(
    settings: EvaluationSettings,
    bundle_root: Path,
    dataset_root: Path,
    out_dir: Path,
    *,
    progress: bool | None = None,
) -> EvaluationResult:
    """Evaluate a bundle and write the numbers, tables, figures and report.

    Args:
        settings: Split and engine.
        bundle_root: The bundle's folder.
        dataset_root: The canonical dataset's folder.
        out_dir: Where the result appears, whole or not at all.
        progress: Whether to show a bar on stderr; None shows it on a terminal and logs lines elsewhere.

    Raises:
        BundleError: the bundle does not verify.
        DataError: the split is empty, or bundle and dataset differ in their classes.
        ImageError: an image of the split cannot be decoded.
    """
    predictor, dataset = _open(settings, bundle_root, dataset_root)
    with files.new_folder(out_dir) as folder:
        with contextlib.closing(_Rows(folder, predictor.classes)) as rows:
            scored = _score(settings, predictor, dataset, rows, progress)
        summary = _summarise(settings, predictor, dataset, scored)
        summary.write(folder)
        write_csv(folder / "per_class.csv", scored.evaluation.per_class)
        for name, table in scored.evaluation.tables.items():
            write_csv(folder / f"{name}.csv", table)
        examples = _examples(dataset, scored.worst)
        write_record(folder, summary, scored.evaluation.tables, examples)
        figures = predictor.task.figures(scored.evaluation, examples, predictor.classes)
        for figure in figures:
            (folder / f"{figure.name}.png").write_bytes(figure.png)
        report = evaluation_report(summary, figures, predictor.bundle.manifest)
        files.write_text(folder / REPORT, report)
    return EvaluationResult(folder=out_dir, summary=summary)


def summarise(
    settings: EvaluationSettings, bundle_root: Path, dataset_root: Path, *, progress: bool | None = None
) -> EvaluationSummary:
    """As `evaluate`, but only the numbers: nothing is written."""
    predictor, dataset = _open(settings, bundle_root, dataset_root)
    return _summarise(settings, predictor, dataset, _score(settings, predictor, dataset, None, progress))


def compare_bundles(
    settings: EvaluationSettings, challenger_root: Path, champion_root: Path, dataset_root: Path
) -> tuple[EvaluationSummary, EvaluationSummary]:
    """Both bundles on the same images through the same engine: what the gate judges.

    Returns:
        The challenger's numbers and the champion's.

    Raises:
        DataError: one of them knows other classes than the dataset.
    """
    return (
        summarise(settings, challenger_root, dataset_root),
        summarise(settings, champion_root, dataset_root),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    """What one pass over a split gathers; images are not kept."""

    evaluation: Evaluation
    sample_ids: tuple[str, ...]
    worst: list[tuple[Sample, Prediction]]
    latency_ms: float


@dataclass(slots=True)
class _Worst:
    """The k samples of highest rank seen so far; ties go to the sample that came first."""

    limit: int
    heap: list[tuple[float, int, Sample, Prediction]] = field(default_factory=list)

    def add(self, rank: float, order: int, sample: Sample, prediction: Prediction) -> None:
        # Negative order makes entries unique before samples would be compared.
        heapq.heappush(self.heap, (rank, -order, sample, prediction))
        if len(self.heap) > self.limit:
            heapq.heappop(self.heap)

    def ranked(self) -> list[tuple[Sample, Prediction]]:
        return [(sample, prediction) for _, _, sample, prediction in sorted(self.heap, reverse=True)]


class _Rows:
    """`predictions.jsonl` for programs and `predictions.csv` for people, one row an image."""

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self._classes = classes
        self._jsonl = (folder / "predictions.jsonl").open("w", encoding="utf-8")
        self._csv = (folder / "predictions.csv").open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._csv, lineterminator="\n")
        self._writer.writerow(["id", "path", "truth", "prediction", "badness"])

    def add(self, sample: Sample, prediction: Prediction, rank: float) -> None:
        names = [self._classes[item.class_id] for item in sample.objects]
        truth = [{"class": name, "box_xyxy": item.box_xyxy} for name, item in zip(names, sample.objects, strict=True)]
        row = {"id": sample.id, "truth": truth, "prediction": prediction.to_record(self._classes)}
        self._jsonl.write(json.dumps(row, ensure_ascii=False) + "\n")
        counts = ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))
        truth_text = names[0] if len(names) == 1 else counts or "nothing"
        self._writer.writerow([sample.id, sample.path, truth_text, prediction.summary(self._classes), f"{rank:.4f}"])

    def close(self) -> None:
        self._jsonl.close()
        self._csv.close()


def _open(settings: EvaluationSettings, bundle_root: Path, dataset_root: Path) -> tuple[Predictor, Dataset]:
    dataset = Dataset.open(dataset_root)
    predictor = Predictor.open(bundle_root, settings.runtime)
    require_same_classes(predictor, dataset)
    if not dataset.info.split_counts.get(settings.split):
        raise DataError(
            f"the {settings.split} split is empty",
            where=str(dataset_root / "dataset.json"),
            expected=f"at least one image in {settings.split}",
            action="give the split a share in the data settings, or evaluate another with evaluation.split",
        )
    return predictor, dataset


def require_same_classes(predictor: Predictor, dataset: Dataset) -> None:
    """Refuse a bundle and a dataset whose classes differ in name or order.

    Raises:
        DataError: lists the names on one side only, or says that the order differs.
    """
    manifest = predictor.bundle.manifest
    if manifest.classes_hash == dataset.info.classes_hash:
        return
    only_bundle = sorted(set(manifest.classes) - set(dataset.classes))
    only_dataset = sorted(set(dataset.classes) - set(manifest.classes))
    sides = [f"only in the bundle: {', '.join(only_bundle)}"] if only_bundle else []
    sides += [f"only in the dataset: {', '.join(only_dataset)}"] if only_dataset else []
    raise DataError(
        "bundle and dataset differ in their classes (" + ("; ".join(sides) or "the same names in another order") + ")",
        where=f"{predictor.bundle.root / 'bundle.json'} and {dataset.root / 'dataset.json'}",
        expected="the same classes in the same order",
        action="train and export on this dataset, or evaluate on the dataset the bundle was trained for",
    )


def _score(
    settings: EvaluationSettings, predictor: Predictor, dataset: Dataset, rows: _Rows | None, progress: bool | None
) -> _Scored:
    scorer = predictor.task.scorer(predictor.classes)
    worst = _Worst(settings.gallery_images)
    sample_ids: list[str] = []
    seconds: list[float] = []
    total = dataset.info.split_counts[settings.split]
    samples = _with_progress(dataset.iter_samples(settings.split), total, settings.split, progress)
    while batch := list(islice(samples, settings.runtime.batch_size)):
        encoded = [dataset.read_bytes(sample) for sample in batch]
        started = time.perf_counter()
        predictions = predictor.predict(encoded, names=[sample.path for sample in batch])
        seconds.append((time.perf_counter() - started) / len(batch))
        for sample, prediction in zip(batch, predictions, strict=True):
            scorer.add(sample, prediction)
            rank = predictor.task.example_rank(sample, prediction)
            worst.add(rank, len(sample_ids), sample, prediction)
            sample_ids.append(sample.id)
            if rows is not None:
                rows.add(sample, prediction, rank)
    return _Scored(
        evaluation=scorer.evaluate(),
        sample_ids=tuple(sample_ids),
        worst=worst.ranked(),
        # The first batch pays for the engine's warm-up.
        latency_ms=1000.0 * median(seconds[1:] or seconds),
    )


def _summarise(
    settings: EvaluationSettings, predictor: Predictor, dataset: Dataset, scored: _Scored
) -> EvaluationSummary:
    task: Task = predictor.task
    return EvaluationSummary(
        task=task.name,
        primary_metric=task.primary_metric,
        metrics=scored.evaluation.metrics,
        per_class=scored.evaluation.per_class,
        per_image=scored.evaluation.per_image,
        sample_ids=scored.sample_ids,
        dataset=dataset.info.name,
        dataset_hash=dataset.info.content_hash,
        split=settings.split,
        classes=predictor.classes,
        bundle_digest=predictor.bundle.digest,
        parity_passed=predictor.bundle.manifest.parity.passed,
        model_mb=predictor.bundle.size_bytes / 1e6,
        latency_ms=scored.latency_ms,
        runtime=settings.runtime.model_dump(mode="json"),
        remarks=scored.evaluation.remarks,
    )


def _examples(dataset: Dataset, worst: Sequence[tuple[Sample, Prediction]]) -> list[Example]:
    return [
        Example(sample=sample, image=dataset.read_image(sample), prediction=prediction) for sample, prediction in worst
    ]


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Rows with equal keys as CSV; None is an empty cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _with_progress(samples: Iterable[Sample], total: int, split: str, progress: bool | None) -> Iterator[Sample]:
    if progress is None:
        progress = sys.stderr.isatty()
    return _with_bar(samples, total, split) if progress else _with_lines(samples, total, split)


def _with_bar(samples: Iterable[Sample], total: int, split: str) -> Iterator[Sample]:
    from rich.console import Console
    from rich.progress import track

    return iter(track(samples, f"evaluating {split}", total, console=Console(stderr=True), transient=True))


def _with_lines(samples: Iterable[Sample], total: int, split: str) -> Iterator[Sample]:
    due = time.monotonic() + _LOG_EVERY_S
    for done, sample in enumerate(samples):
        if time.monotonic() >= due:
            _log.info("evaluated %d of %d images of %s", done, total, split)
            due = time.monotonic() + _LOG_EVERY_S
        yield sample
