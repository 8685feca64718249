from __future__ import annotations

import pytest
from pydantic import Field

from visionloop.core.errors import ConfigError
from visionloop.core.settings import Settings, parse_settings


class Inner(Settings):
    rate: float = Field(default=0.1, gt=0)
    names: tuple[str, ...] = ()


class Outer(Settings):
    epochs: int = 3
    inner: Inner = Inner()


def test_yaml_like_values_are_accepted() -> None:
    parsed = parse_settings(Outer, {"epochs": 5, "inner": {"rate": 1, "names": ["a"]}}, where="conf")
    assert parsed == Outer(epochs=5, inner=Inner(rate=1.0, names=("a",)))


def test_every_mistake_is_reported_at_once_with_its_dotted_key() -> None:
    values = {"epochs": "5", "epoch": 3, "inner": {"rate": -1, "rat": 2}}
    with pytest.raises(ConfigError) as caught:
        parse_settings(Outer, values, where="conf/x.yaml", prefix="detection.training")
    what = caught.value.what
    assert what.startswith("4 settings are wrong:")
    assert "detection.training.epochs: must be a valid integer, found '5' (str)" in what
    assert "detection.training.epoch: unknown key; did you mean epochs?" in what
    assert "detection.training.inner.rate: must be greater than 0, found -1 (int)" in what
    assert "detection.training.inner.rat: unknown key; did you mean rate?" in what
    assert caught.value.where == "conf/x.yaml"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Outer().epochs = 4  # type: ignore[misc]
