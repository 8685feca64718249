"""The HTML page of a drift check: the verdict, when, what changed, and the pictures that look new."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from visionloop.core.comparisons import Distribution, Moment, distributions, paired_shares, timeline
from visionloop.core.gallery import Kin, kin_sheet
from visionloop.core.images import ImageArray
from visionloop.core.plots import PALETTE
from visionloop.core.report import Picture, Report, Section, Table, Tag, render_report
from visionloop.monitoring.drift.profile import Profile
from visionloop.monitoring.drift.render import number_text, p_text, words
from visionloop.monitoring.drift.result import DriftResult, TestReport
from visionloop.monitoring.drift.summary import DriftSummary
from visionloop.monitoring.drift.traffic import Sent
from visionloop.monitoring.drift.windows import Status

_SHOWN_WINDOWS = 12
_SHOWN_CLASSES = 24
_TONES: dict[Status, Literal["good", "warning", "bad", "neutral"]] = {
    "ok": "good", "drift": "warning", "critical": "bad", "insufficient_data": "neutral",
}  # fmt: skip
_COLOURS: dict[Status, str] = {
    "ok": PALETTE[2], "drift": PALETTE[1], "critical": PALETTE[3], "insufficient_data": PALETTE[9],
}  # fmt: skip
_EFFECTS = {"D": "D", "V": "V", "MMD2": "MMD²", "AUC": "AUC"}
_WORDS: dict[Status, str] = {
    "ok": "no drift", "drift": "drift", "critical": "critical", "insufficient_data": "not full",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Where pictures come from.

    Attributes:
        sent: A kept image by its SHA-256, or None.
        reference: A reference image by its id, or None.
    """

    sent: Callable[[str], ImageArray | None]
    reference: Callable[[str], ImageArray | None]


def drift_report(
    summary: DriftSummary, profile: Profile, sent: Mapping[str, Sent], pictures: Pictures, *, critical_auc: float
) -> str:
    """One self-contained HTML page.

    Args:
        summary: The check.
        profile: What it was compared with.
        sent: What is known of the predictions, by id.
        pictures: Where pictures come from.
        critical_auc: As in the settings of drift.
    """
    result = summary.latest.result
    verdict = "Not judged" if summary.alarm is None else "Drift" if summary.alarm else "No drift"
    sections = [_windows(summary, critical_auc)]
    if result.tests:
        sections += [_numbers(result), _answers(result), _new_images(result, sent, pictures)]
    sections += [_accuracy(result), _measured_on(summary, profile)]
    return render_report(
        Report(
            kind="Drift report",
            title=f"{verdict}: {summary.model} {summary.version}",
            subtitle=f"{summary.sentence()[0].upper()}{summary.sentence()[1:]}. {summary.num_measured:,} predictions "
            f"since {summary.since:%Y-%m-%d %H:%M} UTC against {result.num_reference:,} held-out images.",
            facts=_facts(summary),
            sections=sections,
        )
    )


def _facts(summary: DriftSummary) -> list[tuple[str, object]]:
    result, estimate = summary.latest.result, summary.latest.result.accuracy
    tone: Literal["good", "warning", "bad", "neutral"] = "neutral"
    if summary.alarm is not None:
        tone = "good" if not summary.alarm else "bad" if summary.severity == "critical" else "warning"
    word = {None: "not judged", False: "none", True: summary.severity or "warning"}[summary.alarm]
    tested = [test for test in result.tests if test.outcome == "tested"]
    auc = _auc(result)
    facts: list[tuple[str, object]] = [
        ("alarm", Tag(text=word, tone=tone)),
        ("windows that drifted", f"{summary.num_drifted} of {summary.num_looked_at}"),
        ("tests that drifted, latest window", f"{len(result.drifted)} of {len(tested)}"),
        ("told from the reference (AUC)", "" if auc is None else f"{auc:.2f}"),
    ]
    if estimate.value is not None and estimate.lower is not None and estimate.upper is not None:
        facts.append((f"estimated {estimate.metric}", f"{100 * estimate.value:.1f}%"))
        facts.append(("95% interval of it", f"{100 * estimate.lower:.1f} to {100 * estimate.upper:.1f}%"))
    else:
        facts.append((f"estimated {estimate.metric}", Tag(text=estimate.status.replace("_", " "), tone="neutral")))
    return facts


