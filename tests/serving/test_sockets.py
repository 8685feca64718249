"""Hostile and careless clients over real sockets: slow, gone, lying, tempting."""

from __future__ import annotations

import concurrent.futures
import io
import os
import pickle
import socket
import struct
import threading
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.serving.conftest import SETTINGS, Service, encoded
from tests.serving.live import Listening, Reply, ask, chunk, connect, head, listening, post, reply, wait_for
from visionloop.serving import metrics
from visionloop.serving.live import Answer, Job
from visionloop.serving.settings import BatchingSettings, UploadSettings

IMAGE = encoded()
FORM = "multipart/form-data; boundary=edge"
CUSTOM_VISION = "/customvision/v3.1/Prediction/7f4e3c1a-5b0d-4c51-9a44-0d6a4ad5a1f2/classify/iterations/champion/image"


def part(disposition: bytes, value: bytes, content_type: bytes = b"image/png") -> bytes:
    return b"--edge\r\nContent-Disposition: form-data; %b\r\nContent-Type: %b\r\n\r\n%b\r\n" % (
        disposition,
        content_type,
        value,
    )


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--edge--\r\n"


def file(value: bytes = IMAGE, filename: bytes = b"a.png") -> bytes:
    return part(b'name="image"; filename="%b"' % filename, value)


def code(found: Reply) -> tuple[int, str]:
    assert found.headers["content-type"] == "application/problem+json", found.body
    return found.status, found.json()["code"]


def left() -> float:
    """Requests to classify whose clients left, so far in this process."""
    return float(metrics.REQUESTS.labels("/v1/classify", "POST", 499)._value.get())


@pytest.fixture
def live(service: Service) -> Iterator[Listening]:
    with listening(service) as found:
        assert ask(found.port, post("/v1/classify", "image/png", IMAGE)).status == 200
        # The store connects when it first writes; from here on descriptors are counted.
        assert service.api.store is not None
        assert service.api.store.flush(60)
        yield found


class Leaks:
    """What a server holds; `none` waits until it is no more than at first."""

    def __init__(self, live: Listening) -> None:
        self._live = live
        self._process = psutil.Process()
        wait_for(lambda: live.active == 0, "no request is under way")
        self._before = self._counts()

    def _counts(self) -> tuple[int, int, int]:
        return self._live.active, self._live.num_tasks, self._process.num_fds()

    def none(self) -> None:
        wait_for(
            lambda: all(now <= before for now, before in zip(self._counts(), self._before, strict=True)),
            "requests, tasks and descriptors are given back",
        )


