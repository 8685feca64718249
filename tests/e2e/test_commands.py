"""What `make` calls besides the stages."""

from __future__ import annotations

import io
import json
import socket
import sys

import pytest

from pipelines.ui import show_ui
from pipelines.web import fetched
from visionloop.core.errors import BusyError, VisionloopError


def test_the_ui_says_its_address_when_it_answers(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = f"import socket; s = socket.create_server(('127.0.0.1', {port})); s.accept(); s.close()"
    with pytest.raises(VisionloopError, match="the MLflow UI ended with status 0"):
        show_ui([sys.executable, "-S", "-c", server], port)
    assert f"the MLflow UI is at http://127.0.0.1:{port}" in capfd.readouterr().out


def test_the_ui_opens_on_the_runs_of_the_latest_experiment(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = {"experiments": [{"experiment_id": "0", "name": "Default"}, {"experiment_id": "7", "name": "mine"}]}
    server = f"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        assert self.path.startswith("/api/2.0/mlflow/experiments/search?max_results=")
        self.send_response(200)
        self.end_headers()
        self.wfile.write({json.dumps(found).encode()!r})
    def log_message(self, *_): pass
with http.server.HTTPServer(("127.0.0.1", {port}), Handler) as server:
    server.handle_request()  # the look whether somebody is there
    server.handle_request()
"""
    with pytest.raises(VisionloopError, match="the MLflow UI ended with status 0"):
        show_ui([sys.executable, "-c", server], port)
    assert f"the MLflow UI is at http://127.0.0.1:{port}/#/experiments/7/runs; " in capfd.readouterr().out


def test_a_ui_that_cannot_start_is_not_announced(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BusyError, match="something listens there already"):
            show_ui([sys.executable, "-c", ""], taken.getsockname()[1])
        port = taken.getsockname()[1]
    with pytest.raises(VisionloopError, match="ended with status 3"):
        show_ui([sys.executable, "-S", "-c", "raise SystemExit(3)"], port)
    assert "is at" not in capfd.readouterr().out


def test_npms_packages_are_counted_and_its_errors_shown() -> None:
    log = [
        "npm http fetch GET 200 https://host/a/-/a-1.0.0.tgz 21ms (cache miss)\n",
        "npm error code E404\n",
        "npm http cache https://host/b/-/b-2.0.0.tgz 0ms (cache hit)\n",
        "npm http cache https://host/a/-/a-1.0.0.tgz 0ms (cache hit)\n",
        "npm http fetch GET 200 https://host/b 10ms\n",
    ]
    errors = io.StringIO()
    assert len(list(fetched(log, errors))) == 2
    assert errors.getvalue() == "npm error code E404\n"
