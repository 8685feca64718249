"""How often the drift check alarms without drift and with it, on real images; and how long it takes.

python -m benchmarks.bench_drift --data ../shared/data --cifar-bundle <folder> --bccd-bundle <folder>
    [--processes 2] [--progress build/bench_drift.jsonl]

`--data` holds `cifar10.tar.gz` and `bccd.tar.gz`; a data set that is not there is skipped and said so. Without a
bundle, embeddings are the first 64 principal components of 32 x 32 thumbnails; classes then come from a logistic
regression on them (CIFAR-10), or the annotated boxes stand for the model's (BCCD).

Windows without drift: reference and window are disjoint random parts of images that no model learned from. One
reference serves `--per-reference` windows, as a bundle's serves many; then another is drawn. These windows are shared
out among `--processes`, and with `--progress` the same command goes on where an interrupted one was.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from benchmarks.drift_pools import SHIFTS, Pool, darker, load_bccd, load_cifar, rows_of
from benchmarks.drift_windows import SETTINGS, Stretches, make_profile, make_window
from visionloop.artifact.bundle import GRAPH, Bundle, ParityReport, write_manifest
from visionloop.artifact.deployment import Variant
from visionloop.core.images import Recipe
from visionloop.evaluation.statistics import wilson_interval
from visionloop.monitoring.drift.check import check
from visionloop.monitoring.drift.features import image_features
from visionloop.monitoring.drift.hypotheses import class_test
from visionloop.monitoring.drift.observations import Observations, observe
from visionloop.monitoring.drift.profile import Profile, model_digest
from visionloop.monitoring.drift.result import DriftResult
from visionloop.monitoring.drift.traffic import Subject, check_traffic
from visionloop.monitoring.drift.windows import tumbling_windows
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import PredictionRow, PredictionStore
from visionloop.task import load_task


def main() -> None:
    """Print tables, and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cifar-bundle", type=Path)
    parser.add_argument("--bccd-bundle", type=Path)
    parser.add_argument("--sets", nargs="+", default=["cifar10", "bccd"], help="data sets to run")
    parser.add_argument("--windows", type=int, default=1000, help="without drift, per data set")
    parser.add_argument("--per-reference", type=int, default=50)
    parser.add_argument("--shift-windows", type=int, default=60, help="per kind of drift")
    parser.add_argument("--processes", type=int, default=1, help="for the windows without drift")
    parser.add_argument("--progress", type=Path, help="JSON lines of the windows without drift that are done")
    arguments = parser.parse_args()
    report: dict[str, object] = {"features_ms": _feature_cost()}
    print(f"image features, 640 x 480: {report['features_ms']:.2f} ms CPU (median)")
    for name, load, bundle in (
        ("cifar10", load_cifar, arguments.cifar_bundle),
        ("bccd", load_bccd, arguments.bccd_bundle),
    ):
        if name not in arguments.sets:
            continue
        archive = arguments.data / f"{name}.tar.gz"
        if not archive.is_file():
            print(f"{name}: skipped, there is no {archive}")
            continue
        pool = load(archive, bundle)
        print(
            f"\n{name}: {len(pool.images)} images, {'bundle ' + bundle.name if bundle else 'no bundle, PCA embedding'}"
        )
        key = f"{name} {bundle and Bundle.open(bundle).digest} {arguments.per_reference}"
        stretches = Stretches(pool, arguments.per_reference, arguments.processes, arguments.progress, key)
        report[name] = {
            "without drift": _without_drift(stretches, arguments.windows),
            "with drift": _with_drift(pool, arguments.shift_windows),
        }
        if name == "cifar10":
            report["seconds"] = _speed(pool) | _stored(pool)
    report["class test"] = _class_power()
    print("\n" + json.dumps(report))


def _without_drift(stretches: Stretches, windows: int) -> dict[str, object]:
    results = stretches.results(windows)
    alarms, spent = sum(one.alarms for one in results), sum(one.cpu_s for one in results)
    names = sum((Counter(one.tests) for one in results), Counter[str]())
    interval = wilson_interval(alarms, windows)
    print(
        f"without drift: {alarms} of {windows} windows alarmed, {interval.mean:.2%} (95%: {interval.lower:.2%} to "
        f"{interval.upper:.2%}), {dict(names)}, {1000 * spent / windows:.0f} ms CPU each"
    )
    return {"alarms": alarms, "windows": windows, "lower": interval.lower, "upper": interval.upper, "tests": names}


