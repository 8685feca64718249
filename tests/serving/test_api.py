from __future__ import annotations

import hashlib
import io
import json
import shutil
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.serving.conftest import Service, canary, encoded, variant
from visionloop.artifact.deployment import Deployment, Lineup
from visionloop.artifact.predictor import Predictor
from visionloop.serving.schema import ModelsAnswer, PredictAnswer, ProblemBody, TaskAnswer


def problem(response: object, status: int, code: str) -> ProblemBody:
    assert response.status_code == status, response.text  # type: ignore[attr-defined]
    assert response.headers["content-type"] == "application/problem+json"  # type: ignore[attr-defined]
    body = ProblemBody.model_validate(response.json())  # type: ignore[attr-defined]
    assert (body.status, body.code) == (status, code)
    assert all((body.detail, body.where, body.expected, body.action))
    return body


def test_the_answer_is_the_predictors(service: Service, bundles: dict[str, Path]) -> None:
    image = encoded()
    for verb, task in (("classify", "classification"), ("detect", "detection")):
        response = service.client.post(f"/v1/{verb}", content=image, headers={"Content-Type": "image/png"})
        assert response.status_code == 200, response.text
        answer = TaskAnswer.model_validate(response.json())
        predictor = Predictor.open(bundles[task])
        expected = predictor.predict([image])[0].to_record(predictor.classes)
        found = response.json()["predictions"][0]
        assert found.items() >= expected.items()
        assert (answer.model.name, answer.model.version) == (f"tiny-{task}", "1")
        assert (answer.predictions[0].image.width, answer.predictions[0].image.height) == (48, 40)
        assert answer.request_id == response.headers["X-Request-ID"]


def test_several_images_in_one_request_keep_their_order(service: Service) -> None:
    images = [encoded(seed=seed) for seed in range(5)]
    alone = [service.client.post("/v1/classify", files={"image": image}).json()["predictions"][0] for image in images]
    together = service.client.post("/v1/classify", files=[("image", image) for image in images]).json()["predictions"]
    assert [item["class"] for item in together] == [item["class"] for item in alone]
    assert [item["score"] for item in together] == pytest.approx([item["score"] for item in alone], abs=1e-5)
    assert len({item["id"] for item in together}) == 5


def test_predict_asks_every_task(service: Service) -> None:
    answer = PredictAnswer.model_validate(service.client.post("/v1/predict", files={"image": encoded()}).json())
    assert sorted(answer.results) == ["classification", "detection"]


def test_options(service: Service) -> None:
    files = {"image": encoded()}
    assert len(service.client.post("/v1/classify?top_k=2", files=files).json()["predictions"][0]["ranked"]) == 2
    all_boxes = service.client.post("/v1/detect", files=files, data={"threshold": "0"}).json()["predictions"][0]
    few = service.client.post("/v1/detect?threshold=0&top_k=3", files=files).json()["predictions"][0]
    assert few["detections"] == all_boxes["detections"][:3]
    for query in ("top_k=0", "threshold=2", "store=perhaps", "tresh=0.5"):
        problem(service.client.post(f"/v1/detect?{query}", files=files), 400, "bad_option")


def test_orientation_in_exif_gives_the_upright_answer(service: Service) -> None:
    upright = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    expected = None
    inverse = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    for orientation, turn in inverse.items():
        stored = upright if turn is None else upright.transpose(Image.Transpose(turn))
        exif = Image.Exif()
        exif[0x0112] = orientation
        buffer = io.BytesIO()
        stored.save(buffer, "PNG", exif=exif)
        found = service.client.post("/v1/classify", files={"image": buffer.getvalue()}).json()["predictions"][0]
        expected = expected or found
        assert found["image"] == {"width": 60, "height": 40}
        assert found["score"] == pytest.approx(expected["score"], abs=1e-6)


def _corrupt_exif() -> bytes:
    data = encoded(format="JPEG")
    return data[:2] + b"\xff\xe1\x00\x10Exif\x00\x00garbage!" + data[2:]


