from __future__ import annotations

import pytest

from visionloop.core.errors import ConfigError
from visionloop.core.settings import parse_settings
from visionloop.registry.settings import RegistrySettings


@pytest.mark.parametrize("pattern", ["{task}", "{dataset}-{task}", "shop-{task}"])
def test_patterns_of_model_names(pattern: str) -> None:
    assert RegistrySettings(model_name=pattern).model_name == pattern


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{dataset}", "must contain {task}"),
        ("{task}-{user}", "must have no other fields than {dataset} and {task}"),
        ("{task}-{", "must have no other fields than {dataset} and {task}"),
    ],
)
def test_a_pattern_that_cannot_be_filled_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings(RegistrySettings, {"model_name": pattern}, where="conf", prefix="registry")
    assert f"registry.model_name: {words}, found '{pattern}'" in caught.value.what