def _with_drift(pool: Pool, windows: int) -> dict[str, object]:
    order = np.random.default_rng(7).permutation(len(pool.rows))
    profile, rest = make_profile(pool, order[: pool.num_reference]), order[pool.num_reference :]
    found: dict[str, object] = {}
    rng = np.random.default_rng(8)
    for name, shift in SHIFTS.items():
        chosen = rest[:600]
        images = [shift(pool.images[index], rng) for index in chosen]
        rows = rows_of(pool.task, pool.classes, images, pool.answer(images, chosen.tolist()))
        truth = pool.truth[chosen] if len(pool.truth) else None
        picks = [rng.choice(len(rows), 200, replace=False) for _ in range(windows)]
        found[name] = _detected(name, profile, rows, picks, truth)
    if len(pool.truth):
        last = len(pool.classes) - 1
        known = order[: pool.num_reference][pool.truth[order[: pool.num_reference]] != last]
        old, new = rest[pool.truth[rest] != last], rest[pool.truth[rest] == last]
        picks = [np.concatenate([rng.choice(old, 160, False), rng.choice(new, 40, False)]) for _ in range(windows)]
        found["new class (20%)"] = _detected("new class (20%)", make_profile(pool, known), pool.rows, picks, pool.truth)
        weights = np.where(pool.truth[rest] < len(pool.classes) // 2, 2.0, 1.0)
        picks = [rng.choice(rest, 500, False, weights / weights.sum()) for _ in range(windows)]
        found["2:1 prior (n=500)"] = _detected("2:1 prior (n=500)", profile, pool.rows, picks, pool.truth)
        picks = [rng.choice(rest, 500, False) for _ in range(windows)]
        found["none (n=500)"] = _detected("none (n=500)", profile, pool.rows, picks, pool.truth)
    return found


def _detected(
    name: str,
    profile: Profile,
    rows: Observations,
    picks: Sequence[npt.NDArray[np.integer]],
    truth: npt.NDArray[np.int64] | None,
) -> dict[str, object]:
    results = [check(profile, make_window(rows.take(pick)), SETTINGS) for pick in picks]
    detected = sum(result.status != "ok" for result in results)
    critical = sum(result.status == "critical" for result in results)
    tests = Counter(test for result in results for test in result.drifted).most_common(4)
    line: dict[str, object] = {"detected": detected, "critical": critical, "windows": len(picks), "tests": dict(tests)}
    text = f"{name:<18} {detected:>3}/{len(picks)} detected, {critical:>3} critical, AUC {_auc(results):.2f}"
    if truth is not None:
        line |= (accuracy := _accuracy(rows, truth, picks, results))
        text += f", accuracy {accuracy['true']:.3f}, mean confidence {accuracy['confidence']:.3f}"
        text += f", interval right {accuracy['covered']:.0%} of {accuracy['estimates']}"
    print(f"{text}; {', '.join(f'{test} {count}' for test, count in tests)}", flush=True)
    return line


def _accuracy(
    rows: Observations,
    truth: npt.NDArray[np.int64],
    picks: Sequence[npt.NDArray[np.integer]],
    results: list[DriftResult],
) -> dict[str, float]:
    """True accuracy and mean confidence; `covered` is the share of right intervals where there was an estimate."""
    right = rows.class_counts.argmax(axis=1) == truth
    true = [float(right[pick].mean()) for pick in picks]
    given = [
        (result.accuracy.lower <= value <= result.accuracy.upper, result.accuracy.value)
        for result, value in zip(results, true, strict=True)
        if result.accuracy.value is not None and result.accuracy.lower is not None and result.accuracy.upper is not None
    ]
    covered = float(np.mean([inside for inside, _ in given])) if given else float("nan")
    confidence = float(np.mean([rows.expected_scores[pick].mean() for pick in picks]))
    return {"true": float(np.mean(true)), "confidence": confidence, "estimates": len(given), "covered": covered}


def _auc(results: list[DriftResult]) -> float:
    return float(np.mean([test.effect for result in results for test in result.tests if test.effect_name == "AUC"]))


def _class_power() -> dict[str, float]:
    """Share of 400 simulated windows in which the class test alone finds a 2:1 prior, at its quarter of alpha.

    The stand-ins above are often wrong, which hides a change of the classes; this says what a better model would find.
    """
    rng, found = np.random.default_rng(0), {}
    prior = np.repeat([2.0, 1.0], 5) / 15
    for right in (0.6, 0.8, 0.9, 0.95, 1.0):
        confusion = np.full((10, 10), (1 - right) / 9)
        np.fill_diagonal(confusion, right)
        for num in (200, 500):
            low = 0
            for _ in range(400):
                sides = (rng.choice(10, 2000), rng.choice(10, num, p=prior @ confusion))
                reference, window = (np.eye(10, dtype=np.int32)[side] for side in sides)
                result = class_test(reference, window, permutations=1000, rng=rng)
                low += result.p is not None and result.p <= SETTINGS.alpha / 4
            found[f"right {right:.0%}, n={num}"] = low / 400
    print("2:1 prior, class test alone: " + ", ".join(f"{name}: {share:.0%}" for name, share in found.items()))
    return found


def _speed(pool: Pool) -> dict[str, float]:
    """CPU seconds of 10,000 rows: as one window with thinning, and as the tumbling windows they fill."""
    profile = make_profile(pool, np.arange(pool.num_reference))
    rows = pool.rows.take(np.random.default_rng(0).integers(0, len(pool.rows), 10_000))
    seconds = {}
    for name, size in (("one window", 10_000), ("windows of 200", 200)):
        settings = SETTINGS.model_copy(update={"window_images": size, "duplicate_bits": 0 if size == 200 else -1})
        started = time.process_time()
        for window in tumbling_windows(rows, settings):
            check(profile, window, settings)
        seconds[name] = time.process_time() - started
        print(f"10,000 rows as {name}: {seconds[name]:.1f} s CPU")
    return seconds


def _stored(pool: Pool) -> dict[str, float]:
    """Seconds from the database to the verdict: 10,000 stored predictions of darker images, in fifty windows."""
    rng = np.random.default_rng(0)
    chosen = np.arange(pool.num_reference, pool.num_reference + 1000)
    images = [darker(pool.images[index], rng) for index in chosen]
    task = load_task(pool.task)
    answers = zip(images, pool.answer(images, chosen.tolist()), strict=True)
    records = [observe(task, image, answer) for image, answer in answers]
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        digest = _write_bundle(root / "bundle", pool)
        variant = Variant(model="m", version="1", digest=digest, bundle=str(root / "bundle"))
        with closing(PredictionStore.open(StoreSettings(max_pending=20_000), root)) as store:
            for number in range(10_000):
                row = records[number % len(records)]
                store.log(
                    PredictionRow(
                        id=f"{number:032x}", created_at=now - timedelta(seconds=10_000 - number), task=pool.task,
                        model="m", version="1", digest=digest, variant="champion", request_id="r", image_sha256="0",
                        width=32, height=32, image_bytes=1, result={}, latency_ms=1.0, features=row.to_record(),
                        embedding=row.embedding.astype(np.float16).tobytes(),
                    )
                )  # fmt: skip
            store.flush(120)
            subject = Subject(task=pool.task, variant=variant, bundle=root / "bundle")
            cpu, wall = time.process_time(), time.perf_counter()
            found = check_traffic(store, subject, SETTINGS, since=now - timedelta(days=1), now=now)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    full = sum(window.result.status != "insufficient_data" for window in found.summary.windows)
    print(f"10,000 stored predictions, {full} windows, {found.summary.sentence()}: {cpu:.1f} s CPU, {wall:.1f} s")
    return {"stored, CPU": cpu, "stored, wall": wall}


def _write_bundle(root: Path, pool: Pool) -> str:
    """As far as a check opens it: manifest, hashes, profile. Its digest."""
    root.mkdir()
    (root / GRAPH).write_bytes(b"")
    parity = ParityReport(
        num_images=0, max_relative_error={}, tolerance={}, metric="", metric_framework=None, metric_bundle=None,
        max_metric_drop=0.0, passed=True,
    )  # fmt: skip
    values: dict[str, Any] = {
        "task": pool.task, "classes": pool.classes, "classes_hash": "", "recipe": Recipe(height=32, width=32),
        "outputs": (), "operating_point": {}, "model": {}, "dataset": {}, "training": {}, "parity": parity,
        "versions": {},
    }  # fmt: skip
    profile = make_profile(pool, np.arange(pool.num_reference))
    info = profile.info.model_copy(update={"model_digest": model_digest(write_manifest(root, **values))})
    replace(profile, info=info).save(root)
    write_manifest(root, **values)
    return Bundle.open(root).digest


def _feature_cost() -> float:
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(2)))
    times = []
    for _ in range(200):
        started = time.process_time()
        image_features(image)
        times.append(time.process_time() - started)
    return 1000 * float(np.median(times))


if __name__ == "__main__":
    main()
