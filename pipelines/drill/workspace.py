"""A project of the drill's own: settings, data, a service; the user's project is not touched."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from visionloop.core.errors import VisionloopError
from visionloop.serving.client import Client

PROJECT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 900.0


class Workspace:
    """A folder with everything the loop needs, and the commands typed in it.

    Attributes:
        root: The folder.
        port: Of its service.
    """

    def __init__(self, root: Path, settings: dict[str, Any]) -> None:
        """Write the settings; data is the caller's.

        Args:
            root: An empty or new folder.
            settings: What differs from the project's `conf/`, by block.
        """
        self.root = root
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        shutil.copytree(PROJECT / "conf", root / "conf", dirs_exist_ok=True)
        (root / "conf/experiment/drill.yaml").write_text("# @package _global_\n" + yaml.safe_dump(settings))
        config = root / "conf/config.yaml"
        config.write_text(config.read_text().replace("experiment: null", "experiment: drill"))
        # Threads of a training that spin while they wait would take the cores from the service beside it.
        self._environment = (
            {"OMP_WAIT_POLICY": "PASSIVE"}
            | os.environ
            | {
                "PYTHONPATH": os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]),
                "BENTOML_HOME": str(root / "bentoml"),
                "BENTOML_DO_NOT_TRACK": "True",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            }
        )
        for name in ("VISIONLOOP_PARAMS", "VISIONLOOP_STATE"):
            self._environment.pop(name, None)
        self.stage("config")

    @property
    def url(self) -> str:
        """Of the service."""
        return f"http://127.0.0.1:{self.port}"

    def stage(self, name: str, *words: str, aside: bool = False) -> str:
        """`python -m pipelines.<name>`, as `visionloop`; `aside` lets everything else go first."""
        return self._call([sys.executable, "-m", f"pipelines.{name}", *words], (0,), aside=aside)[1]

    def visionloop(self, *words: str, expect: tuple[int, ...] = (0,)) -> tuple[int, str]:
        """The `visionloop` command.

        Args:
            words: Its arguments.
            expect: Exit statuses that are answers, not failures.

        Returns:
            Exit status and standard output.

        Raises:
            VisionloopError: another exit status.
        """
        return self._call([str(Path(sys.executable).with_name("visionloop")), *words], expect)

    def _call(self, command: list[str], expect: tuple[int, ...], *, aside: bool = False) -> tuple[int, str]:
        started = time.monotonic()
        nice = ["nice", "-n", "15"] if aside else []
        done = subprocess.run(
            [*nice, *command], cwd=self.root, env=self._environment, capture_output=True, text=True, timeout=_PATIENCE_S
        )
        shown = " ".join([Path(command[0]).name, *command[1:]])
        ended = f"(exit status {done.returncode}, {time.monotonic() - started:.1f} s)"
        with (self.root / "commands.log").open("a") as log:
            log.write(f"$ {shown}\n{done.stdout}{done.stderr}{ended}\n\n")
        if done.returncode not in expect:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-6:]
            raise VisionloopError(
                f"`{shown}` ended with {done.returncode}: " + " / ".join(said),
                where=str(self.root),
                expected=f"exit status {' or '.join(map(str, expect))}",
                action=f"read {self.root / 'commands.log'}",
            )
        return done.returncode, done.stdout

    @contextlib.contextmanager
    def service(self) -> Iterator[None]:
        """The real service, in processes of its own, until the block ends."""
        with (self.root / "service.log").open("w") as log:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("visionloop")), "serve", "--port", str(self.port)],
                cwd=self.root, env=self._environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            try:
                with Client(self.url) as client:
                    client.wait_ready(120.0)
                yield
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
