from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from visionloop.core.images import Recipe
from visionloop.tasks.detection.boxes import Truth, finish_detections, iou_matrix, judge, match, nms

corners = arrays(np.float32, st.tuples(st.integers(1, 12), st.just(4)), elements=st.floats(0, 100, width=16))


def sorted_corners(values: np.ndarray) -> np.ndarray:
    low, high = np.minimum(values[:, :2], values[:, 2:]), np.maximum(values[:, :2], values[:, 2:])
    return np.concatenate([low, high + 1], axis=1)


@settings(max_examples=80, deadline=None)
@given(corners, corners)
def test_iou_is_symmetric_and_in_range(a: np.ndarray, b: np.ndarray) -> None:
    a, b = sorted_corners(a), sorted_corners(b)
    ious = iou_matrix(a, b)
    assert np.allclose(ious, iou_matrix(b, a).T)
    assert ((ious >= 0) & (ious <= 1 + 1e-9)).all()
    assert np.allclose(np.diag(iou_matrix(a, a)), 1)


def test_iou_by_hand() -> None:
    assert iou_matrix(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2], [2, 2, 3, 3]])).tolist() == [[1 / 3, 0.0]]


@settings(max_examples=80, deadline=None)
@given(corners, st.floats(0.1, 0.9))
def test_nms_keeps_the_best_and_no_two_that_overlap(values: np.ndarray, threshold: float) -> None:
    boxes = sorted_corners(values)
    class_ids = np.arange(len(boxes)) % 2
    kept = nms(boxes, class_ids, threshold)
    assert kept[0] == 0
    assert (np.diff(kept) > 0).all()
    ious = iou_matrix(boxes[kept], boxes[kept])
    same = class_ids[kept][:, None] == class_ids[kept][None, :]
    np.fill_diagonal(same, False)
    assert (ious[same] <= threshold + 1e-6).all()


def test_finishing_maps_to_the_image_clips_and_sorts() -> None:
    place = Recipe(height=100, width=100).place(200, 50)
    boxes = np.array([[10, 10, 20, 20], [90, 90, 120, 120], [10, 10, 20, 21], [5, 5, 5.1, 9]], np.float32)
    scores = np.array([[0.2, 0.0], [0.0, 0.9], [0.6, 0.0], [0.7, 0.0]], np.float32)
    found, values, class_ids = finish_detections(boxes, scores, place, score_floor=0.1, nms_iou=0.5, max_detections=10)
    assert values.tolist() == [np.float32(0.9), np.float32(0.6)]
    assert class_ids.tolist() == [1, 0]
    assert np.allclose(found, [[180, 45, 200, 50], [20, 5, 40, 10.5]])


def test_nothing_above_the_floor() -> None:
    place = Recipe(height=100, width=100).place(100, 100)
    found, values, class_ids = finish_detections(
        np.zeros((3, 4), np.float32),
        np.zeros((3, 2), np.float32),
        place,
        score_floor=0.1,
        nms_iou=0.5,
        max_detections=9,
    )
    assert (found.shape, values.shape, class_ids.shape) == ((0, 4), (0,), (0,))


def test_each_true_box_is_matched_once() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], np.float32)
    partner = match(boxes, np.array([0, 0, 1]), boxes[[0, 2]], np.array([0, 0]))
    assert partner.tolist() == [0, -1, -1]


def test_a_find_on_an_ignored_object_neither_hits_nor_counts() -> None:
    truth = Truth(
        boxes=np.array([[0, 0, 10, 10], [50, 50, 150, 150]], np.float32),
        class_ids=np.array([0, 0]),
        ignored=np.array([False, True]),
    )
    boxes = np.array([[0, 0, 10, 10], [60, 60, 90, 90], [60, 60, 90, 90], [200, 200, 220, 220]], np.float32)
    hit, counted = judge(boxes, np.array([0, 0, 1, 0]), truth)
    assert hit.tolist() == [True, False, False, False]
    # Inside the crowd's box, of its class: excused. Of another class, or elsewhere: wrong.
    assert counted.tolist() == [True, False, True, True]
