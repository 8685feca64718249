"""What ties the page's sources to the service, checked without Node.js."""

from __future__ import annotations

import json
import re
from typing import get_args

import pytest

from pipelines.web import TYPES, WEB, digest_line
from visionloop.monitoring.labelling.choice import Reason
from visionloop.serving.codes import (
    ANYWHERE,
    BATCH,
    BATCH_RESULT,
    BATCH_ROW,
    BATCH_UPLOAD,
    CHANGE,
    CODES,
    FEEDBACK,
    IMAGE,
    KEYED,
    LABEL_CONFIG,
    LABEL_TASKS,
    PICTURE,
    QUEUE,
    READY,
    STORE,
    merged,
)
from visionloop.serving.page import VIEWS


def test_the_types_are_of_the_api_as_it_is() -> None:
    assert TYPES.read_text().splitlines()[0] == digest_line(), "run `python -m pipelines.web types`"


def test_every_panel_has_an_address_that_the_service_answers() -> None:
    paths = re.findall(r"path: '([^']+)'", (WEB / "src/routes.ts").read_text())
    assert "/" in paths
    assert set(paths) <= set(VIEWS)


def test_the_lock_file_names_no_address() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert len(packages) > 100
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert all("integrity" in package for package in packages.values())


def test_the_page_loads_nothing_from_elsewhere() -> None:
    for path in [WEB / "index.html", *sorted((WEB / "src").rglob("*.css"))]:
        assert not re.search(r"(src|href)=\"(https?:)?//|url\(['\"]?(https?:)?//|@import", path.read_text()), path


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_page_says_of_every_picture_why_it_was_chosen(language: str) -> None:
    words = json.loads((WEB / f"src/messages/{language}.json").read_text())["label"]["reasons"]
    assert words.keys() == set(get_args(Reason))
    assert all(words.values())


def test_the_page_has_words_for_every_refusal_that_a_visitor_can_cause() -> None:
    words = json.loads((WEB / "src/messages/en.json").read_text())["problems"].keys()
    groups = [ANYWHERE, KEYED, IMAGE, QUEUE, READY, STORE, BATCH, BATCH_RESULT, BATCH_ROW, BATCH_UPLOAD]
    groups += [CHANGE, FEEDBACK, LABEL_CONFIG, LABEL_TASKS, PICTURE]
    met = {code for codes in merged(groups).values() for code in codes}
    # Its forms are made by the browser.
    never = {
        "malformed_multipart", "part_headers_too_large", "text_too_long", "unexpected_field", "unsupported_media_type",
    }  # fmt: skip
    assert met - never <= words
    # And for none that the service does not know: these two are the page's own.
    assert words - {"unreachable", "connection_lost"} <= CODES.keys()
