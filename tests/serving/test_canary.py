from __future__ import annotations

from visionloop.serving.canary import CanaryWatch
from visionloop.serving.settings import CanarySettings

SETTINGS = CanarySettings(window=100, min_requests=10, max_error_rate=0.05, max_latency_ratio=2.0, min_agreement=0.7)


def watch(*, seconds: float = 0.01, errors: int = 0, agreement: float = 1.0, count: int = 40) -> CanaryWatch:
    found = CanaryWatch(SETTINGS)
    for number in range(count):
        found.answered(0.01, by_canary=False)
        if number < errors:
            found.failed()
        else:
            found.answered(seconds, by_canary=True)
        found.compared(agreement)
    return found


def test_a_good_canary_goes_on() -> None:
    assert watch().verdict() is None


def test_each_fault_stops_it() -> None:
    assert "failed" in str(watch(errors=4).verdict())
    assert "agrees" in str(watch(agreement=0.5).verdict())
    assert "times as long" in str(watch(seconds=0.05).verdict())


def test_too_few_requests_say_nothing() -> None:
    assert watch(errors=9, agreement=0.0, count=9).verdict() is None


def test_old_requests_are_forgotten() -> None:
    found = watch(errors=40)
    assert found.verdict() is not None
    for _ in range(100):
        found.answered(0.01, by_canary=True)
    assert found.verdict() is None
