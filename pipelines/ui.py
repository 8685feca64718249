"""The MLflow UI on what the pipeline registered; says where it is once it answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from pipelines.stage import guarded
from visionloop.core.errors import BusyError, VisionloopError

PORT = 5000
_COMMAND = (
    *("mlflow", "ui", "--workers", "1", "--host", "127.0.0.1", "--port", str(PORT)),
    *("--backend-store-uri", "sqlite:///mlruns/mlflow.db"),
    # A line a request says nothing to somebody who looks at runs.
    *("--uvicorn-opts", "--log-level warning"),
)
_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}


def show_ui(command: Sequence[str] = _COMMAND, port: int = PORT) -> None:
    """Run a server until it ends or Ctrl-C, and print its address when it answers.

    Args:
        command: Starts it.
        port: Where it will listen on this machine.

    Raises:
        BusyError: something listens there already.
        VisionloopError: the server ended by itself.
    """
    address = f"http://127.0.0.1:{port}"
    if _answers(port):
        raise BusyError(
            "something listens there already",
            where=address,
            expected=f"port {port} to be free",
            action="open that address: it may be an MLflow UI of yours; else end what holds the port",
        )
    print("starting the MLflow UI, up to a minute", flush=True)
    with subprocess.Popen(command, env=os.environ | _ENVIRONMENT) as server:
        try:
            while server.poll() is None and not _answers(port):
                time.sleep(0.2)
            if server.returncode is None:
                print(f"the MLflow UI is at {address}; Ctrl-C ends it", flush=True)
            server.wait()
        except KeyboardInterrupt:
            server.terminate()
            return
    raise VisionloopError(
        f"the MLflow UI ended with status {server.returncode}",
        where=" ".join(command),
        expected="a server that runs until Ctrl-C",
        action="see what it says above",
    )


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(guarded(show_ui))