def _mode(mode: str, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (30, 20), 90 if mode in ("L", "P", "I;16") else None).save(buffer, format)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        encoded(format="JPEG"),
        encoded(format="WEBP"),
        encoded(format="BMP"),
        _corrupt_exif(),
        _mode("CMYK", "JPEG"),
        _mode("L"),
        _mode("P"),
        _mode("RGBA"),
        _mode("I;16"),
        encoded(format="JPEG") + b"PK\x03\x04 a zip follows",
        encoded(format="JPEG") + b"<html><script>alert(1)</script></html>",
    ],
    ids=["jpeg", "webp", "bmp", "corrupt exif", "cmyk", "grey", "palette", "alpha", "16 bit", "zip", "html"],
)
def test_unusual_images_that_are_fine(service: Service, data: bytes) -> None:
    assert service.client.post("/v1/classify", files={"image": data}).status_code == 200


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\x00" * 64))
        + chunk(b"IEND", b"")
    )


def _without_width(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\xff\xc0") + 7
    return jpeg[:at] + bytes(2) + jpeg[at + 2 :]


def _bomb() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    plain = encoded()
    return plain[:33] + chunk(b"zTXt", b"x\x00\x00" + zlib.compress(b"a" * 80_000_000)) + plain[33:]


def _animated(format: str) -> bytes:
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "blue", "green")]
    buffer = io.BytesIO()
    frames[0].save(buffer, format, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def _other(format: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(buffer, format)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "image_empty"),
        (b"hello", 415, "image_unsupported_format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "image_unsupported_format"),
        (_other("GIF"), 415, "image_unsupported_format"),
        (_other("TIFF"), 415, "image_unsupported_format"),
        (_other("EPS"), 415, "image_unsupported_format"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1", 415, "image_unsupported_format"),
        (b"8BPS\x00\x01" + b"\x00" * 40, 415, "image_unsupported_format"),
        (_animated("WEBP"), 422, "image_animated"),
        (_animated("PNG"), 422, "image_animated"),
        (encoded(format="JPEG")[:-300], 400, "image_truncated"),
        (encoded()[:-300], 400, "image_truncated"),
        (_bomb(), 400, "image_truncated"),
        (encoded(102, 101, format="JPEG")[:300], 400, "image_truncated"),
        (_png_header(0, 5), 415, "image_unsupported_format"),
        (_png_header(5, 0), 415, "image_unsupported_format"),
        (_without_width(encoded(format="JPEG")), 415, "image_unsupported_format"),
        (_png_header(20_000, 20_000), 422, "image_too_many_pixels"),
        (_png_header(13_000, 13_000), 422, "image_too_many_pixels"),
        (_png_header(100_000, 100_000), 422, "image_too_many_pixels"),
        (encoded(1, 1), 422, "image_too_small"),
        (encoded(1, 1_000_000), 422, "image_too_small"),
    ],
    ids=[
        "empty", "text", "svg", "gif", "tiff", "eps", "heic", "psd", "animated webp", "animated png", "cut jpeg",
        "cut png", "ztxt bomb", "jpeg cut in its header", "0x5", "5x0", "jpeg 0x40", "400 MP", "169 MP", "10 GP", "1x1",
        "1x1000000",
    ],
)  # fmt: skip
def test_bytes_that_are_no_accepted_image(service: Service, data: bytes, status: int, code: str) -> None:
    body = problem(service.client.post("/v1/classify", files={"image": ("a.jpg", data)}), status, code)
    if status == 415:
        assert "JPEG" in body.expected


def test_one_bad_image_does_not_spoil_its_neighbours_requests(service: Service) -> None:
    problem(
        service.client.post("/v1/classify", files=[("image", encoded()), ("image", b"no")]),
        415,
        "image_unsupported_format",
    )
    assert service.client.post("/v1/classify", files={"image": encoded()}).status_code == 200


def test_models_are_described(service: Service, bundles: dict[str, Path]) -> None:
    service.lineup(
        "classification",
        Lineup(champion=variant(bundles["classification"]), canary=canary(bundles["classification-2"], 0.25)),
    )
    answer = ModelsAnswer.model_validate(service.client.get("/v1/models").json())
    rows = {(row.task, row.role): row for row in answer.models}
    assert rows["classification", "champion"].share == 0.75
    assert rows["classification", "canary"].share == 0.25
    assert rows["classification", "canary"].version == "2"
    assert rows["detection", "champion"].classes == ["blue", "green", "red"]
    assert answer.failures == {}
    assert answer.max_image_bytes == 10_000_000


def test_a_session_keeps_its_variant_and_the_share_is_kept(service: Service, bundles: dict[str, Path]) -> None:
    service.lineup(
        "classification",
        Lineup(champion=variant(bundles["classification"]), canary=canary(bundles["classification-2"], 0.3)),
    )
    lineup = service.api.fleet.lineups["classification"]
    roles = [lineup.choose(f"session {number}").role for number in range(2000)]
    assert 0.26 < roles.count("canary") / len(roles) < 0.34
    chosen = next(f"session {number}" for number, role in enumerate(roles) if role == "canary")
    for _ in range(3):
        answer = service.client.post("/v1/classify", files={"image": encoded()}, headers={"X-Session-ID": chosen})
        assert answer.json()["model"]["version"] == "2"


def test_a_swap_between_requests_and_a_bundle_that_was_tampered_with(
    service: Service, bundles: dict[str, Path], tmp_path: Path
) -> None:
    service.lineup("classification", Lineup(champion=variant(bundles["classification-2"], "2")))
    ask = lambda: service.client.post("/v1/classify", files={"image": encoded()}).json()["model"]["version"]  # noqa: E731
    assert ask() == "2"
    shutil.copytree(bundles["classification"], tmp_path / "altered")
    with (tmp_path / "altered/model.onnx").open("ab") as file:
        file.write(b"x")
    service.lineup("classification", Lineup(champion=variant(tmp_path / "altered", "3")))
    assert ask() == "2"
    failures = service.client.get("/v1/models").json()["failures"]
    assert "model.onnx" in failures["classification.champion"]


def test_a_damaged_pointer_changes_nothing(service: Service) -> None:
    (service.root / "mlruns/deployment.json").write_text("{")
    assert service.api.fleet.refresh()
    assert service.client.post("/v1/classify", files={"image": encoded()}).status_code == 200
    assert "damaged" in service.client.get("/v1/models").json()["failures"]["pointer"]


def test_every_route_asks_for_the_task_alike(service: Service) -> None:
    def told(query: str) -> list[ProblemBody]:
        archive: dict[str, Any] = {"content": b"", "headers": {"Content-Type": "application/zip"}}
        answers = [
            service.client.post(f"/v1/explain{query}", files={"image": encoded()}),
            service.client.post(f"/v1/batches{query}", **archive),
        ]
        with service.client.websocket_connect(f"/v1/stream{query}") as socket:
            return [*(ProblemBody.model_validate(found.json()) for found in answers),
                    ProblemBody.model_validate(socket.receive_json()["problem"])]  # fmt: skip

    cases = [("?task=segmentation", 400, "bad_option"), ("", 400, "bad_option"), ("?task=", 400, "bad_option")]
    for query, status, code in [*cases, ("", 503, "not_deployed")]:
        if status == 503:
            service.lineup("classification", None)
            service.lineup("detection", None)
        first, *others = told(query)
        assert (first.status, first.code) == (status, code)
        assert others == [first, first]


def test_nothing_deployed(service: Service) -> None:
    service.lineup("classification", None)
    body = problem(service.client.post("/v1/classify", files={"image": encoded()}), 503, "not_deployed")
    assert "visionloop promote" in body.action
    assert service.client.get("/readyz").status_code == 200
    service.lineup("detection", None)
    problem(service.client.get("/readyz"), 503, "not_deployed")
    assert service.client.get("/livez").status_code == 200


def test_the_shadow_is_compared_and_never_answers(service: Service, bundles: dict[str, Path]) -> None:
    service.lineup(
        "classification",
        Lineup(champion=variant(bundles["classification"]), shadow=variant(bundles["classification-2"], "2")),
    )
    for seed in range(4):
        answer = service.client.post("/v1/classify", files={"image": encoded(seed=seed)}).json()
        assert answer["model"]["version"] == "1"
    # The comparison runs after the answer; one more request gives the loop a turn.
    service.client.get("/livez")
    assert service.api.store is not None
    assert service.api.store.flush()
    text = service.client.get("/v1/models").text
    assert '"shadow"' in text


def test_a_failing_canary_is_made_good_and_stopped(
    service: Service, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    service.lineup(
        "classification",
        Lineup(champion=variant(bundles["classification"]), canary=canary(bundles["classification-2"], 1.0)),
    )
    live = service.api.fleet.lineups["classification"].canary
    assert live is not None
    monkeypatch.setattr(live.predictor, "run", lambda _: (_ for _ in ()).throw(RuntimeError("broken")))
    for _ in range(31):
        answer = service.client.post("/v1/classify", files={"image": encoded()})
        assert answer.json()["model"]["role"] == "champion"
    for _ in range(50):
        service.client.get("/livez")
        held = Deployment.read(service.root / "mlruns/deployment.json").tasks["classification"].canary
        assert held is not None
        if held.share == 0:
            break
    assert held.share == 0
    assert "failed" in str(held.stopped)


def test_a_canary_that_comes_again_is_judged_anew(
    service: Service, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = variant(bundles["classification"])
    first, other = canary(bundles["classification-2"], 1.0), canary(bundles["classification"], 1.0, "3")

    def fail(times: int) -> None:
        service.lineup("classification", Lineup(champion=champion, canary=first))
        live = service.api.fleet.lineups["classification"].canary
        assert live is not None
        monkeypatch.setattr(live.predictor, "run", lambda _: (_ for _ in ()).throw(RuntimeError("broken")))
        for _ in range(times):
            assert service.client.post("/v1/classify", files={"image": encoded()}).status_code == 200

    fail(20)
    service.lineup("classification", Lineup(champion=champion, canary=other))
    assert service.client.post("/v1/classify", files={"image": encoded()}).status_code == 200
    fail(20)
    lineup = service.api.fleet.lineups["classification"]
    assert lineup.share == 1.0


def test_a_canary_is_stopped_here_even_where_the_pointer_cannot_be_written(
    service: Service, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = canary(bundles["classification-2"], 1.0)
    service.lineup("classification", Lineup(champion=variant(bundles["classification"]), canary=bad))

    def refuse(*_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr("visionloop.serving.models.change", refuse)
    with pytest.raises(PermissionError):
        service.api.fleet.stop_canary("classification", bad.digest, "slow")
    answer = service.client.post("/v1/classify", files={"image": encoded()})
    assert answer.json()["model"]["role"] == "champion"


def test_a_prediction_is_remembered_with_its_image_hashed_off_the_event_loop(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def hashed(data: bytes) -> str:
        threads.append(threading.current_thread().name)
        return hashlib.sha256(data).hexdigest()

    monkeypatch.setattr("visionloop.serving.live.sha256_bytes", hashed)
    image = encoded()
    answer = service.client.post("/v1/classify", files={"image": image}).json()
    found = service.client.get(f"/v1/predictions/{answer['predictions'][0]['id']}").json()
    assert (found["image_sha256"], found["image_bytes"]) == (hashlib.sha256(image).hexdigest(), len(image))
    assert (found["result"], found["request_id"]) == (answer["predictions"][0], answer["request_id"])
    assert [name.startswith("inference") for name in threads] == [True]


@pytest.mark.parametrize("verb", ["classify", "detect"])
def test_rows_mean_the_same_whatever_was_asked_for(service: Service, verb: str) -> None:
    files = {"image": encoded()}
    plain = service.client.post(f"/v1/{verb}", files=files).json()["predictions"][0]
    asked = service.client.post(f"/v1/{verb}?threshold=0&top_k=1", files=files).json()["predictions"][0]
    stored = service.client.get(f"/v1/predictions/{asked['id']}").json()["result"]
    # The page asks for everything and draws its own line; what is kept is what the model says by its operating point.
    assert stored == plain | {"id": asked["id"]}
    assert stored != asked


def test_stored_images_hold_pixels_only(service: Service) -> None:
    polyglot = encoded(format="JPEG") + b"<html><script>alert(1)</script></html>"
    service.client.post("/v1/classify", files={"image": polyglot})
    service.client.post("/v1/classify?store=false", files={"image": encoded(seed=9)})
    service.api.close()
    kept = [path for path in (service.root / "mlruns/images").rglob("*") if path.is_file()]
    assert len(kept) == 1
    assert b"script" not in kept[0].read_bytes()
    assert Image.open(kept[0]).size == (48, 40)


def test_unknown_routes_and_methods_are_problems(service: Service) -> None:
    problem(service.client.get("/nowhere"), 404, "no_such_route")
    problem(service.client.get("/v1/classify"), 405, "method_not_allowed")
    problem(
        service.client.post("/v1/classify", json={"image": "http://example.org/cat.jpg"}), 415, "unsupported_media_type"
    )


def test_the_openapi_document_names_every_route(service: Service) -> None:
    document = service.client.get("/openapi.json").json()
    assert {"/v1/classify", "/v1/detect", "/v1/predict", "/v1/feedback", "/v1/models"} <= document["paths"].keys()
    references = [part.split('"')[0] for part in json.dumps(document).split('"#/components/schemas/')[1:]]
    assert set(references) <= document["components"]["schemas"].keys()
