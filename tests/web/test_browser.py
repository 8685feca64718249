"""The page in Chromium against the real service with real bundles: runs the Playwright suite of web/e2e.

`SCREENSHOTS=folder` keeps pictures of what was seen; `PLAYWRIGHT_ARGS` is passed on, such as `-g camera`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.web import WEB, install, node_environment, node_folder
from tests.serving.conftest import variant
from tests.serving.live import Server
from tests.web.catalog import write_catalog
from tests.web.watched import DIGESTS, watch
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Lineup
from visionloop.core.errors import VisionloopError
from visionloop.serving.keys import create_key
from visionloop.serving.page import STATIC

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not CHROMIUM, reason="no Chromium: install the package `chromium`, or name one in CHROMIUM, to test the page"
    ),
    pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page is not built: run `make web`"),
]


def _served(folder: Path, bundles: dict[str, Path], serving: dict[str, Any] | None = None) -> Server:
    for task in ("classification", "detection"):
        lineup = Lineup(champion=variant(bundles[task]))
        deployment.change(folder / "mlruns/deployment.json", task, lambda _, lineup=lineup: lineup)  # type: ignore[misc]
    write_catalog(folder, datetime.now(UTC))
    return Server(folder, serving)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Path]) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("service")
    # No pictures: what is to be labelled is for the tests of that panel to send.
    digests = DIGESTS | {"1": variant(bundles["classification"]).digest}
    watch(folder, datetime.now(UTC), digests, pictures=False)
    found = _served(folder, bundles)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Path]) -> Iterator[tuple[Server, str]]:
    """A service that asks for keys and lets few requests through, with a key."""
    folder = tmp_path_factory.mktemp("guarded")
    _, secret = create_key(folder / "mlruns/keys.json", "page", "feedback", datetime.now(UTC))
    found = _served(folder, bundles, {"workers": 1, "keys": {"required": True, "requests_per_minute": 60}})
    yield found, secret
    found.stop()


def test_the_page_in_a_browser(server: Server, guarded: tuple[Server, str], tmp_path: Path) -> None:
    try:
        install()
    except VisionloopError as error:
        pytest.skip(f"the packages of the browser tests are not there: {error}")
    environment = {
        **node_environment(),
        "VISIONLOOP_URL": server.url,
        "VISIONLOOP_GUARDED_URL": guarded[0].url,
        "VISIONLOOP_KEY": guarded[1],
        "CHROMIUM": CHROMIUM,
        "PLAYWRIGHT_OUTPUT": str(tmp_path / "playwright"),
    }
    arguments = shlex.split(os.environ.get("PLAYWRIGHT_ARGS", ""))
    command = [str(node_folder() / "node"), "node_modules/@playwright/test/cli.js", "test", *arguments]
    done = subprocess.run(command, cwd=WEB, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


def test_the_logic_of_the_page() -> None:
    try:
        install()
    except VisionloopError as error:
        pytest.skip(f"the packages of the page's tests are not there: {error}")
    command = [str(node_folder() / "node"), "node_modules/vitest/vitest.mjs", "run"]
    done = subprocess.run(command, cwd=WEB, env=node_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
