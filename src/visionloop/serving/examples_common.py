"""What all examples of the API's document share."""

from __future__ import annotations

from typing import NamedTuple

URL = "http://127.0.0.1:3000"
PREDICTION_ID = "3dcdfb3e36cd4ffc8004ea5ee4d22f97"
REPORT_ID = "5f1d2c3b7a9e0c44"
BATCH_ID = "6c4a72ced4b64312864ace4adefdbd89"


class Sample(NamedTuple):
    """How to ask a route.

    Attributes:
        curl: A command; empty where curl cannot ask it.
        python: Lines that follow the making of `client`; empty where no program asks it.
    """

    curl: str
    python: str
