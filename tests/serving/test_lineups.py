"""Champion, canary and shadow behind the API: who answers, and what changes that."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.serving.conftest import Service, canary, encoded, problem, variant
from visionloop.artifact.deployment import Deployment, Lineup
from visionloop.serving.schema import ModelsAnswer


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
