"""SIGKILL at random moments: of the job, and of the scheduler that calls it."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.registry.conftest import MODEL
from tests.retraining import killed, killed_project, killed_schedule
from visionloop.artifact.deployment import Deployment
from visionloop.core.errors import BusyError
from visionloop.data.overlay import Overlay
from visionloop.monitoring.settings import StoreSettings
from visionloop.monitoring.store import PredictionStore
from visionloop.registry.connection import connect
from visionloop.registry.settings import RegistrySettings
from visionloop.retraining.job import exclusive
from visionloop.retraining.state import Journal


@pytest.mark.timeout(600)
def test_the_job_killed_at_ten_random_moments(tmp_path: Path, fresh_database: Path) -> None:
    """People go on giving feedback meanwhile; store, labels, gate, registry and deployment are real."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(fresh_database, tmp_path / "mlruns/mlflow.db")
    config = killed_project.configuration(tmp_path)
    killed_project.write_source(tmp_path)
    rng = np.random.default_rng(1)
    store = PredictionStore.open(StoreSettings(flush_s=0.01), tmp_path)
    acknowledged: dict[str, str] = {}
    kills = 0
    while kills < 10:
        for _ in range(4):
            digest, name = killed_project.acknowledge(store, tmp_path, len(acknowledged))
            acknowledged[digest] = name
        status = killed.run(killed_project.call, config, kill_at=int(rng.integers(1, 1200)))
        assert status in (0, -signal.SIGKILL)
        kills += status != 0
    # What was under way is finished; what was said since is in the next one.
    assert [killed.run(killed_project.call, config) for _ in range(2)] == [0, 0]
    store.close()

    overlay = Overlay.open(tmp_path / "data" / killed_project.TASK / ".feedback")
    assert {key: item.objects[0].name for key, item in overlay.images.items()} == acknowledged
    runs = [item.run for item in Journal(tmp_path / "mlruns/retraining" / killed_project.TASK).history()]
    assert len(runs) == len(set(runs)) > 2
    audit = [json.loads(line) for line in (tmp_path / "mlruns/audit.jsonl").read_text().splitlines()]
    versions = [line["to_version"] for line in audit]
    # Each promotion once, and from the one before.
    assert len(versions) == len(set(versions)) > 2
    assert [line["from_version"] for line in audit] == [None, *versions[:-1]]
    champion = connect(RegistrySettings(), tmp_path).client.get_registered_model(MODEL).aliases["champion"]
    pointed = Deployment.read(tmp_path / "mlruns/deployment.json").tasks["brightness"].champion.version
    assert str(champion) == pointed == versions[-1]


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.timeout(600)
def test_the_scheduler_killed_at_ten_random_moments(tmp_path: Path) -> None:
    """Its job lives on, and the next scheduler's job waits its turn."""
    killed_schedule.write_project(tmp_path)
    rng = np.random.default_rng(2)

    def free() -> bool:
        try:
            with exclusive(tmp_path / "state"):
                return True
        except BusyError:
            return False

    for moment in rng.integers(1, 16, size=8).tolist():
        killed_schedule.a_day_passes(tmp_path)
        scheduler = killed.start(killed_schedule.run, tmp_path, kill_at=moment)
        scheduler.join(2)
        # Later moments come when it has called the job, and waits for it or for the next day.
        scheduler.kill()
        scheduler.join(60)
        assert scheduler.exitcode == -signal.SIGKILL
    wait_for(free)
    for file in ("reached", "busy"):
        # The second job comes while the first one, whose scheduler is dead, holds on.
        (tmp_path / "hold").touch()
        killed_schedule.a_day_passes(tmp_path)
        scheduler = killed.start(killed_schedule.run, tmp_path)
        wait_for((tmp_path / file).exists)
        scheduler.kill()
        scheduler.join(60)
        assert scheduler.exitcode == -signal.SIGKILL
    (tmp_path / "hold").unlink()
    wait_for(free)
    journal = Journal(tmp_path / "state")
    state = journal.read()
    assert state is not None
    assert (state.status, state.outcome) == ("done", "promoted")
    runs = [item.run for item in journal.history()]
    assert (tmp_path / "audit").read_text().splitlines() == runs
    assert (tmp_path / "champion").read_text() == runs[-1]
    assert len(runs) == len(set(runs))
