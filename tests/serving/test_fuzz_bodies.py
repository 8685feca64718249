"""1,000 damaged bodies and 150 damaged HTTP messages: refused by the rules or answered, never a fault of ours."""

from __future__ import annotations

import json
import logging
import random
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.serving import bodies
from tests.serving.bodies import CUSTOM_VISION, IMAGE, Sent
from tests.serving.conftest import SETTINGS, Service, listening
from visionloop.serving.schema import ProblemBody
from visionloop.serving.settings import BatchJobSettings, KeySettings, ServingSettings, UploadSettings

ALLOWED = {200, 202, 400, 404, 405, 413, 415, 422, 503, 504}


@pytest.fixture
def settings() -> ServingSettings:
    update = {
        "upload": UploadSettings(max_image_mb=0.5, max_request_mb=2.0, body_timeout_s=2.0),
        "batches": BatchJobSettings(max_archive_mb=1.0, max_images=50, max_unpacked_mb=4.0, max_waiting=1000),
        "keys": KeySettings(requests_per_minute=10**6),
        "explain_masks": 4,
    }
    return SETTINGS.model_copy(update=update)


@pytest.fixture(autouse=True)
def no_faults(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> Iterator[None]:
    """Nothing is logged as an error of ours, and nothing is written beside the log."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert [str(warning.message) for warning in recwarn] == []
    assert capfd.readouterr().err == ""


def outcomes(service: Service, requests: Iterable[Sent]) -> Counter[str]:
    found: Counter[str] = Counter()
    for path, headers, body in requests:
        # An exception that escapes the application would be raised here.
        named = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        response = service.client.post(path, headers=named, content=body)
        status = response.status_code
        assert status in ALLOWED, (path, headers, body[:300], response.text)
        if status >= 400:
            answer = response.json()
            assert answer.keys() == {"code", "message"} if path.startswith("/custom") else ProblemBody(**answer)
            found[answer["code"]] += 1
        else:
            found["accepted"] += 1
    return found


def test_forms(service: Service) -> None:
    found = outcomes(service, bodies.forms(350, seed=1))
    assert found["accepted"] > 20 and found["malformed_multipart"] > 20 and len(found) > 10, found


def test_feedback(service: Service) -> None:
    known = service.client.post("/v1/classify", files={"image": IMAGE}).json()["predictions"][0]["id"]
    found = outcomes(service, bodies.feedback(250, seed=2, known=known))
    assert found["accepted"] > 20 and found["malformed_json"] > 20 and found["bad_feedback"] > 50, found
    # What was accepted is there, and is JSON that every parser reads.
    stored = service.client.get(f"/v1/predictions/{known}").content
    assert json.loads(stored, parse_constant=pytest.fail)["feedback"]


def test_raw_bodies(service: Service) -> None:
    found = outcomes(service, bodies.raw(150, seed=3))
    assert found["unsupported_media_type"] > 20 and found["bad_option"] > 2 and len(found) > 6, found


def test_archives(service: Service, tmp_path: Path) -> None:
    found = outcomes(service, bodies.archives(250, seed=4))
    assert found["accepted"] > 40 and found["bad_archive"] > 40 and found["missing_image"] > 5, found
    jobs = [json.loads(path.read_text())["id"] for path in tmp_path.glob("mlruns/batches/*/job.json")]
    assert len(jobs) == found["accepted"]
    limit = time.monotonic() + 120
    for id_ in jobs:
        while (job := service.client.get(f"/v1/batches/{id_}").json())["finished_at"] is None:
            assert time.monotonic() < limit
            time.sleep(0.02)
        assert job["status"] in ("done", "failed") and "error of ours" not in str(job["error"]), job
        for form in ("csv", "json"):
            result = service.client.get(f"/v1/batches/{id_}/result?form={form}")
            assert (result.status_code == 200) == (job["status"] == "done")
            assert "error of ours" not in result.text
    assert {path.name for path in tmp_path.iterdir()} == {"mlruns"}


# -- over a socket, where the server's parser comes first


def messages(count: int, seed: int) -> Iterator[bytes]:
    """HTTP/1.1 messages with damage in lines, headers and framing."""
    chance = random.Random(seed)
    lines = (
        *[b"POST /v1/classify HTTP/1.1"] * 20, *[b"GET /v1/models HTTP/1.1"] * 9, b"POST /v1/classify HTTP/9.9",
        b"POST  /v1/classify HTTP/1.1", b"POST", b"", b"\0\0\0\0",
        b"POST /%00%ff%zz HTTP/1.1", b"POST /v1/\xff\xfe HTTP/1.1", b"GET /v1/predictions/%ed%a0%80 HTTP/1.1",
        b"get /livez HTTP/1.1",
        b"POST http://[::1/x HTTP/1.1", b"OPTIONS * HTTP/1.1", b"CONNECT a:1 HTTP/1.1",
        b"GET /../../etc/passwd HTTP/1.1",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1", b"PRI * HTTP/2.0", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"GET /v1/models HTTP/1.0",
        b"DELETE /v1/batches/.. HTTP/1.1", b"GET /v1/batches/%2e%2e%2f%2e%2e/result HTTP/1.1",
        b"POST " + CUSTOM_VISION.encode() + b" HTTP/1.1",
        b"TRACE /livez HTTP/1.1", b"GET /readyz?\xff HTTP/1.1", b"GET //v1//models HTTP/1.1",
        b"GET /v1/models#x HTTP/1.1",
    )  # fmt: skip
    headers = (
        b"Host: localhost", b"Host:", b"Host: a, b", b"Content-Type: image/png",
        b"Content-Length: -5",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: 1, 2", b"Content-Length: 0x10", b"Content-Length : 3", b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, identity", b" folded", b"no colon",
        b": empty", b"X: \0\1\2",
        b"X: " + b"y" * 70_000, b"Connection: upgrade\r\nUpgrade: websocket", b"Expect: 100-continue",
        b"\xff\xfe: \xff",
        b"Upgrade: h2c\r\nConnection: upgrade", b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 99",
    )  # fmt: skip
    framed = (
        IMAGE, IMAGE, b"", IMAGE[:20], b"%x\r\n%b\r\n0\r\n\r\n" % (len(IMAGE), IMAGE), b"ffffffffffffffffff\r\nx",
        b"-1\r\nx\r\n",
        b"5\r\nab\r\n0\r\n\r\n", b"zz\r\n\r\n", b"1;" + b"e" * 20_000 + b"\r\nx\r\n0\r\n\r\n",
        b"0\r\nX: y\r\n\r\nGET /livez HTTP/1.1\r\n\r\n",
    )  # fmt: skip
    for _ in range(count):
        first, body = chance.choice(lines), chance.choice(framed)
        head = [first, *chance.sample(headers, chance.choice((0, 0, 1, 1, 2)))]
        if chance.random() < 0.8:
            head[1:1] = [b"Host: localhost", b"Content-Type: image/png"]
        # Most bodies are as long as announced, so that what follows the head is not taken for another message.
        if first.startswith(b"GET"):
            body = b"" if chance.random() < 0.8 else body
        elif chance.random() < 0.7:
            head.append(b"Content-Length: %d" % len(body))
        end = chance.choice((b"\r\n",) * 9 + (b"\n",))
        yield end.join(head) + end * chance.choice((2, 2, 2, 2, 1)) + body


def exchange(port: int, message: bytes) -> bytes:
    """What a server answers before it closes, or falls silent because it waits for more."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(message)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except (ConnectionResetError, BrokenPipeError):
            return b""  # refused while it was being sent


def test_messages_over_a_socket(service: Service) -> None:
    with listening(service) as url:
        send_all(url)


def send_all(url: str) -> None:
    found: Counter[int] = Counter()
    port = int(url.rpartition(":")[2])
    for message in messages(150, seed=5):
        answer = exchange(port, message).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        if answer.startswith(b"HTTP/1."):
            status = int(answer.split(b" ", 2)[1])
            assert status in ALLOWED | {101, 403, 426, 499}, (message[:300], answer[:300])
            found[status] += 1
        else:
            assert answer == b"", (message[:300], answer[:300])
            found[0] += 1
    assert found[200] > 3 and found[400] > 30 and len(found) > 4, found
    with urllib.request.urlopen(f"{url}/readyz", timeout=10) as ready:
        assert ready.status == 200
