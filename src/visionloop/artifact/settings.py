"""Settings of the export and the engines; apart from them, so that reading a configuration loads no torch or numpy."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from visionloop.core.settings import Settings

RuntimeName = Literal["onnxruntime", "openvino", "torch"]


class ExportSettings(Settings):
    """How the bundle is made and what counts as proof."""

    relative_tolerance: float = Field(default=1e-3, gt=0, le=0.1)
    """Largest difference per output, relative to the output's largest absolute value."""
    max_metric_drop: float = Field(default=0.001, ge=0, le=0.05)
    """Largest loss of the primary metric from framework to graph, absolute."""
    max_parity_images: int = Field(default=1000, ge=1)
    """Validation images compared; all of them when there are fewer."""
    golden_images: int = Field(default=4, ge=1, le=64)
    """Images in the golden batch."""
    batch_size: int = Field(default=32, ge=1, le=1024)
    """Images put through the networks at once."""


class CudaSettings(Settings):
    """What `runtime.device: cuda` adds; unused on a CPU."""

    device_id: int = Field(default=0, ge=0, le=63)
    """Which of the GPUs that the process may see (CUDA_VISIBLE_DEVICES)."""
    batch_sizes: tuple[int, ...] = (1, 8, 32)
    """Batch sizes that are prepared; a batch is filled up to the next one, a larger one is cut."""
    memory_mb: int = Field(default=0, ge=0)
    """Most megabytes (2**20 bytes) of GPU memory for each prepared graph (torch: for the process); 0 sets no limit."""
    conv_search: Literal["heuristic", "exhaustive", "default"] = "heuristic"
    """How cuDNN's convolutions are chosen; `exhaustive` takes longer to start, `default` is for finding faults."""
    tf32: bool = True
    """Whether products may be rounded to 10 bits of mantissa, as both engines do by default: faster, less exact."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        sizes = self.batch_sizes
        if not sizes or sizes[0] < 1 or list(sizes) != sorted(set(sizes)) or sizes[-1] > 1024:
            raise ValueError("batch_sizes must rise, from at least 1 to at most 1024")
        return self


class RuntimeSettings(Settings):
    """Which engine runs the graph, and on what."""

    engine: RuntimeName = "onnxruntime"
    """`onnxruntime` (CPU, CUDA), `openvino` (CPU; extra `openvino`), `torch` (extra `train`)."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to run; `cuda` needs ONNX Runtime's GPU build (see `requirements-serve-gpu.txt`) or torch."""
    precision: Literal["f32", "bf16"] = "f32"
    """`bf16` (OpenVINO) is about twice as fast on a CPU with units for it; answers move by up to 1% of their range."""
    threads: int = Field(default=0, ge=0, le=256)
    """Threads of one inference; 0 lets the engine take all cores, or those of a container's CPU quota."""
    batch_size: int = Field(default=16, ge=1, le=1024)
    """Images put through the graph at once."""
    cuda: CudaSettings = CudaSettings()
    """What holds for `device: cuda` only."""

    @property
    def prepared_batch_sizes(self) -> tuple[int, ...]:
        """Batch sizes that the engine is prepared for; empty on a CPU, where any will do."""
        return self.cuda.batch_sizes if self.device == "cuda" else ()