def hang_up(connection: socket.socket) -> None:
    """Leave with a reset, as a crashed client does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# -- slow


@pytest.mark.parametrize("settings", [SETTINGS.model_copy(update={"upload": UploadSettings(body_timeout_s=0.3)})])
@pytest.mark.parametrize("path", ["/v1/classify", "/v1/predict", "/v1/explain", "/v1/feedback", CUSTOM_VISION])
def test_a_slow_body_gets_408_and_gives_its_slot_back(live: Listening, path: str) -> None:
    leaks = Leaks(live)
    slow = [connect(live.port) for _ in range(20)]
    kind = "application/json" if path == "/v1/feedback" else "image/png"
    for connection in slow:
        connection.sendall(head(path, f"Content-Type: {kind}", "Content-Length: 1000") + IMAGE[:10])
    for connection in slow:
        found = reply(connection)
        # The vendor's clients know no 408.
        assert found.status == (400 if path == CUSTOM_VISION else 408)
        assert b"did not arrive within 0.3 s" in found.body
        # Hung up on, although the client would go on for ever.
        assert connection.recv(1) == b""
    wait_for(lambda: live.active == 0, "the slots are free")
    assert ask(live.port, post("/v1/classify", "image/png", IMAGE)).status == 200
    for connection in slow:
        connection.close()
    leaks.none()


@pytest.mark.parametrize("settings", [SETTINGS.model_copy(update={"upload": UploadSettings(body_timeout_s=0.3)})])
@pytest.mark.parametrize(("length", "status"), [(5_000_000, 408), (100_000_000, 413)])
def test_a_body_that_drips_on_after_its_refusal_is_hung_up_on(live: Listening, length: int, status: int) -> None:
    with connect(live.port) as connection:
        connection.sendall(head("/v1/classify", "Content-Type: image/png", f"Content-Length: {length}"))
        gone = threading.Event()

        def drip() -> None:
            while not gone.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    gone.set()

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert reply(connection).status == status
            wait_for(gone.is_set, "the connection is closed")
        finally:
            gone.set()
            thread.join()


# -- gone


@pytest.mark.parametrize("leave", [socket.socket.close, hang_up], ids=["close", "reset"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_clients_that_leave_in_the_middle_of_a_body_leave_nothing(
    live: Listening, leave: object, chunked: bool
) -> None:
    leaks, before = Leaks(live), left()
    body = form(file())[:200]
    length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 100000"
    leaving = [connect(live.port) for _ in range(30)]
    for connection in leaving:
        sent = chunk(body) if chunked else body
        connection.sendall(head("/v1/classify", f"Content-Type: {FORM}", length) + sent)
    wait_for(lambda: live.active == 30, "all are being read")
    for connection in leaving:
        leave(connection)  # type: ignore[operator]
    wait_for(lambda: left() == before + 30, "all are seen to have left")
    leaks.none()
    assert ask(live.port, post("/v1/classify", "image/png", IMAGE)).status == 200


class Held:
    """A model whose inference waits until it is let go.

    Attributes:
        num_images: Images that went into it.
    """

    def __init__(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        self.model = service.api.fleet.lineups["classification"].champion
        self.num_images = 0
        self._go = threading.Event()
        work = self.model._batcher._work

        def held(jobs: Sequence[Job]) -> Sequence[Answer | Exception]:
            self.num_images += len(jobs)
            self._go.wait()
            return work(jobs)

        monkeypatch.setattr(self.model._batcher, "_work", held)

    def let_go(self) -> None:
        self._go.set()


@pytest.fixture
def held(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    found = Held(service, monkeypatch)
    yield found
    found.let_go()


@pytest.mark.parametrize(
    "settings",
    [SETTINGS.model_copy(update={"batching": BatchingSettings(timeout_s=1.0, max_batch=2, parallel=1)})],
)
def test_clients_that_leave_during_the_inference_are_not_worked_on_for_long(live: Listening, held: Held) -> None:
    leaks = Leaks(live)
    leaving = [connect(live.port) for _ in range(30)]
    for connection in leaving:
        connection.sendall(post("/v1/classify", "image/png", IMAGE))
    wait_for(lambda: live.active == 30, "all have been taken")
    wait_for(lambda: held.num_images and held.model.waiting, "one is worked on, others wait")
    for connection in leaving:
        hang_up(connection)
    # The inference is stuck, and still nobody's request outlives its time.
    wait_for(lambda: live.active == 0, "the requests have ended")
    worked_on = held.num_images
    held.let_go()
    wait_for(lambda: held.model.waiting == 0, "the queue is empty")
    leaks.none()
    assert held.num_images == worked_on
    assert ask(live.port, post("/v1/classify", "image/png", IMAGE)).status == 200


# -- too much


def test_a_form_of_1001_parts_is_refused(live: Listening) -> None:
    for parts in ([file(b"x")] * 1001, [part(b'name="threshold"', b"0.5")] * 1001, [file(), *[file(b"x")] * 1000]):
        found = ask(live.port, post("/v1/classify", FORM, form(*parts)))
        assert code(found) in ((400, "too_many_images"), (400, "repeated_field"))


@pytest.mark.parametrize("settings", [SETTINGS.model_copy(update={"upload": UploadSettings(max_images=1000)})])
def test_a_form_of_1002_parts_is_refused_however_many_images_are_allowed(live: Listening) -> None:
    body = form(*[file(b"x")] * 1000, part(b'name="top_k"', b"1"), part(b'name="threshold"', b"0"))
    assert code(ask(live.port, post("/v1/classify", FORM, body))) == (400, "too_many_parts")


def test_an_extra_or_missing_file_is_refused(live: Listening) -> None:
    extra = form(file(), part(b'name="mask"; filename="b.png"', IMAGE))
    assert code(ask(live.port, post("/v1/classify", FORM, extra))) == (400, "unexpected_field")
    assert code(ask(live.port, post("/v1/classify", FORM, form()))) == (400, "missing_image")
    assert code(ask(live.port, post("/v1/classify", "image/png", b""))) == (400, "empty_body")


# -- tempting


@pytest.fixture
def lure() -> Iterator[socket.socket]:
    """A web server that nobody should visit."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def test_urls_in_place_of_files_are_refused_and_nobody_is_asked(live: Listening, lure: socket.socket) -> None:
    url = f"http://127.0.0.1:{lure.getsockname()[1]}/cat.jpg".encode()
    in_text = [part(b'name="image"', url), part(b'name="images"', url)]
    asked = {
        post("/v1/classify", FORM, form(*in_text[:1])): (400, "not_a_file"),
        post("/v1/classify", FORM, form(*in_text[:1] * 50)): (400, "not_a_file"),
        post("/v1/detect", FORM, form(*in_text[1:] * 50)): (400, "not_a_file"),
        post("/v1/predict", FORM, form(file(), *in_text)): (400, "not_a_file"),
        post("/v1/explain", FORM, form(*in_text)): (400, "not_a_file"),
        post("/v1/batches?task=classification", FORM, form(*in_text)): (400, "unexpected_field"),
        post("/v1/classify", FORM, form(file(url))): (415, "image_unsupported_format"),
        post("/v1/classify", "image/png", url): (415, "image_unsupported_format"),
        post("/v1/classify", "text/uri-list", url): (415, "unsupported_media_type"),
        post("/v1/classify", "application/json", b'{"image": "%b", "url": "%b"}' % (url, url)): (
            415,
            "unsupported_media_type",
        ),
        post("/v1/classify?url=" + url.decode(), "image/png", IMAGE): (400, "bad_option"),
    }
    for request, outcome in asked.items():
        assert code(ask(live.port, request)) == outcome, request[:200]
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        request = post("/v1/classify", FORM, form(*in_text * 25))
        outcomes = list(pool.map(lambda _: code(ask(live.port, request)), range(50)))
    assert outcomes == [(400, "not_a_file")] * 50
    with pytest.raises(BlockingIOError):
        lure.accept()


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    "content_type",
    ["application/vnd.bentoml+pickle", "application/pickle", "application/x-pickle", "application/python-pickle"],
)
def test_a_pickle_is_refused_and_never_opened(live: Listening, tmp_path: Path, content_type: str) -> None:
    trap = tmp_path / "sprung"
    body = pickle.dumps(Trap(trap))
    for path in ("/v1/classify", "/v1/predict", "/v1/explain", "/v1/feedback", "/v1/batches?task=classification"):
        found = ask(live.port, post(path, content_type, body))
        assert code(found) == (415, "unsupported_media_type")
    inside = form(part(b'name="image"; filename="a.pkl"', body, content_type.encode()))
    assert code(ask(live.port, post("/v1/classify", FORM, inside))) == (415, "image_unsupported_format")
    assert not trap.exists()
    pickle.loads(body)
    assert trap.exists()


