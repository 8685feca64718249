"""The examples of docs/api.md and docs/serving.md, every one of them, run against a service."""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.api_reference import API_TARGET, api_reference
from tests.serving.conftest import encoded
from tests.serving.live import Server, serving
from tests.web.catalog import write_report
from visionloop.serving.client import Client
from visionloop.serving.examples import BATCH_ID, PREDICTION_ID, URL

ROOT = Path(__file__).resolve().parents[2]
API = (ROOT / API_TARGET).read_text()
SERVING = (ROOT / "docs/serving.md").read_text()

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@dataclass(frozen=True)
class Block:
    """A fenced block: the heading above it, the line before it, its language and text."""

    section: str
    before: str
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    found, section, before = [], "", ""
    lines = iter(page.splitlines())
    for line in lines:
        if line.startswith("```"):
            text = "\n".join(iter(lambda: next(lines), "```"))
            found.append(Block(section, before, line.removeprefix("```"), text))
        elif line.startswith("#"):
            section = line.lstrip("# ")
        elif line:
            before = line
    return found


def test_the_reference_is_what_the_code_says() -> None:
    """Whoever edits the API runs `python -m pipelines.reference`."""
    assert api_reference() == API


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Path]) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("documented")
    scenes = {f"scene-{number}.png": encoded(seed=number) for number in range(3)}
    for name in ("digit.png", "scene.png", "scan.png", "photo.jpg", "a.jpg", "b.jpg"):
        (folder / name).write_bytes(encoded(format="JPEG" if name.endswith("jpg") else "PNG"))
    for name in ("digits.zip", "photos.zip"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            for member, data in scenes.items():
                archive.writestr(member, data)
    image = base64.b64encode(encoded()).decode()
    config = (
        "<View><Image name='image' value='$image'/><Choices name='label' toName='image'>"
        "<Choice value='red'/><Choice value='green'/><Choice value='blue'/></Choices></View>"
    )
    tasks = [{"id": 17, "data": {"image": f"data:image/png;base64,{image}"}}]
    (folder / "setup.json").write_text(json.dumps({"schema": config}))
    (folder / "tasks.json").write_text(json.dumps({"tasks": tasks, "label_config": config}))
    write_report(folder)
    with serving(folder, bundles) as found:
        yield found


@dataclass(frozen=True)
class Reality:
    """What stands in a running service for what the documents name."""

    server: Server

    def __call__(self, text: str) -> str:
        """The text about this service; ids that it names are made."""
        with Client(self.server.url) as client:
            if PREDICTION_ID in text:
                text = text.replace(PREDICTION_ID, client.classify(encoded()).predictions[0].id)
            if BATCH_ID in text:
                batch = client.submit_batch(self.server.folder / "digits.zip", task="classification")
                text = text.replace(BATCH_ID, client.wait_batch(batch.id, timeout_s=60, poll_s=0.1).id)
        return text.replace(URL, self.server.url)

    def shell(self, command: str) -> tuple[int, bytes]:
        """The status and body that a curl command gets."""
        line = f"{self(command)} --silent --show-error --output answer --write-out '%{{http_code}}'"
        target = re.search(r" -o (\S+)", command)
        if target:
            line = line.replace("--output answer ", "")
        done = subprocess.run(["bash", "-ec", line], cwd=self.server.folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        return int(done.stdout), (self.server.folder / (target[1] if target else "answer")).read_bytes()


@pytest.fixture(scope="module")
def reality(server: Server) -> Reality:
    return Reality(server)


# What another model, image or service fills differently.
FREE = {
    "results", "metrics", "operating_point", "failures", "features", "classes", "grid", "label",
    "by_class", "by_code", "by_status", "by_version",
}  # fmt: skip


def same_shape(documented: Any, real: Any, where: str) -> None:
    """Keys and kinds agree; of lists, the first entries where both have one."""
    if documented is None or real is None:
        return
    if isinstance(documented, dict):
        assert isinstance(real, dict), where
        assert documented.keys() == real.keys(), where
        for key in documented.keys() - FREE:
            same_shape(documented[key], real[key], f"{where}.{key}")
    elif isinstance(documented, list):
        assert isinstance(real, list), where
        if documented and real:
            same_shape(documented[0], real[0], f"{where}[0]")
    else:
        number = int | float
        kind = number if isinstance(documented, number) and not isinstance(documented, bool) else type(documented)
        assert isinstance(real, kind), where


API_BLOCKS = blocks(API)
CURLS = [block for block in API_BLOCKS if block.language == "bash"]


def documented_answer(section: str) -> tuple[int, str]:
    """Status of a route's answer, and its example, empty where there is none."""
    answer = re.search(rf"^### {re.escape(section)}$.*?^Answer (\d+)", API, re.DOTALL | re.MULTILINE)
    assert answer, section
    shown = [b.text for b in API_BLOCKS if b.section == section and b.before.startswith(f"Answer {answer[1]}")]
    return int(answer[1]), shown[0] if shown else ""


@pytest.mark.slow
@needs_curl
@pytest.mark.parametrize("block", CURLS, ids=lambda block: block.section)
def test_curl_gets_what_the_reference_shows(block: Block, reality: Reality) -> None:
    status, body = reality.shell(block.text)
    expected, example = documented_answer(block.section)
    if block.section == "DELETE /v1/batches/{id}":
        expected = 204  # it was finished
    if block.section == "POST /v1/models/change":
        expected, example = 404, ""  # nothing is registered here
    assert status == expected, body
    if block.section == "POST /v1/explain":
        assert body.startswith(b"\x89PNG")
    elif block.section == "GET /v1/predictions/{id}/image":
        assert body.startswith(b"\xff\xd8")  # JPEG
    elif block.section == "GET /v1/models/reports/{id}/examples/{name}":
        assert body.startswith(b"\x89PNG")
    elif example.startswith(("{", "[")):
        same_shape(json.loads(example), json.loads(body), block.section)
    elif example:
        assert body.decode().splitlines()[0] == example.splitlines()[0]


@pytest.mark.slow
@needs_curl
def test_an_explanation_in_numbers_is_as_shown(reality: Reality) -> None:
    (command,) = (block.text for block in CURLS if block.section == "POST /v1/explain")
    _, example = documented_answer("POST /v1/explain")
    status, body = reality.shell(f"{command} -H 'Accept: application/json'")
    assert status == 200
    same_shape(json.loads(example), json.loads(body), "explain")


@pytest.mark.slow
@needs_curl
def test_the_bodies_of_feedback_are_accepted(reality: Reality) -> None:
    bodies = [block.text for block in API_BLOCKS if block.before.startswith("Body, ")]
    said = [body for body in bodies if "verdict" in body]
    assert len(said) == 3
    assert len(bodies) == 8  # the others are changes, which nothing is registered for here, and Label Studio's
    for body in said:
        status, _ = reality.shell(f"curl --json {shlex.quote(body)} {URL}/v1/feedback")
        assert status == 200


@pytest.mark.slow
def test_the_python_examples_of_the_reference(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(server.folder)
    told: dict[str, str] = {}
    names: dict[str, Any] = {}
    for block in API_BLOCKS:
        if block.language == "python":
            exec(compile(block.text.replace(URL, server.url), block.section, "exec"), names)
            told[block.section] = capsys.readouterr().out
    assert told["POST /v1/classify"].split()[0] in ("blue", "green", "red")
    assert told["POST /v1/predict"].split() == ["classification", "tiny-classification", "1", "detection",
                                                "tiny-detection", "1"]  # fmt: skip
    assert Path("heat.png").read_bytes().startswith(b"\x89PNG")
    assert len(names["rows"]) <= 32
    assert told["WS /v1/stream"].splitlines()[-1].startswith("2 ")
    assert told["POST /v1/batches"].split()[1] == "3"
    assert told["GET /v1/batches/{id}"].splitlines()[-1] == "done 0"
    assert Path("result.csv").read_text().startswith("image,class,score")
    assert told["GET /v1/predictions/{id}"].split() == ["tiny-classification", "1", "7"]
    assert told["GET /v1/queue"].split()[0] in ("uncertain", "novel", "disagreement", "random")
    assert told["POST /v1/models/change"].startswith("unknown_model")
    assert len(told["GET /v1/models"].splitlines()) == 2
    names["client"].close()
    # Every method that asks is shown, but the general one that two of them stand for, and one of a pair.
    methods = {name for name in dir(Client) if not name.startswith("_")} - {"close", "ask"}
    shown = {name for name in methods if re.search(rf"client\.{name}\(", API)}
    assert methods == shown


@pytest.mark.slow
@needs_curl
def test_the_commands_of_the_serving_guide(reality: Reality) -> None:
    batch = ""
    answers = []
    for block in blocks(SERVING):
        for line in block.text.splitlines() if block.language == "bash" else ():
            command = line.split("  #")[0].rstrip()
            if command.startswith("curl ") and "https://" not in command:
                status, body = reality.shell(command.replace("/ID", f"/{batch}"))
                assert status in (200, 202), command
                answers.append(body)
                if status == 202:
                    batch = json.loads(body)["id"]
                    with Client(reality.server.url) as client:
                        assert client.wait_batch(batch, timeout_s=60, poll_s=0.1).failures == 0
            elif command.startswith("visionloop keys "):
                visionloop = Path(sys.executable).parent / command.split()[0]
                done = subprocess.run(
                    [str(visionloop), *shlex.split(command)[1:]],
                    cwd=reality.server.folder, capture_output=True, text=True, timeout=60,
                )  # fmt: skip
                assert done.returncode == 0, f"{command}\n{done.stderr}"
            else:
                # Tried by hand: they start services of their own, or need another machine.
                assert command.startswith(BY_HAND), command
    assert len(answers) >= 6


BY_HAND = ("visionloop serve", "bentoml ", "openssl ", "curl --cacert")


@pytest.mark.slow
def test_the_programs_of_the_serving_guide(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from azure.cognitiveservices.vision.customvision.prediction import CustomVisionPredictionClient
    from msrest.authentication import ApiKeyCredentials

    monkeypatch.chdir(server.folder)
    names: dict[str, Any] = {
        "CustomVisionPredictionClient": CustomVisionPredictionClient,
        "ApiKeyCredentials": ApiKeyCredentials,
        "image_bytes": io.BytesIO(encoded()),
    }
    programs = [block for block in blocks(SERVING) if block.language == "python" and "https://" not in block.text]
    programs += [block for block in blocks(SERVING) if block.language == "python" and "cognitiveservices" in block.text]
    for block in programs:
        exec(compile(block.text.replace(URL, server.url), block.section, "exec"), names)
    assert names["answer"].predictions is not None  # the vendor's, which comes last
    output = capsys.readouterr().out
    assert output.split()[0] in ("blue", "green", "red")
    assert "image,class,score" in output
