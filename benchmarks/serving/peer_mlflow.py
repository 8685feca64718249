"""The script that MLflow stores as a model ("models from code") and runs in its server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from benchmarks.serving.peer_servers import Classifier


class Model(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined]
    """A column of encoded images in, a list of answers out."""

    def load_context(self, context: Any) -> None:
        """Load the graph."""
        self.classifier = Classifier(Path(context.artifacts["bundle"]))

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ARG002
        """An answer for each row."""
        images = [self.classifier.decode(data) for data in model_input["image"]]
        return self.classifier.answer(np.stack(images))


mlflow.models.set_model(Model())
