from __future__ import annotations

import numpy as np
import pytest

from visionloop.monitoring.drift.observations import Observations
from visionloop.monitoring.drift.windows import (
    Status,
    alarm,
    client_cap,
    distinct,
    natural_duplicate_bits,
    tumbling_windows,
)
from visionloop.monitoring.settings import DriftSettings

SETTINGS = DriftSettings(window_images=200)


def rows(hashes: np.ndarray, clients: list[str | None] | None = None) -> Observations:
    num = len(hashes)
    return Observations(
        ids=tuple(map(str, range(num))),
        scalars={"brightness": np.arange(num, dtype=np.float64)},
        class_counts=np.ones((num, 1), np.int32),
        embeddings=np.zeros((num, 2), np.float32),
        expected_scores=np.full(num, np.nan),
        dhash=hashes.astype(np.uint64),
        clients=tuple(clients or [None] * num),
    )


def hashes(num: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, num, dtype=np.uint64)


def test_windows_follow_each_other_without_overlap() -> None:
    windows = tumbling_windows(rows(hashes(450)), SETTINGS)
    assert [(window.first, window.last, window.complete) for window in windows] == [
        (0, 199, True),
        (200, 399, True),
        (400, 449, False),
    ]
    assert windows[1].observations.ids[0] == "200"


@pytest.mark.parametrize("num", [0, 1])
def test_hardly_any_rows_are_one_incomplete_window(num: int) -> None:
    (window,) = tumbling_windows(rows(hashes(num)), SETTINGS)
    assert (len(window.observations), window.num_seen, window.complete) == (num, num, False)


def test_frames_of_a_standing_camera_count_once() -> None:
    scenes = np.repeat(hashes(150), 20)
    flicker = np.left_shift(np.uint64(1), np.random.default_rng(1).integers(0, 64, len(scenes), dtype=np.uint64))
    (window,) = tumbling_windows(rows(scenes ^ flicker), SETTINGS)
    assert len(window.observations) == 150
    assert window.num_duplicates == 150 * 19
    assert not window.complete


def test_a_profile_lowers_the_distance_and_never_raises_it() -> None:
    near = np.array([0, 1, 0b111111], np.uint64)
    assert len(tumbling_windows(rows(near), SETTINGS)[0].observations) == 2
    assert len(tumbling_windows(rows(near), SETTINGS, duplicate_bits=0)[0].observations) == 3
    assert len(tumbling_windows(rows(near), SETTINGS, duplicate_bits=16)[0].observations) == 2


def test_no_client_fills_more_than_its_share() -> None:
    rng = np.random.default_rng(2)
    clients: list[str | None] = [*["flood"] * 1000, *(f"client {number}" for number in rng.integers(0, 40, 400))]
    order = rng.permutation(len(clients))
    windows = tumbling_windows(rows(hashes(1400), [clients[index] for index in order]), SETTINGS)
    assert windows[0].complete
    for window in windows:
        assert window.observations.clients.count("flood") <= 10
    assert windows[0].num_capped > 100


def test_few_clients_share_alike() -> None:
    assert client_cap([None, None], SETTINGS) == 200
    assert client_cap(["a", "b", "a"], SETTINGS) == 100
    assert client_cap(["a", None], SETTINGS) == 100
    assert client_cap(tuple(map(str, range(20))), SETTINGS) == 10
    assert client_cap([str(number) for number in range(500)], SETTINGS) == 10


def test_distinct_images_whose_hashes_say_little_are_not_thinned() -> None:
    assert natural_duplicate_bits(hashes(1000), 4) == 4
    crowded = np.random.default_rng(3).integers(0, 2**7, 1000, dtype=np.uint64)
    assert natural_duplicate_bits(crowded, 4) == -1
    assert len(distinct(crowded, -1)) == 1000


def test_two_of_three_windows_alarm() -> None:
    cases: list[tuple[list[Status], bool]] = [
        ([], False),
        (["drift"], False),
        (["drift", "critical"], True),
        (["drift", "ok", "drift"], True),
        (["drift", "ok", "ok", "drift"], False),
        (["drift", "insufficient_data", "ok", "insufficient_data", "drift"], True),
    ]
    for history, expected in cases:
        assert alarm(history, SETTINGS) is expected, history
