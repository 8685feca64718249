"""Box arithmetic in numpy, and the one finishing function from dense outputs to detections."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from visionloop.core.images import Placement

Boxes = npt.NDArray[np.float32]
"""float32 [N,4], (x1, y1, x2, y2)."""

_PRE_NMS = 1000
_MIN_SIDE = 1.0


def iou_matrix(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Intersection over union of boxes [N,4] and [M,4], as [N,M] in [0, 1]; 0 where the union is empty."""
    intersection = _intersection(a, b)
    union = _area(a)[:, None] + _area(b)[None, :] - intersection
    iou: npt.NDArray[np.float64] = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    return iou


def covered_share(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Share of each of boxes [N,4] that each of [M,4] covers, as [N,M] in [0, 1]; 0 for a box without area."""
    intersection, area = _intersection(a, b), _area(a)[:, None]
    share: npt.NDArray[np.float64] = np.divide(intersection, area, out=np.zeros_like(intersection), where=area > 0)
    return share


def _intersection(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    a, b = np.asarray(a, np.float64).reshape(-1, 1, 4), np.asarray(b, np.float64).reshape(1, -1, 4)
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    area: npt.NDArray[np.float64] = sides.prod(axis=-1)
    return area


def _area(boxes: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    area: npt.NDArray[np.float64] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)
    return area


def nms(
    boxes: npt.NDArray[np.floating], class_ids: npt.NDArray[np.int64], threshold: float, *, limit: int | None = None
) -> npt.NDArray[np.int64]:
    """Greedy non-maximum suppression inside each class.

    Args:
        boxes: [N,4], in order of falling score.
        class_ids: [N].
        threshold: Boxes of one class with a larger IoU than this suppress the later one.
        limit: Most boxes kept; those of the highest scores.

    Returns:
        Indices kept, rising, hence in order of falling score.
    """
    kept: list[int] = []
    # Shifted apart by class, boxes of different classes never meet, and one pass serves all.
    span = float(boxes.max(initial=0.0) - min(boxes.min(initial=0.0), 0.0)) + 1.0
    apart = boxes.astype(np.float64) + (class_ids * span)[:, None]
    x1, y1, x2, y2 = np.ascontiguousarray(apart.T)
    areas = (x2 - x1) * (y2 - y1)
    alive = np.arange(len(boxes))
    while len(alive) and len(kept) != limit:
        first, rest = alive[0], alive[1:]
        kept.append(int(first))
        # Not `iou_matrix`: this loop is most of what a detection costs beside the graph.
        width = np.minimum(x2[first], x2[rest]) - np.maximum(x1[first], x1[rest])
        height = np.minimum(y2[first], y2[rest]) - np.maximum(y1[first], y1[rest])
        intersection = np.maximum(width, 0.0) * np.maximum(height, 0.0)
        alive = rest[intersection <= threshold * (areas[first] + areas[rest] - intersection)]
    return np.array(kept, np.int64)


def finish_detections(
    boxes: npt.NDArray[np.floating],
    scores: npt.NDArray[np.floating],
    placement: Placement,
    *,
    score_floor: float,
    nms_iou: float,
    max_detections: int,
) -> tuple[Boxes, npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """One image's dense outputs to detections.

    Args:
        boxes: [A,4] in input pixels.
        scores: [A,C] in [0, 1].
        placement: Where the image lies in the input.
        score_floor: Pairs of box and class below this are dropped.
        nms_iou: See `nms`.
        max_detections: Most detections returned.

    Returns:
        Boxes float32 [n,4] in image pixels inside the image, scores float32 [n] falling, class ids int64 [n].
    """
    anchors, class_ids = np.nonzero(scores > score_floor)
    values = scores[anchors, class_ids]
    order = np.argsort(-values, kind="stable")[:_PRE_NMS]
    anchors, class_ids, values = anchors[order], class_ids[order].astype(np.int64), values[order]
    found = placement.to_image(boxes[anchors])
    whole = ((found[:, 2:] - found[:, :2]) >= _MIN_SIDE).all(axis=1)
    found, class_ids, values = found[whole], class_ids[whole], values[whole]
    kept = nms(found, class_ids, nms_iou, limit=max_detections)
    return found[kept], values[kept].astype(np.float32), class_ids[kept]


class Truth(NamedTuple):
    """The objects of one image.

    Attributes:
        boxes: float32 [n,4] in image pixels.
        class_ids: int64 [n].
        ignored: bool [n]; finding such an object is neither right nor wrong, missing it no mistake.
    """

    boxes: Boxes
    class_ids: npt.NDArray[np.int64]
    ignored: npt.NDArray[np.bool_]


def judge(
    boxes: npt.NDArray[np.floating], class_ids: npt.NDArray[np.int64], truth: Truth
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which detections hit an object, and which count at all.

    Args:
        boxes: [n,4] in image pixels, in order of falling score.
        class_ids: [n].
        truth: The image's objects.

    Returns:
        Hits bool [n]; counted bool [n], False where a detection hits nothing but lies on an ignored object of
        its class with at least half of its area, which is COCO's rule for crowds.
    """
    counts = ~truth.ignored
    hit = match(boxes, class_ids, truth.boxes[counts], truth.class_ids[counts]) >= 0
    excused = covered_share(boxes, truth.boxes[truth.ignored]) >= 0.5
    excused &= class_ids[:, None] == truth.class_ids[truth.ignored][None, :]
    return hit, hit | ~excused.any(axis=1)


def match(
    boxes: npt.NDArray[np.floating],
    class_ids: npt.NDArray[np.int64],
    true_boxes: npt.NDArray[np.floating],
    true_ids: npt.NDArray[np.int64],
    *,
    threshold: float = 0.5,
) -> npt.NDArray[np.int64]:
    """Greedy matching of detections, in order of falling score, to true boxes of their class.

    Returns:
        For each detection the index of its true box, or -1; int64 [n].
    """
    ious = iou_matrix(boxes, true_boxes)
    ious[class_ids[:, None] != true_ids[None, :]] = 0.0
    partner = np.full(len(boxes), -1, np.int64)
    for index in range(len(boxes)):
        if ious.shape[1] and ious[index].max() >= threshold:
            best = int(ious[index].argmax())
            partner[index] = best
            ious[:, best] = 0.0
    return partner
