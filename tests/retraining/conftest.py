from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.evaluation.conftest import brightness  # noqa: F401
from tests.registry.conftest import fresh_database, project, root  # noqa: F401
from tests.retraining.fake import Killed
from visionloop.registry import champions


@pytest.fixture
def killed_promoting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Calls what promotes a version, and kills it between the champion's alias and the pointer."""

    def die(*_: object) -> None:
        raise Killed

    def call(promote: Callable[[], object]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(champions, "point_to_champion", die)
            with pytest.raises(Killed):
                promote()

    return call
