"""Running a graph on an NVIDIA GPU: settings, ONNX Runtime's provider, and batches of few sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from visionloop.artifact.settings import CudaSettings
from visionloop.core.errors import ConfigError

PROVIDER = "CUDAExecutionProvider"
"""ONNX Runtime's name for running on CUDA."""


class Graph(Protocol):
    """A loaded graph."""

    def run(self, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        """Outputs by name for uint8 [N,H,W,3]."""
        ...


class SizedBatches:
    """Gives its graphs batches of few sizes.

    ONNX Runtime plans its convolutions anew whenever a session meets another shape than the last time, which costs
    more than an inference; so there is a session for each size, and it never sees another. torch with `exhaustive`
    tries out all convolutions for a shape that it has not seen; so it sees few.
    """

    def __init__(self, graphs: Mapping[int, Graph]) -> None:
        """Take the graphs.

        Args:
            graphs: By their batch size, rising.
        """
        self._graphs = graphs

    def run(self, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        """Outputs by name for uint8 [N,H,W,3], N at least 1."""
        largest = max(self._graphs)
        parts = [self._run_one(images[start : start + largest]) for start in range(0, len(images), largest)]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run_one(self, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        count = len(images)
        size = next(size for size in self._graphs if size >= count)
        if size > count:
            filled = np.zeros((size, *images.shape[1:]), np.uint8)
            filled[:count] = images
            images = filled
        return {name: value[:count] for name, value in self._graphs[size].run(images).items()}


def provider(settings: CudaSettings) -> tuple[str, dict[str, str]]:
    """ONNX Runtime's provider with its options."""
    options = {
        "device_id": str(settings.device_id),
        # By powers of two, the default, a worker would hold up to twice of what it needs; the shapes are known.
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": settings.conv_search.upper(),
        "use_tf32": str(int(settings.tf32)),
        # A CUDA graph wants its inputs and outputs at fixed addresses on the GPU; ours come from the queue.
        "enable_cuda_graph": "0",
    }
    if settings.memory_mb:
        options["gpu_mem_limit"] = str(settings.memory_mb * 2**20)
    return PROVIDER, options


def require_provider(version: str, available: Sequence[str]) -> None:
    """See that this build of ONNX Runtime knows CUDA.

    Args:
        version: Of ONNX Runtime.
        available: Its providers.

    Raises:
        ConfigError: it is the build for CPUs.
    """
    if PROVIDER not in available:
        raise ConfigError(
            f"the installed ONNX Runtime {version} is a build without CUDA",
            where="setting runtime.device",
            expected="the package onnxruntime-gpu in place of onnxruntime (both together overwrite each other)",
            action="`pip uninstall --yes onnxruntime onnxruntime-gpu`, then "
            f"`pip install 'onnxruntime-gpu[cuda,cudnn]=={version}'`; or set runtime.device=cpu",
        )


def require_active(version: str, active: Sequence[str]) -> None:
    """See that a session runs on CUDA; ONNX Runtime itself goes on with the CPU where it cannot.

    Args:
        version: Of ONNX Runtime.
        active: The session's providers.

    Raises:
        ConfigError: it runs elsewhere.
    """
    if PROVIDER not in active:
        raise ConfigError(
            f"ONNX Runtime {version} could not start on CUDA and would have gone on with {', '.join(active)}",
            where="setting runtime.device",
            expected="an NVIDIA GPU, a driver, and CUDA and cuDNN libraries that fit this build",
            action="see that `nvidia-smi` shows a GPU and CUDA_VISIBLE_DEVICES does not hide it; install "
            f"'onnxruntime-gpu[cuda,cudnn]=={version}' for the libraries; or set runtime.device=cpu",
        )
