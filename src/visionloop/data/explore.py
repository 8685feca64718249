"""The explore stage: what a dataset holds, as one page of pictures and numbers."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from visionloop.core import files
from visionloop.core.plots import PALETTE, class_color, figure_png, figure_style, sequential_colormap
from visionloop.core.report import Picture, Report, Section, Table, render_report
from visionloop.core.tiles import Outline, Tile, make_tile, tile_sheet
from visionloop.data.prepare import FINDINGS
from visionloop.data.samples import SPLITS, Dataset, Sample

REPORT = "report.html"
_MEASURED = 2000
_GALLERY = 24
_SHOWN_FINDINGS = 50
_NAMED_CLASSES = 40
_NAME_LENGTH = 18
_SIZE = (5.0, 3.8)
"""Inches of a chart on half a page; all alike."""


def explore(dataset: Dataset, out_dir: Path) -> Path:
    """Write the report, its pictures and `summary.json`.

    Args:
        dataset: The dataset.
        out_dir: Where the folder appears, whole or not at all.

    Returns:
        Path of the HTML page.
    """
    samples = dataset.samples()
    measured = _evenly(samples, _MEASURED)
    light = np.array([_light(dataset, sample) for sample in measured])
    pictures = _pictures(dataset, samples, light)
    findings = _findings(dataset.root / FINDINGS)
    with files.new_folder(out_dir) as folder:
        for name, picture in pictures.items():
            (folder / f"{name}.png").write_bytes(picture.png_bytes)
        files.write_json(folder / "summary.json", _summary(dataset, samples, light, findings))
        page = render_report(_report(dataset, samples, pictures, findings))
        files.write_text(folder / REPORT, page)
    return out_dir / REPORT


def _evenly(samples: Sequence[Sample], limit: int) -> list[Sample]:
    if len(samples) <= limit:
        return list(samples)
    return [samples[index] for index in np.linspace(0, len(samples) - 1, limit).round().astype(int)]


def _light(dataset: Dataset, sample: Sample) -> tuple[float, float]:
    """Mean and standard deviation of the grey levels, in [0, 1]."""
    grey = dataset.read_image(sample).mean(axis=2) / 255.0
    return float(grey.mean()), float(grey.std())


def _boxes(samples: Sequence[Sample]) -> npt.NDArray[np.float64]:
    """Boxes relative to their image [n,4], all in [0, 1]; empty where objects have none."""
    rows = [
        np.array(item.box_xyxy) / (sample.width, sample.height, sample.width, sample.height)
        for sample in samples
        for item in sample.objects
        if item.box_xyxy is not None
    ]
    return np.array(rows, np.float64).reshape(-1, 4)


def _summary(
    dataset: Dataset, samples: Sequence[Sample], light: npt.NDArray[np.float64], findings: Sequence[dict[str, str]]
) -> dict[str, Any]:
    info = dataset.info
    return {
        "name": info.name,
        "content_hash": info.content_hash,
        "images": len(samples),
        "objects": sum(len(sample.objects) for sample in samples),
        "splits": info.split_counts,
        "classes": info.class_counts,
        "width": _range([sample.width for sample in samples]),
        "height": _range([sample.height for sample in samples]),
        "brightness_mean": float(light[:, 0].mean()),
        "contrast_mean": float(light[:, 1].mean()),
        "findings": len(findings),
    }


def _range(values: Sequence[int]) -> dict[str, float]:
    return {"min": float(min(values)), "median": float(np.median(values)), "max": float(max(values))}


def _findings(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _pictures(dataset: Dataset, samples: Sequence[Sample], light: npt.NDArray[np.float64]) -> dict[str, Picture]:
    boxes = _boxes(samples)
    makers: dict[str, tuple[Callable[[], Figure], str]] = {
        "classes": (lambda: _class_bars(dataset), "How often each class occurs, by split."),
        "light": (lambda: _light_histograms(light), f"Grey levels of {len(light):,} images spread over the dataset."),
    }
    if len(_distinct_sizes(samples)) > 1:
        caption = "Width and height of the images; larger dots are more images of that size."
        makers["sizes"] = (lambda: _sizes(samples), caption)
    if len(boxes):
        makers["objects"] = (lambda: _objects_per_image(samples), "How many objects an image holds.")
        makers["box_sizes"] = (lambda: _box_sizes(samples, dataset.classes), "Box sides as a share of the image's.")
        makers["box_centres"] = (lambda: _box_centres(boxes), "Where the boxes' centres lie in the image.")
    tiles = _gallery(dataset, samples)
    caption = "Images from every class, with what the annotators said below each."
    pictures = {"gallery": Picture(png_bytes=tile_sheet(tiles, columns=8), caption=caption, alt=caption, tiles=tiles)}
    for name, (make, caption) in makers.items():
        with figure_style():
            png = figure_png(make())
        pictures[name] = Picture(png_bytes=png, caption=caption, alt=caption, chart=True)
    return pictures


def _report(
    dataset: Dataset, samples: Sequence[Sample], pictures: dict[str, Picture], findings: Sequence[dict[str, str]]
) -> Report:
    info = dataset.info
    num_objects = sum(len(sample.objects) for sample in samples)
    present = [split for split in SPLITS if split in info.split_counts]
    rows = [
        [name, *(counts.get(split, 0) for split in present), sum(counts.values())]
        for name, counts in info.class_counts.items()
    ]
    shown = [
        [item["severity"], item["rule"], item["file"], item["record"], item["found"], item["expected"], item["action"]]
        for item in findings[:_SHOWN_FINDINGS]
    ]
    more = len(findings) - len(shown)
    boxes = [pictures[name] for name in ("objects", "box_sizes", "box_centres") if name in pictures]
    sizes = _distinct_sizes(samples)
    width, height = sizes[0]
    sections = [
        Section(title="A look", figures=[pictures["gallery"]]),
        Section(
            title="Classes and splits",
            text="A class that is rare in training is learned badly; one that is rare in the test is measured badly.",
            tables=[Table(columns=["class", *present, "all"], rows=rows, caption="Objects by class and split.")],
            figures=[pictures["classes"]],
        ),
        Section(
            title="Images",
            text=f"All have {width} x {height} pixels." if len(sizes) == 1 else f"They have {len(sizes):,} sizes.",
            figures=[pictures[name] for name in ("sizes", "light") if name in pictures],
        ),
    ]
    if boxes:
        sections.append(Section(title="Boxes", figures=boxes))
    sections.append(
        Section(
            title="Findings",
            text="What the check found in the source, and what was done about it."
            if findings
            else "The check found nothing wrong with the source.",
            tables=[
                Table(
                    columns=["severity", "rule", "file", "record", "found", "expected", "done"],
                    rows=shown,
                    caption=f"{more} more in findings.csv." if more > 0 else "",
                )
            ]
            if findings
            else (),
        )
    )
    source = info.provenance.get("settings", {}).get("source", {})
    origin = [["licence", info.licence or "not stated"], ["version", info.content_hash]]
    origin += [[key, str(value)] for key, value in source.items() if key in ("kind", "path")]
    sections.append(Section(title="Origin", tables=[Table(columns=["", ""], rows=origin)]))
    return Report(
        kind="Data report",
        title=info.name,
        subtitle=f"{len(samples):,} images, {num_objects:,} objects, {len(info.classes)} classes",
        facts=[
            *((split, f"{info.split_counts[split]:,}") for split in present),
            ("classes", str(len(info.classes))),
            ("objects", f"{num_objects:,}"),
            ("findings", str(len(findings))),
        ],
        sections=sections,
    )


def _distinct_sizes(samples: Sequence[Sample]) -> list[tuple[int, int]]:
    """Width and height of the images, each once."""
    return sorted({(sample.width, sample.height) for sample in samples})


def _axes(size: tuple[float, float], **texts: Any) -> tuple[Figure, Any]:
    figure = Figure(figsize=size, layout="constrained")
    axes: Any = figure.subplots()
    axes.set(**texts)
    return figure, axes


def _class_bars(dataset: Dataset) -> Figure:
    counts = dataset.info.class_counts
    names = sorted(counts, key=lambda name: -sum(counts[name].values()))[:_NAMED_CLASSES]
    figure, axes = _axes((_SIZE[0], 1.6 + 0.27 * len(names)), xlabel="objects")
    left = np.zeros(len(names))
    for index, split in enumerate(SPLITS):
        values = np.array([counts[name].get(split, 0) for name in names])
        axes.barh(names, values, left=left, color=PALETTE[index], label=split)
        left += values
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside upper left", ncols=len(SPLITS))
    return figure


def _sizes(samples: Sequence[Sample]) -> Figure:
    sizes, counts = np.unique([(sample.width, sample.height) for sample in samples], axis=0, return_counts=True)
    figure, axes = _axes(_SIZE, xlabel="width (px)", ylabel="height (px)", title="Image sizes")
    area = 20 + 300 * counts / counts.max()
    axes.scatter(sizes[:, 0], sizes[:, 1], s=area, alpha=0.55, color=PALETTE[0], edgecolor="white")
    axes.margins(0.12)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    return figure


def _light_histograms(light: npt.NDArray[np.float64]) -> Figure:
    figure, axes = _axes(_SIZE, xlabel="grey level (0 black, 1 white)", ylabel="images", title="Brightness, contrast")
    bins = np.linspace(0, 1, 41)
    axes.hist(light[:, 0], bins, alpha=0.65, color=PALETTE[0], label="brightness (mean)")
    axes.hist(light[:, 1], bins, alpha=0.65, color=PALETTE[1], label="contrast (deviation)")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(y=0.25)  # room for the legend above the tallest bar
    axes.legend(loc="upper right")
    return figure


def _objects_per_image(samples: Sequence[Sample]) -> Figure:
    figure, axes = _axes(_SIZE, xlabel="objects in an image", ylabel="images", title="Objects per image")
    counts = np.bincount([len(sample.objects) for sample in samples])
    axes.bar(np.arange(len(counts)), counts, color=PALETTE[0])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _box_sizes(samples: Sequence[Sample], classes: Sequence[str]) -> Figure:
    figure, axes = _axes(_SIZE, xlabel="of the image's width", ylabel="of the image's height", title="Box sizes")
    boxes = _boxes(samples)
    ids = np.array([item.class_id for sample in samples for item in sample.objects if item.box_xyxy is not None])
    chosen = np.linspace(0, len(boxes) - 1, min(len(boxes), 5000)).round().astype(int)
    sides = boxes[chosen, 2:] - boxes[chosen, :2]
    # More classes than colours: a colour would say nothing.
    named = len(classes) <= len(PALETTE)
    colours = [class_color(int(class_id) if named else 0) for class_id in ids[chosen]]
    axes.scatter(sides[:, 0], sides[:, 1], s=7, alpha=0.45, c=colours, linewidth=0)
    axes.set(xlim=(0, None), ylim=(0, None))
    _in_percent(axes)
    if named:
        present = sorted(set(ids.tolist()))
        dots = [Line2D([], [], marker="o", linestyle="", color=class_color(class_id)) for class_id in present]
        figure.legend(dots, [_short(classes[class_id]) for class_id in present], loc="outside right upper")
    return figure


def _in_percent(axes: Any) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"


def _box_centres(boxes: npt.NDArray[np.float64]) -> Figure:
    figure, axes = _axes(_SIZE, xlabel="of the image's width", ylabel="of the image's height", title="Box centres")
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    heat, _, _ = np.histogram2d(centres[:, 1], centres[:, 0], bins=24, range=((0, 1), (0, 1)))
    image = axes.imshow(heat, extent=(0, 1, 1, 0), cmap=sequential_colormap(), aspect="auto")
    axes.grid(visible=False)
    _in_percent(axes)
    figure.colorbar(image, ax=axes, label="boxes", ticks=MaxNLocator(nbins=6, integer=True))
    return figure


def _gallery(dataset: Dataset, samples: Sequence[Sample]) -> list[Tile]:
    tiles = []
    for sample in _per_class(samples, len(dataset.classes)):
        names = list(dict.fromkeys(dataset.classes[item.class_id] for item in sample.objects))
        title = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
        outlines = [
            Outline(box_xyxy=item.box_xyxy, color=class_color(item.class_id))
            for item in sample.objects
            if item.box_xyxy is not None
        ]
        tiles.append(make_tile(dataset.read_image(sample), title or "nothing", outlines=outlines))
    return tiles


def _per_class(samples: Sequence[Sample], num_classes: int) -> list[Sample]:
    """Up to `_GALLERY` images, taking the classes in turn; of any kind where none shows a class."""
    waiting: list[list[Sample]] = [[] for _ in range(num_classes)]
    for sample in _evenly(samples, 4000):
        for class_id in {item.class_id for item in sample.objects}:
            waiting[class_id].append(sample)
    chosen: dict[str, Sample] = {}
    for turn in range(_GALLERY):
        for queue in waiting:
            # Spread over each class's images, which lie in order of id.
            position = (turn * 7919) % max(1, len(queue))
            if queue and len(chosen) < _GALLERY:
                chosen.setdefault(queue[position].id, queue[position])
    return list(chosen.values()) or _evenly(samples, _GALLERY)
