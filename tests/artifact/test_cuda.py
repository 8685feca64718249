"""Graphs on a GPU, as far as a machine without one can tell; with one, the tests marked `gpu` run too."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from pydantic import ValidationError

from visionloop.artifact.bundle import Bundle
from visionloop.artifact.cuda import PROVIDER, SizedBatches
from visionloop.artifact.predictor import Predictor
from visionloop.artifact.runtimes import open_runtime
from visionloop.artifact.settings import CudaSettings, RuntimeSettings
from visionloop.core.errors import BundleError, ConfigError

ON_CUDA = RuntimeSettings(device="cuda", threads=1, cuda=CudaSettings(batch_sizes=(1, 2, 8)))
has_provider = PROVIDER in ort.get_available_providers()


def noise(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).integers(0, 255, (count, 64, 64, 3), dtype=np.uint8)


@dataclass
class FakeGpuBuild:
    """ONNX Runtime's GPU build, which computes on the CPU and notes what it is asked."""

    active: bool = True
    spoil_batch: int = 0
    providers: list[Any] = field(default_factory=list)
    batches: list[list[int]] = field(default_factory=list)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> FakeGpuBuild:
        build, real = self, ort.InferenceSession

        class Session:
            def __init__(self, path: str, options: Any, *, providers: Any) -> None:
                build.providers.append(providers)
                build.batches.append([])
                self.batches = build.batches[-1]
                self.session = real(path, options, providers=["CPUExecutionProvider"])

            def get_providers(self) -> list[str]:
                return [PROVIDER, "CPUExecutionProvider"] if build.active else ["CPUExecutionProvider"]

            def run(self, names: list[str], feeds: dict[str, Any]) -> list[Any]:
                self.batches.append(len(feeds["images"]))
                outputs = self.session.run(names, feeds)
                return [value + 9 for value in outputs] if len(feeds["images"]) == build.spoil_batch else outputs

        monkeypatch.setattr(ort, "get_available_providers", lambda: [PROVIDER, "CPUExecutionProvider"])
        monkeypatch.setattr(ort, "preload_dlls", lambda: None)
        monkeypatch.setattr(ort, "InferenceSession", Session)
        return self


@pytest.mark.skipif(has_provider, reason="ONNX Runtime's GPU build is installed")
def test_the_build_for_cpus_says_which_package_to_install(bundle_root: Path) -> None:
    with pytest.raises(ConfigError, match="is a build without CUDA") as error:
        Predictor.open(bundle_root, ON_CUDA)
    assert error.value.where == "setting runtime.device"
    assert f"'onnxruntime-gpu[cuda,cudnn]=={ort.__version__}'" in error.value.action
    assert "runtime.device=cpu" in error.value.action


def test_a_silent_way_back_to_the_cpu_is_an_error(bundle_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeGpuBuild(active=False).install(monkeypatch)
    with pytest.raises(ConfigError, match="would have gone on with CPUExecutionProvider") as error:
        Predictor.open(bundle_root, ON_CUDA)
    assert "nvidia-smi" in error.value.action


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_torch_without_a_gpu(bundle_root: Path) -> None:
    with pytest.raises(ConfigError, match="finds no GPU number 0: there are 0"):
        Predictor.open(bundle_root, RuntimeSettings(engine="torch", device="cuda"))


def test_openvino_stays_on_the_cpu(bundle_root: Path) -> None:
    with pytest.raises(ConfigError, match="OpenVINO runs here on the CPU only"):
        open_runtime(Bundle.open(bundle_root), RuntimeSettings(engine="openvino", device="cuda"))


def test_the_provider_gets_its_options(bundle_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = FakeGpuBuild().install(monkeypatch)
    cuda = CudaSettings(device_id=1, batch_sizes=(4,), memory_mb=512, conv_search="exhaustive", tf32=True)
    open_runtime(Bundle.open(bundle_root), RuntimeSettings(device="cuda", cuda=cuda))
    assert build.providers == [[
        (PROVIDER, {
            "device_id": "1",
            "arena_extend_strategy": "kSameAsRequested",
            "cudnn_conv_algo_search": "EXHAUSTIVE",
            "use_tf32": "1",
            "enable_cuda_graph": "0",
            "gpu_mem_limit": str(512 * 2**20),
        }),
        "CPUExecutionProvider",
    ]]  # fmt: skip


def test_a_session_sees_one_batch_size_only_and_is_warm_when_opened(
    bundle_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = FakeGpuBuild().install(monkeypatch)
    predictor = Predictor.open(bundle_root, ON_CUDA)
    assert build.batches == [[1], [2], [8]]
    for count in (1, 2, 3, 8, 11):
        predictor.run(noise(count))
    assert [set(batches) for batches in build.batches] == [{1}, {2}, {8}]


def test_a_graph_that_answers_wrongly_in_one_batch_size_is_refused(
    bundle_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeGpuBuild(spoil_batch=8).install(monkeypatch)
    with pytest.raises(BundleError, match="of the golden batch differs by") as error:
        Predictor.open(bundle_root, ON_CUDA)
    assert error.value.where.endswith("batch of 8")


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 21])
def test_filled_and_cut_batches_answer_as_whole_ones(bundle_root: Path, count: int) -> None:
    plain = open_runtime(Bundle.open(bundle_root), RuntimeSettings(threads=1))
    images = noise(count)
    expected, found = plain.run(images), SizedBatches(dict.fromkeys((1, 2, 8), plain)).run(images)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape
        assert np.allclose(found[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("sizes", [(), (0, 1), (8, 1), (1, 1), (1, 2000)])
def test_batch_sizes_rise(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="batch_sizes must rise"):
        CudaSettings(batch_sizes=sizes)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_a_gpu_answers_as_the_cpu_does(bundle_root: Path, engine: str) -> None:
    if engine == "onnxruntime" and not has_provider:
        pytest.skip("ONNX Runtime's build for CPUs is installed")
    settings = RuntimeSettings(engine=engine, device="cuda", cuda=CudaSettings(batch_sizes=(1, 4)))  # type: ignore[arg-type]
    expected = Predictor.open(bundle_root, RuntimeSettings(threads=1)).run(noise(5))
    found = Predictor.open(bundle_root, settings).run(noise(5))
    for name, value in expected.items():
        assert np.allclose(found[name], value, atol=5e-3 * max(1.0, float(np.abs(value).max())))
