"""What no row may be."""

from __future__ import annotations

import pytest

from tests.monitoring.rows import NOW, feedback, prediction


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        prediction(created_at=NOW.replace(tzinfo=None))


def test_an_unknown_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="verdict must be one of right, wrong, corrected, found 'maybe'"):
        feedback(verdict="maybe")
