"""What people say of predictions: what is taken, and how what is not is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.serving.conftest import Service, encoded, problem

JSON = {"Content-Type": "application/json"}


def asked(service: Service) -> str:
    """The id of a prediction."""
    answer = service.client.post("/v1/classify", files={"image": encoded()}).json()
    return str(answer["predictions"][0]["id"])


def test_feedback(service: Service) -> None:
    id_ = service.client.post("/v1/classify", files={"image": encoded()}).json()["predictions"][0]["id"]
    hostile = "<script>alert('x')</script>"
    sent = {"prediction_id": id_, "verdict": "corrected", "label": hostile, "note": "'); DROP TABLE feedback;--"}
    for _ in range(2):
        assert service.client.post("/v1/feedback", json=sent).json() == {
            "prediction_id": id_, "verdict": "corrected",
            "remark": f"retraining will not use it: the model has no class {hostile!r}",
        }  # fmt: skip
    found = service.client.get(f"/v1/predictions/{id_}").json()
    assert hostile in json.dumps(found)
    boxes = [{"class": "red", "box_xyxy": [1, 2, 3, 4]}]
    sent = {"prediction_id": id_, "verdict": "corrected", "label": boxes}
    remark = service.client.post("/v1/feedback", json=sent).json()["remark"]
    assert remark == "retraining will not use it: the answer has one class, the label has not"
    sent = {"prediction_id": id_, "verdict": "corrected", "label": "red"}
    assert service.client.post("/v1/feedback", json=sent).json()["remark"] is None
    problem(
        service.client.post("/v1/feedback", json={"prediction_id": "no", "verdict": "right"}), 404, "unknown_prediction"
    )
    problem(service.client.get("/v1/predictions/no"), 404, "unknown_prediction")
    bodies: list[Any] = [
        {},
        {"prediction_id": id_, "verdict": "maybe"},
        {"prediction_id": id_, "verdict": "corrected"},
        [],
    ]
    for body in bodies:
        problem(service.client.post("/v1/feedback", json=body), 422, "bad_feedback")
    # Numbers that no box has, and fields nobody reads: a lone surrogate among them could not be given out again.
    for box in (b"[NaN, 0, 1, 1]", b"[0, 0, 1e999, 1]", b'[0, 0, 1, 1], "score": "\\ud800"'):
        content = b'{"prediction_id": "%b", "verdict": "corrected", "label": [{"class": "a", "box_xyxy": %b}]}'
        sent = {"content": content % (id_.encode(), box), "headers": {"Content-Type": "application/json"}}
        problem(service.client.post("/v1/feedback", **sent), 422, "bad_feedback")
    assert service.client.get(f"/v1/predictions/{id_}").status_code == 200
    problem(
        service.client.post("/v1/feedback", content=b"{", headers={"Content-Type": "application/json"}),
        400,
        "malformed_json",
    )


def box(*corners: float, name: str = "red") -> list[dict[str, Any]]:
    return [{"class": "blue", "box_xyxy": [0, 0, 4, 4]}, {"class": name, "box_xyxy": list(corners)}]


@pytest.mark.parametrize(
    ("sent", "where", "what"),
    [
        ({"label": box(5, 1, 5, 9)}, "label.1.box_xyxy", "the box from (5, 1) to (5, 9) has no area"),
        ({"label": box(5, 9, 8, 1)}, "label.1.box_xyxy", "the box from (5, 9) to (8, 1) has no area"),
        ({"label": box(5, 1, 8)}, "label.1.box_xyxy.3", "Field required"),
        ({"label": box(0, 0, 1, 1, name="r\0d")}, "label.1.class", "the text has the character NUL"),
        ({"label": ["red"]}, "label.0", "Input should be a valid dictionary"),
        ({"label": "r\0d", "colour": 1}, "label", "the text has the character NUL"),
        ({"label": 7}, "label", "a label is a class name or a list of boxes"),
        ({"label": ""}, "label", "at least 1"),
        ({"label": "r\0d"}, "label", "the text has the character NUL"),
        ({"label": "red", "note": "\ud800"}, "note", "half a surrogate pair"),
        ({"label": "red", "note": "\0"}, "note", "the text has the character NUL"),
        ({"label": "red", "prediction_id": "\0"}, "prediction_id", "the text has the character NUL"),
    ],
)
def test_the_refusal_names_what_is_wrong(service: Service, sent: dict[str, Any], where: str, what: str) -> None:
    body = json.dumps({"prediction_id": "x", "verdict": "corrected", **sent})
    refused = problem(service.client.post("/v1/feedback", content=body, headers=JSON), 422, "bad_feedback")
    assert refused.where == where
    assert what in refused.detail


def test_no_object_at_all_is_a_correction(service: Service) -> None:
    id_ = asked(service)
    sent = {"prediction_id": id_, "verdict": "corrected", "label": []}
    assert service.client.post("/v1/feedback", json=sent).status_code == 200
    assert service.client.get(f"/v1/predictions/{id_}").json()["feedback"][0]["label"] == []


@pytest.mark.parametrize("kind", ["Application/JSON", "application/json ; charset=utf-8", "APPLICATION/JSON;x=y"])
def test_the_case_of_a_content_type_does_not_matter(service: Service, kind: str) -> None:
    content = json.dumps({"prediction_id": asked(service), "verdict": "right"})
    answer = service.client.post("/v1/feedback", content=content, headers={"Content-Type": kind})
    assert answer.status_code == 200, answer.text


def test_an_id_that_no_database_takes_is_unknown(service: Service) -> None:
    problem(service.client.get("/v1/predictions/%00"), 404, "unknown_prediction")