def _windows(summary: DriftSummary, critical_auc: float) -> Section:
    windows = summary.windows[-_SHOWN_WINDOWS:]
    rows: list[list[object]] = []
    for window in reversed(windows):
        result = window.result
        names = ", ".join(words(test) for test in _by_weight(result) if test.drifted)
        auc = _auc(result)
        rows.append(
            [
                _time(window.first_at),
                _time(window.last_at),
                Tag(text=_WORDS[result.status], tone=_TONES[result.status]),
                f"{result.num_images} of {result.num_seen}",
                "" if auc is None else f"{auc:.2f}",
                names or "\u2013",
            ]
        )
    moments = [
        Moment(at=window.last_at, value=auc, colour=_COLOURS[window.result.status])
        for window in summary.windows
        if window.last_at is not None and (auc := _auc(window.result)) is not None
    ]
    figures = []
    if len(moments) > 1:
        caption = (
            "How well a classifier tells the images of each window from the reference, by their embeddings: 0.5 not at "
            "all, 1 always. Green: no test of the window drifted; amber: some; red: critical, above the dashed line."
        )
        png = timeline(moments, label="AUC", limit=critical_auc, low=0.4, high=1.0)
        figures.append(Picture(png_bytes=png, caption=caption, alt="AUC of each window over time", chart=True))
    needed = "An alarm needs several windows of the latest few, so that an odd hour is no alarm."
    return Section(
        title="Windows",
        text=f"Windows of {summary.latest.result.num_required} distinct images follow each other. {needed}",
        tables=[
            Table(
                columns=["from (UTC)", "to (UTC)", "verdict", "distinct of all", "AUC", "what drifted"],
                rows=rows,
                caption="Newest first. " + " ".join(f"{remark[0].upper()}{remark[1:]}." for remark in summary.remarks),
            )
        ],
        figures=figures,
    )


def _numbers(result: DriftResult) -> Section:
    shown = [test for test in _by_weight(result) if test.outcome == "tested"]
    rows = [
        [
            words(test),
            Tag(text="drift" if test.drifted else "same", tone="warning" if test.drifted else "good"),
            p_text(test.p_adjusted),
            "" if test.effect is None else f"{_EFFECTS[test.effect_name]}\u00a0{test.effect:.3f}",
            number_text(test.reference_median),
            number_text(test.window_median),
            test.meaning or {"embedding": "images as the model sees them", "answer": "of the answers"}[test.subject],
        ]
        for test in shown
    ]
    untested = [f"{words(test)} ({test.outcome.replace('_', ' ')})" for test in result.tests if test not in shown]
    caption = f"Adjusted by Holm over all tests of the window, {result.alpha:g} for the whole window."
    if untested:
        caption += f" Not tested: {', '.join(untested)}."
    panels = [
        Distribution(
            title=words(test),
            note=f"D {test.effect:.2f}, p {p_text(test.p_adjusted)}" if test.effect is not None else "",
            unit=test.unit,
            edges=test.histogram.edges,
            before=test.histogram.reference,
            after=test.histogram.window,
            changed=test.drifted,
        )
        for test in shown
        if test.histogram is not None
    ]
    figures = []
    if panels:
        png = distributions(panels, before="reference", after="latest window")
        text = "Shares of images; the outer bins hold everything beyond them. Amber: the difference is significant."
        figures.append(Picture(png_bytes=png, caption=text, alt="distributions of each number", chart=True))
    columns = ["", "verdict", "p, adjusted", "effect", "reference", "window", "what it is"]
    return Section(
        title="What changed",
        text="The latest full window against the reference: numbers of the images and of the answers, most significant "
        "first. Medians stand under reference and window.",
        tables=[Table(columns=columns, rows=rows, caption=caption)],
        figures=figures,
    )


def _answers(result: DriftResult) -> Section:
    shown = sorted(result.classes, key=lambda share: -max(share.reference, share.window))[:_SHOWN_CLASSES]
    kept = [share for share in result.classes if share in shown]
    totals = [max(1, sum(share.reference for share in result.classes)), max(1, sum(s.window for s in result.classes))]
    drifted = any(test.name == "classes" and test.drifted for test in result.tests)
    png = paired_shares(
        [share.name for share in kept],
        [share.reference / totals[0] for share in kept],
        [share.window / totals[1] for share in kept],
        sides=("reference", "latest window"),
        changed=drifted,
    )
    caption = "What the model answers, not what is true. " + " ".join(
        f"{remark[0].upper()}{remark[1:]}." for remark in result.remarks
    )
    if len(kept) < len(result.classes):
        caption += f" The {len(kept)} most frequent of {len(result.classes)} classes."
    picture = Picture(png_bytes=png, caption=caption.strip(), alt="share of each class on both sides", chart=True)
    return Section(title="Predicted classes", text="", figures=[picture])


