"""The engines that run a bundle's graph: ONNX Runtime, OpenVINO, torch. Equal within tolerance."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from visionloop.artifact.bundle import GRAPH, WEIGHTS, Bundle
from visionloop.artifact.cuda import SizedBatches, provider, require_active, require_provider
from visionloop.artifact.settings import CudaSettings, RuntimeName, RuntimeSettings
from visionloop.core.cores import cpu_quota, usable_cores
from visionloop.core.errors import ConfigError, ModelError
from visionloop.core.settings import parse_settings


class Runtime(Protocol):
    """A loaded graph."""

    def run(self, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        """Outputs by name for uint8 [N,H,W,3]."""
        ...


def open_runtime(bundle: Bundle, settings: RuntimeSettings) -> Runtime:
    """Load the bundle's graph into the engine of choice.

    Raises:
        ConfigError: the engine is not installed, or does not run on that device.
        ModelError: the engine cannot load the graph.
    """
    if settings.precision != "f32" and settings.engine != "openvino":
        raise ConfigError(
            f"{settings.engine} runs the graph as it is, not in {settings.precision}",
            where="setting runtime.precision",
            expected="f32",
            action="set runtime.precision=f32, or runtime.engine=openvino",
        )
    try:
        return _RUNTIMES[settings.engine](bundle, settings)
    except ImportError as error:
        extra = {"openvino": "openvino", "torch": "train"}.get(settings.engine, "serve")
        raise ConfigError(
            f"the engine {settings.engine!r} is not installed ({error.name} is missing)",
            where="setting runtime.engine",
            expected="an installed engine",
            action=f"install visionloop[{extra}], or choose runtime.engine=onnxruntime",
        ) from None


class OnnxGraph:
    """A graph file in ONNX Runtime."""

    def __init__(self, path: Path, outputs: Sequence[str], settings: RuntimeSettings) -> None:
        # The Linux and Windows builds keep a device id and an event database in the home folder unless told not to.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = _threads(settings)
        options.log_severity_level = 3
        # Spinning threads of several workers fight for the same cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
        if settings.device == "cuda":
            require_provider(ort.__version__, ort.get_available_providers())
            # CUDA and cuDNN from the packages in this environment, where the system has none.
            ort.preload_dlls()
            providers.insert(0, provider(settings.cuda))
        try:
            self._session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime raises its own untyped errors
            raise _broken_graph(path, error) from None
        if settings.device == "cuda":
            require_active(ort.__version__, self._session.get_providers())
        self._names = outputs

    def run(self, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        """Outputs by name for uint8 [N,H,W,3]."""
        return dict(zip(self._names, self._session.run(list(self._names), {"images": images}), strict=True))


class _OpenVino:
    def __init__(self, bundle: Bundle, settings: RuntimeSettings) -> None:
        import openvino as ov

        if settings.device != "cpu":
            raise ConfigError(
                "OpenVINO runs here on the CPU only",
                where="setting runtime.device",
                expected="cpu",
                action="set runtime.device=cpu, or runtime.engine=onnxruntime",
            )
        core = ov.Core()
        # Always said: where there are bf16 units OpenVINO would take them, and answers would differ by machine.
        config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": settings.precision, "PERFORMANCE_HINT": "LATENCY"}
        if threads := _threads(settings):
            config["INFERENCE_NUM_THREADS"] = threads
        try:
            self._model = core.compile_model(str(bundle.root / GRAPH), "CPU", config)
        except RuntimeError as error:
            raise _broken_graph(bundle.root / GRAPH, error) from None
        self._names = bundle.manifest.outputs

    def run(self, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        result = self._model([images])
        return {name: np.array(result[name]) for name in self._names}


class _Torch:
    def __init__(self, bundle: Bundle, settings: RuntimeSettings) -> None:
        import torch
        from safetensors.torch import load_file

        from visionloop.task import load_task

        if settings.device == "cuda":
            _prepare_torch_cuda(settings.cuda)
        if threads := _threads(settings):
            torch.set_num_threads(threads)
        manifest = bundle.manifest
        task = load_task(manifest.task)
        where = str(bundle.root)
        # The bundle's own weights follow; fetching pretrained ones first would need the network.
        model = parse_settings(task.model_settings, manifest.model | {"weights": None}, where=where)
        augment = task.augment_settings()
        learner = task.learner(model, augment, num_classes=len(manifest.classes), recipe=manifest.recipe)
        learner.module.load_state_dict(load_file(bundle.root / WEIGHTS))
        self._device = torch.device(f"cuda:{settings.cuda.device_id}" if settings.device == "cuda" else "cpu")
        self._graph = learner.graph().eval().to(self._device)
        self._names = manifest.outputs
        self._one_at_a_time = threading.Lock()

    def run(self, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        import torch

        with torch.inference_mode():
            inputs = torch.from_numpy(images).to(self._device)
            # A graph takes its embedding by a hook on a module, which would also see what other threads put through
            # it. On a GPU this only orders the launches: what is waited for is the copy below.
            with self._one_at_a_time:
                outputs = self._graph(inputs)
        return {name: value.cpu().numpy() for name, value in zip(self._names, outputs, strict=True)}


def _threads(settings: RuntimeSettings) -> int:
    """0 leaves it to the engine, which knows what cores share, but not of a quota."""
    return settings.threads or (usable_cores() if cpu_quota() is not None else 0)


def _prepare_torch_cuda(settings: CudaSettings) -> None:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if settings.device_id >= count:
        raise ConfigError(
            f"torch {torch.__version__} finds no GPU number {settings.device_id}: there are {count} that it can use",
            where="setting runtime.device",
            expected="an NVIDIA GPU, a driver that fits, and a build of torch for CUDA",
            action="see that `nvidia-smi` shows a GPU and CUDA_VISIBLE_DEVICES does not hide it; "
            "or set runtime.device=cpu",
        )
    torch.backends.cudnn.benchmark = settings.conv_search == "exhaustive"
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = settings.tf32
    if settings.memory_mb:
        memory = torch.cuda.get_device_properties(settings.device_id).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, settings.memory_mb * 2**20 / memory), settings.device_id)


def _open_onnx(bundle: Bundle, settings: RuntimeSettings) -> Runtime:
    def load() -> OnnxGraph:
        return OnnxGraph(bundle.root / GRAPH, bundle.manifest.outputs, settings)

    sizes = settings.prepared_batch_sizes
    return SizedBatches({size: load() for size in sizes}) if sizes else load()


def _open_torch(bundle: Bundle, settings: RuntimeSettings) -> Runtime:
    runtime = _Torch(bundle, settings)
    sizes = settings.prepared_batch_sizes
    return SizedBatches(dict.fromkeys(sizes, runtime)) if sizes else runtime


_RUNTIMES: dict[RuntimeName, Callable[[Bundle, RuntimeSettings], Runtime]] = {
    "onnxruntime": _open_onnx,
    "openvino": _OpenVino,
    "torch": _open_torch,
}


def _broken_graph(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"the graph cannot be loaded: {str(error).splitlines()[0][:200]}",
        where=str(path),
        expected="a graph that this engine's version understands",
        action="export the bundle again with the installed versions",
    )
