"""Bundles changed by hand, with manifests that agree."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from visionloop.artifact.bundle import GOLDEN, GRAPH, MANIFEST
from visionloop.core.files import sha256_file


def signed(bundle: Path, *names: str) -> None:
    """Make the manifest agree with altered files, as whoever exported such a model would have."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"] |= {name: sha256_file(bundle / name) for name in names}
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def scaled(bundle: Path, factor: float) -> None:
    """Multiply every output by a number, NaN too; the golden batch expects just that."""
    model = onnx.load(bundle / GRAPH)
    model.graph.initializer.append(numpy_helper.from_array(np.array(factor, np.float32), "factor"))
    kind = onnx.TensorProto.FLOAT
    names = [output.name for output in model.graph.output if output.type.tensor_type.elem_type == kind]
    for node in model.graph.node:
        for field in (node.input, node.output):
            for index, name in enumerate(field):
                if name in names:
                    field[index] = f"{name}_before"
    model.graph.node.extend(helper.make_node("Mul", [f"{name}_before", "factor"], [name]) for name in names)
    onnx.save(model, bundle / GRAPH)
    with np.load(bundle / GOLDEN) as golden:
        arrays = {name: golden[name] for name in golden.files}
    arrays |= {name: arrays[name] * np.float32(factor) for name in names}
    np.savez(bundle / GOLDEN, **arrays)
    signed(bundle, GRAPH, GOLDEN)
