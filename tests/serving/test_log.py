from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from visionloop.serving.log import log_request, start_log


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    logger = logging.getLogger("visionloop")
    before = logger.level, logger.handlers[:], logger.propagate
    yield
    logger.level, logger.handlers[:], logger.propagate = before
    logger.setLevel(before[0])


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_requests_warnings_and_traces_are_objects(capsys: pytest.CaptureFixture[str]) -> None:
    start_log("info")
    log_request(status=200, seconds=0.0125, request_id='a"b')
    logging.getLogger("visionloop.elsewhere").warning("two\nlines %s", "é")
    try:
        raise ValueError("inner")
    except ValueError:
        logging.getLogger("visionloop.elsewhere").exception("failed")
    request, warning, error = lines(capsys)
    assert {name: request[name] for name in ("level", "event", "status", "request_id", "ms")} == {
        "level": "info", "event": "request", "status": 200, "request_id": 'a"b', "ms": 12.5,
    }  # fmt: skip
    assert (warning["level"], warning["logger"], warning["message"]) == (
        "warning",
        "visionloop.elsewhere",
        "two\nlines é",
    )
    assert "ValueError: inner" in str(error["trace"])


def test_a_level_leaves_out_what_is_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    start_log("warning")
    log_request(status=200)
    log_request(status=503)
    assert [line["status"] for line in lines(capsys)] == [503]
    start_log("info")
    start_log("info")
    log_request(status=200)
    assert len(lines(capsys)) == 1
