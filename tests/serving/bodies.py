"""Requests that no well-behaved client sends; everything follows from a seed."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tests.serving.conftest import encoded

IMAGE = encoded(20, 16)
CUSTOM_VISION = "/customvision/v3.1/Prediction/p/classify/iterations/champion/image"
_FORM_PATHS = ("/v1/classify", "/v1/predict", "/v1/explain?task=detection", CUSTOM_VISION, "/v1/batches")
_PLACES = (b"\r\n", b"\n", b"\r", b"", b"\r\n\r\n", b"\0", b"--", b"\r\n--", b";", b'"', b"=", b"\xff\xfe", b"\x80")


class Sent(NamedTuple):
    """A POST request.

    Attributes:
        path: With its query.
        headers: Without length and host.
        body: Its bytes.
    """

    path: str
    headers: dict[str, str]
    body: bytes


# -- forms


def forms(count: int, seed: int) -> Iterator[Sent]:
    """Multipart forms with damage in every part of their grammar."""
    chance = random.Random(seed)
    for _ in range(count):
        boundary = chance.choice(("x", "B" * 70, "----WebKit7MA4YWxk", "a b", "'()+_,-./:=?"))
        parts = [chance.choice(_PARTS)(chance) for _ in range(chance.choice((0, 1, 1, 1, 2, 3)))]
        if chance.random() < 0.03:
            parts = [chance.choice(_PARTS)(chance)] * 1100
        body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
        body += b"--" + boundary.encode() + _mostly(chance, (b"--\r\n",), (b"--", b"\r\n", b""))
        for _ in range(chance.choice((0, 0, 1))):
            body = _damaged(body, chance)
        yield Sent(chance.choice(_FORM_PATHS), {"Content-Type": _form_type(boundary, chance)}, body)


def _form_type(boundary: str, chance: random.Random) -> str:
    if chance.random() < 0.75:
        return f'multipart/form-data; boundary="{boundary}"'
    return chance.choice(
        (
            "multipart/form-data",
            "multipart/form-data; boundary=",
            'multipart/form-data; boundary="',
            "multipart/form-data; boundary=" + "b" * 5000,
            f"multipart/form-data; boundary*=utf-8''{boundary}",
            f"multipart/form-data; boundary*0=x; boundary*1={boundary}",
            "multipart/form-data; boundary*=unknown'x'%ff%fe",
            "multipart/form-data; boundary*0*=''x; boundary*2*=y; boundary*=",
            f"MULTIPART/FORM-DATA; BOUNDARY={boundary}",
            f"multipart/form-data; boundary={boundary}; boundary=other",
            f"multipart/form-data;;;; charset=utf-7; boundary={boundary}",
            f"multipart/mixed; boundary={boundary}",
            "multipart/form-data; boundary=\xff\xfe",
            "multipart/form-data; " + "; ".join(f"p{n}*={n}" for n in range(400)),
        )
    )


def _mostly(chance: random.Random, usual: Sequence[bytes], odd: Sequence[bytes]) -> bytes:
    return chance.choice(usual if chance.random() < 0.85 else odd)


def _file_part(chance: random.Random) -> bytes:
    odd_names = (b"file", b"", b"\xff", b'image\\"', b"top_k", b"task")
    odd_files = (b"", b"..\\..\\x", b"../../etc/passwd", b"a\0.png", b"\xff\xfe", b"/", b"." * 400, b"<b>", b'\\"')
    odd_extras = (b"; filename*=utf-8''%ff%00.jpg", b"; filename*0=a; filename*1=b", b"; x" * 500)
    odd_kinds = (b"\r\nContent-Transfer-Encoding: base64", b"\r\n: x")
    name = _mostly(chance, (b"image", b"images", b"imageData"), odd_names)
    filename = chance.choice((b"a.jpg", *odd_files))
    head = b'Content-Disposition: form-data; name="' + name + b'"; filename="' + filename + b'"'
    head += _mostly(chance, (b"",), odd_extras) + _mostly(chance, (b"", b"\r\nContent-Type: image/png"), odd_kinds)
    return head + b"\r\n\r\n" + _mostly(chance, (IMAGE,), (b"", b"text", IMAGE[:40], IMAGE * 900))


def _text_part(chance: random.Random) -> bytes:
    odd_names = (b"image", b"_charset_", b"\xed\xa0\x80", b"__proto__")
    name = _mostly(chance, (b"top_k", b"threshold", b"store", b"task"), odd_names)
    values = (b"1", b"1e999", b"nan", b"-1", b"9" * 4000, b"9" * 6000, b"\xff", b"\0", b"true", b"classification", b"")
    return b'Content-Disposition: form-data; name="' + name + b'"\r\n\r\n' + chance.choice(values)


def _nested_part(chance: random.Random) -> bytes:
    inner = b"--in\r\n" + _file_part(chance) + b"\r\n--in--\r\n"
    head = b'Content-Disposition: form-data; name="image"\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n'
    return head + inner


def _odd_part(chance: random.Random) -> bytes:
    return chance.choice(
        (
            b"",
            b"\r\n" + IMAGE,
            b"no header at all\r\n\r\nx",
            b"Content-Disposition form-data\r\n\r\nx",
            b'Content-Disposition: attachment; name="image"; filename="a"\r\n\r\n' + IMAGE,
            b'Content-Disposition: form-data; name="image"\r\n folded; filename="a"\r\n\r\n' + IMAGE,
            b"X-Long: " + b"y" * 9000 + b"\r\n\r\nx",
            b"X: y\r\n" * 3000 + b"\r\nx",
            b"Content-Disposition: form-data; name*=utf-8''image; filename*=\"\"\r\n\r\n" + IMAGE,
            b"Content-Disposition: form-data; name*0*=''i; name*1*=%; filename*=x'y\r\n\r\n" + IMAGE,
        )
    )


_PARTS: tuple[Callable[[random.Random], bytes], ...] = (
    *[_file_part] * 6, _text_part, _text_part, _nested_part, _odd_part,
)  # fmt: skip


def _damaged(body: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(body) + 1)
    kind = chance.randrange(5)
    if kind == 0:
        return body[:at]
    if kind == 1:
        return body[:at] + chance.choice(_PLACES) + body[at + chance.choice((0, 1, 2)) :]
    if kind == 2:
        return body.replace(b"\r\n", chance.choice(_PLACES), chance.choice((1, 3, -1)))
    if kind == 3:
        return body[:at] + chance.randbytes(chance.choice((1, 8, 200))) + body[at:]
    return body[at:] + body[:at]


# -- JSON


def feedback(count: int, seed: int, known: str) -> Iterator[Sent]:
    """Bodies for `/v1/feedback`: types, depths, numbers and texts that JSON allows and nobody means.

    Args:
        count: How many.
        seed: Of everything random.
        known: Id of a prediction that is there.
    """
    chance = random.Random(seed)
    for _ in range(count):
        body = _feedback_body(chance, known)
        for _ in range(chance.choice((0, 0, 0, 1))):
            body = _damaged(body, chance)
        kind = chance.choice(("application/json",) * 8 + ("application/json; charset=utf-16", "APPLICATION/JSON"))
        yield Sent("/v1/feedback", {"Content-Type": kind}, body)


def _feedback_body(chance: random.Random, known: str) -> bytes:
    if chance.random() < 0.25:
        return chance.choice(_ODD_JSON)
    values: dict[str, object] = {"prediction_id": known, "verdict": chance.choice(("right", "wrong", "corrected"))}
    if chance.random() < 0.6:
        number, key = _odd_value(chance) if chance.random() < 0.5 else 3, chance.choice(("class", "class", "score"))
        boxes = [{"class": "7", "box_xyxy": [0, 1, 2, number], key: chance.choice(("7", _odd_value(chance)))}]
        values["label"] = chance.choice((_odd_value(chance), boxes))
    if chance.random() < 0.4:
        values[chance.choice(("prediction_id", "verdict", "note", "extra", "\ud800", "\0", ""))] = _odd_value(chance)
    text = json.dumps(values, ensure_ascii=chance.random() < 0.7)
    return text.encode(chance.choice(("utf-8",) * 6 + ("utf-16", "utf-32")), "surrogatepass")


def _odd_value(chance: random.Random) -> object:
    nan, infinity = float("nan"), float("inf")
    return chance.choice(
        (
            None, True, 0, -1, 2**63, 2**64, 10**400, 1e308, -1e-320, nan, infinity, -infinity, "", "7", "a" * 3000,
            "\0", "\ud800", "\udfff\ud800", "\u202e", "<script>alert(1)</script>", "'; DROP TABLE feedback; --", [],
            {},
            [[[[]]]], {"class": "7"}, [{"class": "7", "box_xyxy": [1, 2, 3]}], [None] * 2000, {"\ud800": 1}, "NaN",
            [{"class": "\ud800", "box_xyxy": [0, 0, 1, 1]}], [{"class": "x", "box_xyxy": [nan, 0, infinity, 1]}],
        )
    )  # fmt: skip


_ODD_JSON = (
    b"", b" ", b"null", b"[]", b"{}", b"0", b'""', b"\xef\xbb\xbf{}", b"\xff\xfe", b"{" * 20_000, b"[" * 100_000,
    b'{"a":' * 50_000, b"9" * 10_000, b"-" + b"9" * 5000, b"1e99999", b'"\\ud800"', b'{"\\ud800": 1}',
    b'{"\\u0000": 1}',
    b'{"prediction_id": "x", "prediction_id": 1}', b"NaN", b"Infinity", b'"' + b"\\" * 999, b"\0" * 99, b"{}{}",
    b'{"prediction_id": "\xed\xa0\x80", "verdict": "right"}', b'{"x": "' + b"y" * 300_000 + b'"}',
    b'{"verdict": "right", "prediction_id": "\\ud800"}', b'{"verdict": "\\udc00", "prediction_id": "x"}',
)  # fmt: skip


# -- other bodies


def raw(count: int, seed: int) -> Iterator[Sent]:
    """Single bodies with odd media types, encodings, queries and headers."""
    chance = random.Random(seed)
    paths = ("/v1/classify", "/v1/detect", "/v1/predict", "/v1/explain", "/v1/batches", "/v1/feedback", CUSTOM_VISION)
    kinds = (
        "image/png", "image/", "image", "/", "", ";", "image/png; q=\xff", "image/svg+xml", "text/html",
        "application/x-www-form-urlencoded",
        "application/x-python-pickle", "application/octet-stream; charset*=x'y'%zz", "application/json", "*/*",
        "application/zip; boundary=x", "application/octet-stream" + ";a=b" * 500, "image/png, image/jpeg", "\x80\x81",
    )  # fmt: skip
    queries = (
        "", "?top_k=%00", "?top_k=9" + "9" * 5000, "?threshold=nan", "?threshold=inf", "?threshold=-0", "?store=%ff",
        "?%ff=1", "?=",
        "?top_k=1&top_k=2", "?&&&", "?top_k=%F0%9F%98%80", "?top_k=1%00", "?task=%ed%a0%80", "?task=detection",
        "?a" * 2000,
        "?top_k=\u0663", "?threshold=1e-400", "?top_k=1.0", "?top_k=1e2", "?top_k=+1", "?%00=%00", "?application=x",
    )  # fmt: skip
    headers: tuple[dict[str, str], ...] = (
        {}, {"Content-Encoding": "gzip"}, {"Content-Length": "-1"}, {"Content-Length": "9" * 5000},
        {"Content-Length": "\xb2"},
        {"X-Request-ID": "\xff" * 50}, {"X-Session-ID": "s" * 9000}, 
        {"Accept": "application/json;q=x, */*;q=" + "9" * 999},
        {"Accept": ",;q=,;;image/png;q=1e999,application/json;q=nan"}, {"Authorization": "Bearer \xff"},
        {"Expect": "100-continue"},
        {"X-Forwarded-For": "a, \xff"}, {"Origin": "null"}, {"Cookie": "a" * 9000}, {"Range": "bytes=0-1"},
    )  # fmt: skip
    zipped = IMAGE + b"PK\5\6" + bytes(18)
    bodies = (IMAGE, IMAGE, zipped, b"", b"\0", b"\x80\x04\x95.", b"a=b", b"GET / HTTP/1.1\r\n\r\n", b"<svg/>")
    for _ in range(count):
        sent = {"Content-Type": chance.choice(kinds), **chance.choice(headers)}
        yield Sent(chance.choice(paths) + chance.choice(queries), sent, chance.choice(bodies))


# -- archives


def archives(count: int, seed: int) -> Iterator[Sent]:
    """Zips for `/v1/batches` that lie about themselves."""
    chance = random.Random(seed)
    for _ in range(count):
        data = chance.choice(_ARCHIVES)(chance)
        for _ in range(chance.choice((0, 1, 1, 2))):
            data = chance.choice((_edit_directory, _edit_directory, _damaged))(data, chance)
        query = chance.choice(("task=classification",) * 5 + ("task=detection", "", "task=classification&top_k=1"))
        yield Sent(f"/v1/batches?{query}", {"Content-Type": "application/zip"}, data)


def _plain(chance: random.Random) -> bytes:
    names = ("a.png", "b/c.PNG", "x.jpg", "../../up.png", "/abs.png", "C:\\x.png", "nul\0.png", "\u202egnp.png",
    "é.png", ".png",
             "__MACOSX/a.png", "=1+1.png", "a" * 60_000 + ".png", "dir/", "note.txt", "\n\r.png", "a.png")  # fmt: skip
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # of names given twice, which is meant
        for _ in range(chance.choice((0, 1, 2, 4, 60))):
            info = zipfile.ZipInfo(chance.choice(names))
            data = chance.choice((IMAGE, IMAGE, IMAGE[:50], b"", b"x" * 300_000))
            archive.writestr(info, data, chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)))
    return buffer.getvalue()


def _bomb(chance: random.Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(chance.choice((1, 5, 40))):
            archive.writestr(f"{number}.png", bytes(400_000))
    data = buffer.getvalue()
    # Some say of themselves that they are small.
    return data.replace(struct.pack("<I", 400_000), struct.pack("<I", 100)) if chance.random() < 0.5 else data


def _overlapping(chance: random.Random) -> bytes:
    """Many directory entries for the same bytes."""
    name, packed = chance.choice((b"a.png", b"a.png", b"", b"\0.png", b"/", b"\xff.png")), zlib.compress(IMAGE)[2:-4]
    crc = zlib.crc32(IMAGE)
    sizes = struct.pack("<III", crc, len(packed), len(IMAGE))
    local = b"PK\3\4" + struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes
    local += struct.pack("<HH", len(name), 0) + name + packed
    entry = b"PK\1\2" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 33) + sizes
    entry += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
    count = chance.choice((2, 60, 3000))
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(entry) * count, len(local), 0)
    return local + entry * count + end


def _no_zip(chance: random.Random) -> bytes:
    empty, odd_end = b"PK\5\6" + bytes(18), b"PK\5\6" + b"\xff" * 18
    return chance.choice((b"", b"PK", empty, odd_end, bytes(30_000), IMAGE, b"PK\3\4" * 99))


_ARCHIVES: tuple[Callable[[random.Random], bytes], ...] = (_plain, _plain, _plain, _bomb, _overlapping, _no_zip)


def _edit_directory(data: bytes, chance: random.Random) -> bytes:
    """A field of a local header, a directory entry or the end, overwritten; or a name taken away."""
    signature = chance.choice((b"PK\3\4", b"PK\1\2", b"PK\1\2", b"PK\5\6"))
    places = [found.start() for found in re.finditer(signature, data)]
    if not places:
        return data
    at = chance.choice(places) + chance.randrange(4, 46)
    values = (b"\0", b"\1", b"\xff", b"\0\0", b"\xff\xff", b"\xff" * 4, b"\0\0\0\x80", b"\x09", b"\x63\0", b"\0" * 8)
    value = chance.choice(values)
    return data[:at] + value + data[at + len(value) :]
