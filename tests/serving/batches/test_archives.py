"""What becomes a batch, and what is refused."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator

import pytest

from tests.serving.batches.jobs import ZIP, finished, folders, packed, pictures, rows_of, submit, table_of
from tests.serving.conftest import Service, encoded, problem


def test_a_zip_is_answered_as_single_requests_are(service: Service) -> None:
    images = pictures(30)
    job = submit(service.client, packed(images))
    assert job["total"] == 30
    rows = rows_of(service.client, job)
    assert [row["image"] for row in rows] == list(images)
    for row, data in zip(rows[:6], images.values(), strict=False):
        alone = service.client.post("/v1/classify", files={"image": data}).json()["predictions"][0]
        assert (row["class"], row["width"], row["height"]) == (alone["class"], 20, 16)
        assert row["score"] == pytest.approx(alone["score"], abs=1e-5)
    state = service.client.get(job["url"]).json()
    assert (state["status"], state["done"], state["total"], state["failures"]) == ("done", 30, 30, 0)
    assert state["models"] == ["tiny-classification 1"]
    assert state["images_per_s"] > 0
    assert state["eta_s"] is None


def test_a_form_of_files(service: Service) -> None:
    files = [("images", ("a=1.png", encoded())), ("image", ("../no suffix", encoded(seed=1))), ("image", ("/", b"x"))]
    response = service.client.post("/v1/batches", files=files, data={"task": "classification", "top_k": "2"})
    rows = rows_of(service.client, response.json())
    assert [row["image"] for row in rows] == ["a=1.png", "../no suffix", "image 3"]
    assert [len(row.get("ranked", [])) for row in rows] == [2, 2, 0]
    assert rows[2]["error"]["code"] == "image_unsupported_format"


def test_a_member_that_is_no_image_stops_nothing(service: Service) -> None:
    members = {
        "good.png": encoded(),
        "text.png": b"no image",
        "empty.jpg": b"",
        "large.png": b"\0" * 600_000,
        "notes.txt": b"skipped",
        "inner.zip": packed(pictures(1)),
        "__MACOSX/._good.png": b"ignored",
        ".hidden.png": b"ignored",
        "folder/.git/a.png": b"ignored",
        "folder/": b"",
        "last.JPG": encoded(format="JPEG"),
    }
    job = submit(service.client, packed(members))
    assert (job["total"], job["skipped"]) == (5, 2)
    errors = {row["image"]: row.get("error", {}).get("code") for row in rows_of(service.client, job)}
    assert errors == {
        "good.png": None,
        "text.png": "image_unsupported_format",
        "empty.jpg": "image_empty",
        "large.png": "image_too_many_bytes",
        "last.JPG": None,
    }
    assert finished(service.client, job)["failures"] == 3


def test_an_image_of_a_form_that_is_too_large_stops_no_other(service: Service) -> None:
    large = b"\x89PNG" + b"\0" * 600_000
    parts = [("image", ("a.png", encoded())), ("image", ("large.png", large)), ("image", ("b.png", encoded()))]
    answer = service.client.post("/v1/batches?task=detection", files=parts)
    errors = {row["image"]: row.get("error", {}).get("code") for row in rows_of(service.client, answer.json())}
    assert errors == {"a.png": None, "large.png": "image_too_many_bytes", "b.png": None}


def test_names_are_text_only(service: Service) -> None:
    names = ["../../outside.png", "/etc/absolute.png", "C:\\windows.png", "=cmd|' /C calc'!A0.png", "twice.png"]
    before = set(service.root.parent.iterdir())
    job = submit(service.client, packed(dict.fromkeys(names, encoded())))
    table = table_of(service.client, job)
    assert [row["image"] for row in table] == [*names[:3], "'" + names[3], names[4]]
    assert set(service.root.parent.iterdir()) == before
    assert not list(service.root.rglob("*outside*"))


def test_two_members_of_one_name_are_two_images(service: Service) -> None:
    archive = packed({"a.png": encoded(20, 20), "b.png": encoded(30, 30)}).replace(b"b.png", b"a.png")
    rows = rows_of(service.client, submit(service.client, archive))
    assert [(row["image"], row["width"]) for row in rows] == [("a.png", 20), ("a.png", 30)]


def test_a_bomb_is_refused(service: Service) -> None:
    bomb = packed({f"{number}.png": b"\0" * 490_000 for number in range(10)})
    assert len(bomb) < 20_000
    refused = service.client.post("/v1/batches?task=detection", content=bomb, headers=ZIP)
    problem(refused, 413, "archive_too_large")
    assert folders(service.root) == []


def test_a_member_that_lies_about_its_size_is_damaged(service: Service) -> None:
    honest = packed({"a.png": b"\0" * 400_000, "b.png": encoded(20, 16)})
    archive = honest.replace(struct.pack("<L", 400_000), struct.pack("<L", 100))
    assert archive != honest
    rows = rows_of(service.client, submit(service.client, archive))
    assert [row.get("error", {}).get("code") for row in rows] == ["image_damaged", None]


def test_encrypted_members_and_strange_methods_are_told(service: Service) -> None:
    stored = bytearray(packed({"a.png": encoded(20, 16)}, zipfile.ZIP_STORED))
    stored[stored.index(b"PK\x01\x02") + 8] |= 1
    rows = rows_of(service.client, submit(service.client, bytes(stored)))
    assert rows[0]["error"]["code"] == "image_encrypted"
    rows = rows_of(service.client, submit(service.client, packed(pictures(1), zipfile.ZIP_LZMA)))
    assert rows[0]["error"]["code"] == "image_compression"


@pytest.mark.parametrize(
    ("archive", "status", "code"),
    [
        (b"", 400, "bad_archive"),
        (b"no zip", 400, "bad_archive"),
        (packed(pictures(2))[:-30], 400, "bad_archive"),
        (packed({"a.txt": b"x"}), 400, "missing_image"),
        (packed({f"{number}.png": b"" for number in range(51)}), 413, "too_many_images"),
        (packed({f"{number}": b"" for number in range(20_000)}), 413, "body_too_large"),
    ],
    ids=["empty", "no zip", "cut", "no image", "too many", "too large"],
)
def test_archives_that_are_refused(service: Service, archive: bytes, status: int, code: str) -> None:
    problem(service.client.post("/v1/batches?task=detection", content=archive, headers=ZIP), status, code)
    assert folders(service.root) == []


def test_files_of_a_form_may_share_a_name(service: Service, recwarn: pytest.WarningsRecorder) -> None:
    files = [("image", ("a.png", data)) for data in pictures(2).values()]
    job = service.client.post("/v1/batches?task=classification", files=files).json()
    assert [row["image"] for row in rows_of(service.client, job)] == ["a.png", "a.png"]
    assert not recwarn.list


def test_a_member_without_a_name_is_no_image(service: Service) -> None:
    archive = bytearray(packed({"a": b"text", **pictures(1)}))
    for name in (30, archive.index(b"PK\x01\x02") + 46):
        archive[name] = 0  # a name ends at its first NUL
    (row,) = rows_of(service.client, submit(service.client, bytes(archive)))
    assert row["image"] == "photo 0.png"


def test_a_directory_that_would_fill_the_memory_is_not_read(service: Service) -> None:
    archive = bytearray(packed(pictures(1)))
    end = archive.rindex(b"PK\x05\x06")
    archive[end + 12 : end + 16] = struct.pack("<L", 2**31)
    problem(service.client.post("/v1/batches?task=detection", content=bytes(archive), headers=ZIP), 400, "bad_archive")


@pytest.mark.parametrize("chunked", [True, False])
def test_too_large_a_body_leaves_nothing(service: Service, chunked: bool) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(12):
            yield b"\0" * 100_000

    content = pieces() if chunked else b"\0" * 1_200_000
    refused = service.client.post("/v1/batches?task=detection", content=content, headers=ZIP)
    problem(refused, 413, "body_too_large")
    assert folders(service.root) == []


def test_forms_that_are_refused_leave_nothing(service: Service) -> None:
    post = service.client.post
    image = ("a.png", encoded())
    problem(post("/v1/batches?task=detection", files={"photo": image}), 400, "unexpected_field")
    problem(post("/v1/batches", files={"image": image}), 400, "bad_option")
    cut = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nabc'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    problem(post("/v1/batches?task=detection", content=cut, headers=headers), 400, "malformed_multipart")
    problem(post("/v1/batches", content=b"x", headers={"Content-Type": "image/png"}), 415, "unsupported_media_type")
    assert folders(service.root) == []


@pytest.mark.parametrize(
    "query", ["", "task=", "task=segmentation", "task=detection&store=perhaps", "task=detection&top_k=0"]
)
def test_options_that_are_refused(service: Service, query: str) -> None:
    refused = service.client.post(f"/v1/batches?{query}", content=packed(pictures(1)), headers=ZIP)
    problem(refused, 400, "bad_option")


def test_the_only_task_needs_no_name_and_none_is_refused(service: Service) -> None:
    service.lineup("detection", None)
    job = service.client.post("/v1/batches", content=packed(pictures(1)), headers=ZIP).json()
    assert job["task"] == "classification"
    service.lineup("classification", None)
    problem(service.client.post("/v1/batches", content=packed(pictures(1)), headers=ZIP), 503, "not_deployed")
