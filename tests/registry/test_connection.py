from __future__ import annotations

import contextlib
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from visionloop.core.errors import ConfigError, RegistryError
from visionloop.registry.connection import connect, project_root, redacted
from visionloop.registry.settings import RegistrySettings


def test_the_project_is_found_from_inside_a_dvc_queue_run(tmp_path: Path) -> None:
    temporary = tmp_path / ".dvc" / "tmp" / "exps" / "tmpx1"
    assert project_root({"DVC_ROOT": str(temporary)}, Path("/elsewhere")) == tmp_path
    assert project_root({"DVC_ROOT": str(tmp_path)}, Path("/elsewhere")) == tmp_path
    assert project_root({}, tmp_path) == tmp_path
    assert project_root({}, temporary) == tmp_path


def test_relative_paths_are_the_projects(root: Path) -> None:
    connection = connect(RegistrySettings(), root)
    assert connection.tracking_uri == f"sqlite:///{root}/mlruns/mlflow.db"
    experiment = connection.client.get_experiment(connection.experiment_id)
    assert (experiment.name, experiment.artifact_location) == ("visionloop", f"{root}/mlruns/artifacts")
    assert connect(RegistrySettings(), root).experiment_id == connection.experiment_id


def test_the_experiment_is_one_of_training_also_where_it_is_older(root: Path) -> None:
    """By this tag MLflow's UI opens it on its runs; what somebody chose there stands."""
    kind = "mlflow.experimentKind"
    connection = connect(RegistrySettings(), root)
    assert connection.client.get_experiment(connection.experiment_id).tags[kind] == "custom_model_development"
    connection.client.set_experiment_tag(connection.experiment_id, kind, "classification")
    connect(RegistrySettings(), root)
    older = connection.client.create_experiment("older")
    connect(RegistrySettings(experiment="older"), root)
    assert connection.client.get_experiment(connection.experiment_id).tags[kind] == "classification"
    assert connection.client.get_experiment(older).tags[kind] == "custom_model_development"


def test_readers_and_writers_do_not_block_each_other(root: Path) -> None:
    connect(RegistrySettings(), root)
    with contextlib.closing(sqlite3.connect(root / "mlruns" / "mlflow.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").write_text("this is no database " * 20)
    with pytest.raises(RegistryError) as caught:
        connect(RegistrySettings(), tmp_path)
    assert caught.value.what.startswith("MLflow refuses: ")
    assert "file is not a database" in caught.value.what
    assert caught.value.where == f"sqlite:///{tmp_path}/mlruns/mlflow.db"


def test_an_unreachable_server_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(RegistryError) as caught:
        connect(RegistrySettings(tracking_uri=f"http://ann:secret@127.0.0.1:{port}"), tmp_path)
    assert time.monotonic() - started < 3.0
    assert str(caught.value) == (
        "no MLflow server answers ([Errno 111] Connection refused)\n"
        f"  where:    setting registry.tracking_uri=http://127.0.0.1:{port}\n"
        "  expected: an answer within 5 s\n"
        "  to do:    start it with `mlflow server`, correct the address, or use "
        "registry.tracking_uri=sqlite:///mlruns/mlflow.db"
    )


def test_a_silent_server_is_given_up_after_the_timeout(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(RegistryError, match="no MLflow server answers"):
            connect(RegistrySettings(tracking_uri=uri, timeout_s=0.5), tmp_path)
    assert time.monotonic() - started < 3.0


@pytest.fixture
def other_server() -> Iterator[str]:
    """A web server that is no MLflow."""

    class NotFound(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), NotFound)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_that_is_no_mlflow_is_refused(tmp_path: Path, other_server: str) -> None:
    with pytest.raises(RegistryError, match=r"MLflow refuses: .*404"):
        connect(RegistrySettings(tracking_uri=other_server), tmp_path)


def test_a_deleted_experiment_is_explained(root: Path) -> None:
    connection = connect(RegistrySettings(), root)
    connection.client.delete_experiment(connection.experiment_id)
    with pytest.raises(RegistryError, match="the experiment 'visionloop' is deleted"):
        connect(RegistrySettings(), root)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlruns").write_text("a file where the folder would be")
    with pytest.raises(RegistryError, match=r"MLflow refuses: .*mlruns"):
        connect(RegistrySettings(), tmp_path)


def test_without_mlflow_the_extra_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError) as caught:
        connect(RegistrySettings(), root)
    assert caught.value.action == "install visionloop[pipeline]"


def test_passwords_are_not_shown() -> None:
    assert redacted("postgresql://ann:secret@host:5432/db") == "postgresql://host:5432/db"


def test_nothing_imports_mlflow_before_it_is_needed() -> None:
    modules = ["champions", "connection", "lookup", "models", "render", "runs", "settings", "submit"]
    # The stage train as well, until MLflow has answered.
    imports = ", ".join(["pipelines.train", "visionloop.training.plan", *(f"visionloop.registry.{n}" for n in modules)])
    code = f"import sys, {imports}; sys.exit(bool({{'mlflow', 'torch', 'pytorch_lightning'}} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
def test_several_processes_may_meet_a_fresh_database(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from visionloop.registry.connection import connect;"
        "from visionloop.registry.settings import RegistrySettings;"
        "c = connect(RegistrySettings(), Path(sys.argv[1]));"
        "run = c.client.create_run(c.experiment_id); c.client.log_metric(run.info.run_id, 'x', 1.0)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(4)
    ]
    outputs = [process.communicate(timeout=180)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0], outputs
    assert outputs == ["", "", "", ""]  # MLflow's and alembic's log lines are kept from the user
    connection = connect(RegistrySettings(), tmp_path)
    assert len(connection.client.search_runs([connection.experiment_id])) == 4
    assert [item.name for item in connection.client.search_experiments()] == ["visionloop", "Default"]
