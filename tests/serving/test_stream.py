from __future__ import annotations

import asyncio

from tests.serving.conftest import Service, encoded
from visionloop.serving.stream import FrameQueue


def test_frames_are_answered_in_order_as_a_request_would_be(service: Service) -> None:
    images = [encoded(seed=seed) for seed in range(6)]
    expected = [
        service.client.post("/v1/classify", files={"image": image}).json()["predictions"][0]["class"]
        for image in images
    ]
    with service.client.websocket_connect("/v1/stream?task=classification&top_k=2") as socket:
        for number, image in enumerate(images, start=1):
            socket.send_bytes(image)
            answer = socket.receive_json()
            assert (answer["frame"], answer["dropped"]) == (number, 0)
            assert answer["prediction"]["class"] == expected[number - 1]
            assert len(answer["prediction"]["ranked"]) == 2
            assert answer["model"]["version"] == "1"


def test_a_bad_frame_is_refused_and_the_stream_goes_on(service: Service) -> None:
    with service.client.websocket_connect("/v1/stream?task=detection") as socket:
        for bad, code in ((b"no image", "image_unsupported_format"), (b"", "image_empty")):
            socket.send_bytes(bad)
            assert socket.receive_json()["problem"]["code"] == code
        socket.send_text("a text is no frame")
        assert socket.receive_json()["problem"]["code"] == "image_empty"
        socket.send_bytes(encoded())
        assert "detections" in socket.receive_json()["prediction"]


def test_a_stream_needs_a_task_that_is_deployed(service: Service) -> None:
    for query, code in (
        ("", "bad_option"),
        ("?task=segmentation", "bad_option"),
        ("?task=detection&x=1", "bad_option"),
    ):
        with service.client.websocket_connect(f"/v1/stream{query}") as socket:
            assert socket.receive_json()["problem"]["code"] == code
            assert socket.receive()["type"] == "websocket.close"
    service.lineup("detection", None)
    with service.client.websocket_connect("/v1/stream") as socket:
        socket.send_bytes(encoded())
        assert socket.receive_json()["model"]["task"] == "classification"


def test_the_oldest_frames_give_way() -> None:
    async def main() -> list[tuple[int, bytes] | None]:
        queue = FrameQueue(size=2)
        for data in (b"a", b"b", b"c", b"d"):
            queue.put(data)
        assert queue.dropped == 2
        queue.close()
        return [await queue.get() for _ in range(3)]

    assert asyncio.run(main()) == [(3, b"c"), (4, b"d"), None]
