"""LitServe's interface around the graph; a module of its own, because its workers import it."""

# No future import of annotations: LitServe looks at the type of `request` to tell forms and JSON from its own types.
import os
from pathlib import Path
from typing import Any

import litserve
import numpy as np
from starlette.requests import Request

from benchmarks.serving.peer_servers import Classifier


class SingleApi(litserve.LitAPI):  # type: ignore[misc]
    """One image at a time."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the graph."""
        self.classifier = Classifier(Path(os.environ["BENCH_BUNDLE"]))

    def decode_request(self, request: Request) -> Any:
        """A file of a form."""
        return self.classifier.decode(request["image"].file.read())

    def predict(self, x: Any) -> Any:
        """The answer to one image."""
        return self.classifier.answer(x[None])[0]

    def encode_response(self, output: Any) -> Any:
        """JSON."""
        return output


class BatchedApi(SingleApi):
    """Images of several requests together."""

    def batch(self, inputs: list[Any]) -> Any:
        """One array."""
        return np.stack(inputs)

    def predict(self, x: Any) -> Any:
        """The answers to all."""
        return self.classifier.answer(x)

    def unbatch(self, output: Any) -> Any:
        """Already a list."""
        return output
