"""What deploy/ holds for GPUs fits what it holds for CPUs; neither a GPU nor a cluster is needed."""

from __future__ import annotations

import re

import pytest

from tests.deploy.place import DEPLOY, ROOT, load
from visionloop.core.settings import parse_settings
from visionloop.serving.settings import ServingSettings


@pytest.mark.parametrize(
    ("gpu", "cpu"),
    [("params.gpu.yaml", "params.yaml"), ("kubernetes-gpu/params.yaml", "kubernetes/params.yaml")],
)
def test_settings_differ_in_what_a_gpu_asks_for_only(gpu: str, cpu: str) -> None:
    found, base = load(gpu)["serving"], load(cpu)["serving"]
    assert {key for key in found.keys() | base.keys() if found.get(key) != base.get(key)} == {
        "workers", "runtime", "batching",
    }  # fmt: skip
    settings = parse_settings(ServingSettings, found, where=gpu)
    assert settings.runtime.device == "cuda"
    assert settings.runtime.prepared_batch_sizes[-1] == settings.batching.max_batch
    assert settings.workers == 1


def requirements(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split(" ;")[0].split("==") for line in lines)


def test_requirements_differ_in_onnx_runtimes_build_and_its_libraries_only() -> None:
    gpu, cpu = requirements("requirements-serve-gpu.txt"), requirements("requirements-serve.txt")
    assert "onnxruntime" not in gpu
    assert gpu.pop("onnxruntime-gpu") == cpu.pop("onnxruntime")
    assert cpu.items() <= gpu.items()
    added = gpu.keys() - cpu.keys()
    assert {"nvidia-cuda-runtime", "nvidia-cudnn-cu13"} <= added
    assert all(name.startswith("nvidia-") for name in added)


def test_the_image_takes_either_requirements() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^ARG REQUIREMENTS=requirements-serve\.txt$", text, re.MULTILINE)
    assert '-r "$REQUIREMENTS"' in text
    assert re.search(r"^COPY .*requirements-serve-gpu\.txt", text, re.MULTILINE)


def test_compose_gives_the_service_a_gpu_and_the_same_mounts() -> None:
    base, found = load("docker-compose.yml")["services"], load("docker-compose.gpu.yml")["services"]
    assert found.keys() == {"models", "service"}
    for name, override in found.items():
        assert override["image"] != base[name]["image"]
        assert (ROOT / override["build"]["args"]["REQUIREMENTS"]).is_file()
    (mount,) = found["service"]["volumes"]
    source, target, _ = mount.split(":")
    assert (DEPLOY / source).is_file()
    assert target in {volume.split(":")[1] for volume in base["service"]["volumes"]}
    (device,) = found["service"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


def test_kubernetes_patches_what_exists() -> None:
    found, base = load("kubernetes-gpu/kustomization.yaml"), load("kubernetes/kustomization.yaml")
    assert found["resources"] == ["../kubernetes"]
    assert found["namespace"] == base["namespace"]
    (params,) = found["configMapGenerator"]
    assert (params["name"], params["behavior"]) == (base["configMapGenerator"][0]["name"], "replace")
    assert {image["name"] for image in found["images"]} <= {image["name"] for image in base["images"]}
    for patch in found["patches"]:
        override, original = load(f"kubernetes-gpu/{patch['path']}"), load(f"kubernetes/{patch['path']}")
        for key in ("apiVersion", "kind"):
            assert override[key] == original[key]
        assert override["metadata"]["name"] == original["metadata"]["name"]


def test_a_pod_has_one_gpu_for_its_one_worker() -> None:
    spec = load("kubernetes-gpu/deployment.yaml")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    original = load("kubernetes/deployment.yaml")["spec"]["template"]["spec"]["containers"]
    assert container["name"] in {one["name"] for one in original}
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