def _new_images(result: DriftResult, sent: Mapping[str, Sent], pictures: Pictures) -> Section:
    title = "Pictures that look new"
    if not result.newest:
        return Section(title=title, text="None: embeddings were not tested, or no pictures were asked for.")
    groups, num_kept, num_reference = [], 0, 0
    for new in result.newest:
        known = sent.get(new.id)
        image = pictures.sent(known.image_sha256) if known else None
        nearest = [pictures.reference(id_) for id_ in new.nearest_reference]
        num_kept += image is not None
        num_reference += any(found is not None for found in nearest)
        said = f"{known.top_class} ({100 * known.confidence:.0f}%)" if known and known.confidence is not None else ""
        groups.append(
            Kin(image=image, caption=said or "nothing found", nearest=nearest, nearest_caption=f"new: {new.score:.0%}")
        )
    rows = [
        [new.id, f"{sent[new.id].created_at:%Y-%m-%d %H:%M}" if new.id in sent else "", f"{new.score:.1%}",
         ", ".join(new.nearest_reference)]
        for new in result.newest
    ]  # fmt: skip
    lines = [
        "The images of the latest full window that a classifier most surely takes for none of the reference, each with "
        "the three reference images nearest to it by embedding."
    ]
    if not num_kept:
        lines.append(
            "Their pictures were not kept: serving.images.keep is off, the requests said store=false, or they were "
            "deleted."
        )
    if not num_reference:
        lines.append("The reference images are not at hand here: the dataset lies where the model was trained.")
    figures = []
    if num_kept or num_reference:
        caption = (
            "Large: what was sent, with the answer below it. Small: the reference images nearest to it. New: the share "
            "of reference images that look more like the reference than it does."
        )
        png = kin_sheet(groups)
        figures.append(Picture(png_bytes=png, caption=caption, alt="new images beside reference images"))
    columns = ["prediction", "answered (UTC)", "newer than", "nearest reference images"]
    return Section(
        title=title, text=" ".join(lines), tables=[Table(columns=columns, rows=rows)] if not figures else [],
        figures=figures,
    )  # fmt: skip


def _accuracy(result: DriftResult) -> Section:
    estimate = result.accuracy
    if estimate.value is None or estimate.lower is None or estimate.upper is None:
        state = {"not_valid": "Not valid", "unavailable": "Not available"}.get(estimate.status, "")
        text = f"{state}: {estimate.reason}."
    else:
        text = (
            f"{100 * estimate.value:.1f}%, between {100 * estimate.lower:.1f} and {100 * estimate.upper:.1f}% "
            f"({estimate.confidence:.0%}): {estimate.reason}. It is an estimate, not a measurement, and is withdrawn "
            "as soon as embeddings drift: a model can be sure of itself and wrong."
        )
    return Section(title="Estimated accuracy without labels", text=text)


def _measured_on(summary: DriftSummary, profile: Profile) -> Section:
    info, result = profile.info, summary.latest.result
    of_split = f"{info.num_images} of {info.num_available} images of the {info.split} split of {info.dataset}"
    small = ", fewer than a profile should have: only gross drift is found" if info.small else ""
    left_out = f"{result.num_duplicates} near duplicates and {result.num_capped} beyond their client's share left out"
    rows: list[Sequence[object]] = [
        ["model", f"{summary.model}, version {summary.version}, bundle {summary.digest[:12]}"],
        ["reference", of_split + small],
        ["predictions", f"{summary.num_measured} measured of {summary.num_stored} stored"],
        ["checked at", f"{summary.created_at:%Y-%m-%d %H:%M} UTC"],
        ["latest window", f"{result.num_images} distinct of {result.num_seen} images; {left_out}"],
        ["false alarms", f"at most {result.alpha:.0%} of windows without drift, by the tests' construction"],
    ]
    return Section(title="What it was measured on", text="Enough to check it again.",
                   tables=[Table(columns=["", ""], rows=rows)])  # fmt: skip


def _by_weight(result: DriftResult) -> list[TestReport]:
    return sorted(result.tests, key=lambda test: (not test.drifted, test.p_adjusted is None, test.p_adjusted or 0.0))


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%b %d, %H:%M}".replace(" ", "\u00a0")


def _auc(result: DriftResult) -> float | None:
    return next((test.effect for test in result.tests if test.effect_name == "AUC"), None)
