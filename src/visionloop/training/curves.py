"""The picture of a training: loss and validation metric by epoch."""

from __future__ import annotations

from collections.abc import Sequence


def training_curves(rows: Sequence[dict[str, float]], metric: str, best_epoch: int) -> bytes:
    """PNG with the training loss, the validation metric and the epoch that was kept.

    Args:
        rows: As `History.rows`.
        metric: Logged name of the validation metric, such as `val/accuracy`.
        best_epoch: From 1.
    """
    from matplotlib.figure import Figure

    from visionloop.core.plots import PALETTE, figure_png, figure_style

    column = metric.replace("/", "_")
    with figure_style():
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot([row["epoch"] for row in rows], [row.get("train_loss") for row in rows], color=PALETTE[0])
        left.set(title="Training loss", xlabel="epoch", ylabel="loss")
        scored = [row for row in rows if column in row]
        right.plot([row["epoch"] for row in scored], [row[column] for row in scored], color=PALETTE[1])
        right.axvline(best_epoch, color="0.6", linestyle=":", label=f"kept: epoch {best_epoch}")
        right.set(title=f"Validation {metric.split('/')[-1]}", xlabel="epoch", ylabel=metric.split("/")[-1])
        right.legend(loc="lower right")
        return figure_png(figure)
