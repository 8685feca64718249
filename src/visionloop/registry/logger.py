"""The Lightning logger behind `runs.training_logger`. Imports Lightning: import it late."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import MLFlowLogger

from visionloop.registry.runs import flat


class RunLogger(MLFlowLogger):
    """MLFlowLogger that logs the parameters when its run starts, and tells killed from failed."""

    def __init__(self, *, params: Mapping[str, Any], **kwargs: Any) -> None:
        """Keep the parameters until the run starts.

        Args:
            params: Nested settings.
            kwargs: Of `MLFlowLogger`.
        """
        super().__init__(**kwargs)
        self._params: dict[str, Any] | None = dict(flat(params))
        self._ended = False

    @property
    def experiment(self) -> Any:
        """The MLflow client; the first access starts the run, which is when the training starts."""
        client = super().experiment
        if self._params is not None:
            params, self._params = self._params, None
            self.log_hyperparams(params)
        return client

    def finalize(self, status: str = "success") -> None:
        """End the run, once. Lightning says `failed` for Ctrl-C and SIGTERM too."""
        if self._ended:
            return
        self._ended = True
        if status == "failed" and isinstance(sys.exc_info()[1], KeyboardInterrupt | SystemExit):
            status = "KILLED"
        super().finalize(status)