@pytest.mark.parametrize(
    "name",
    [
        b"../../../../evil.png",
        b"..\\..\\evil.png",
        b"/etc/passwd",
        b"a\x00b.png",
        b"n" * 400 + b".png",
        b"<script>alert(1)</script>.png",
        b"\xff\xfe\xfd.png",
        b"$(touch evil).png",
        b"",
        b"CON",
    ],
)
def test_the_name_of_a_file_is_ignored(service: Service, live: Listening, name: bytes) -> None:
    # A picture of its own, so that the one kept is this request's.
    picture = encoded(seed=len(name) + 100)
    found = ask(live.port, post("/v1/classify", FORM, form(file(picture, name))))
    assert found.status == 200, found.body
    service.api.close()
    written = [path for path in service.root.rglob("*") if path.is_file()]
    assert len([path for path in written if path.suffix == ".png"]) == 2
    for path in written:
        assert "evil" not in path.name and "script" not in path.name
        assert name not in (b"", b"CON") or path.name != name.decode()
    assert not list(service.root.parent.glob("evil*"))


# -- what is kept, and what is answered


def test_an_archive_behind_a_picture_is_not_kept(service: Service, live: Listening) -> None:
    hidden = io.BytesIO()
    with zipfile.ZipFile(hidden, "w") as archive:
        archive.writestr("evil.txt", "hidden behind a picture")
    polyglot = encoded(format="JPEG", seed=7) + hidden.getvalue()
    assert zipfile.is_zipfile(io.BytesIO(polyglot))
    assert ask(live.port, post("/v1/classify", FORM, form(file(polyglot)))).status == 200
    service.api.close()
    kept = [path for path in (service.root / "mlruns/images").rglob("*") if path.is_file()]
    assert len(kept) == 2  # with the fixture's
    for path in kept:
        assert not zipfile.is_zipfile(path)
        assert b"evil" not in path.read_bytes()
        Image.open(path).load()


@pytest.mark.parametrize("verb", ["classify", "detect"])
def test_every_exif_orientation_is_answered_as_the_upright_picture(live: Listening, verb: str) -> None:
    upright = Image.fromarray(np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    undone = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    answers = []
    for orientation, turn in undone.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        buffer = io.BytesIO()
        (upright if turn is None else upright.transpose(turn)).save(buffer, "PNG", exif=exif)
        found = ask(live.port, post(f"/v1/{verb}?threshold=0", "image/png", buffer.getvalue()))
        assert found.status == 200
        (prediction,) = found.json()["predictions"]
        del prediction["id"]
        answers.append(prediction)
    assert answers[0]["image"] == {"width": 60, "height": 40}
    assert answers[0].get("ranked") or answers[0].get("detections")
    assert answers == answers[:1] * 8
