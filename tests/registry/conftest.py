"""A project folder with a real MLflow database; the migrations run once a session and the file is copied."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.evaluation.conftest import brightness  # noqa: F401
from tests.evaluation.fake import make_bundle, make_dataset
from visionloop.artifact.settings import RuntimeSettings
from visionloop.evaluation.evaluate import evaluate
from visionloop.evaluation.gate import Verdict, decide
from visionloop.evaluation.settings import EvaluationSettings, GateSettings
from visionloop.evaluation.summary import EvaluationSummary
from visionloop.registry.audit import ChampionChange
from visionloop.registry.champions import promote
from visionloop.registry.connection import connect
from visionloop.registry.models import RegisteredVersion, record_verdict, register
from visionloop.registry.settings import RegistrySettings

EVALUATION = EvaluationSettings(gallery_images=1, runtime=RuntimeSettings(threads=1, batch_size=64))
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MODEL = "greys-brightness"


@pytest.fixture(scope="session")
def fresh_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with tables and nothing in them."""
    from visionloop.registry.connection import import_mlflow

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    import_mlflow().MlflowClient(f"sqlite:///{path}").search_experiments(max_results=1)
    return path


@pytest.fixture
def root(tmp_path: Path, fresh_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "mlruns").mkdir(parents=True)
    shutil.copy(fresh_database, folder / "mlruns" / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    return folder


@dataclass(frozen=True)
class Project:
    """Shortcuts for tests."""

    root: Path
    settings: RegistrySettings

    def make(self, name: str, *, threshold: float = 127.5, train_key: str = "", dataset: str = "dataset") -> Path:
        """A bundle and its evaluation below `name`."""
        folder = self.root / "build" / name
        make_bundle(folder / "bundle", threshold=threshold, train_key=train_key)
        evaluate(EVALUATION, folder / "bundle", self.dataset(dataset), folder / "evaluation")
        return folder

    def dataset(self, name: str = "dataset") -> Path:
        folder = self.root / name
        if not folder.exists():
            step = 4 if name == "dataset" else 2
            make_dataset(folder, brightness=range(0, 256, step))
        return folder

    def register(self, folder: Path) -> RegisteredVersion:
        return register(self.settings, self.root, folder / "bundle", folder / "evaluation")

    def judge(self, folder: Path, version: str, *, floor: float = 0.0) -> Verdict:
        gate = GateSettings(floors={"accuracy": floor})
        verdict = decide(gate, EvaluationSummary.read(folder / "evaluation"), None)
        record_verdict(self.settings, self.root, MODEL, version, verdict)
        return verdict

    def promote(self, version: str, expected: str | None, *, why: str = "better") -> ChampionChange:
        return promote(
            self.settings, self.root, MODEL, version, expected_champion=expected, who="ann", why=why, now=NOW
        )

    def versions(self, count: int) -> list[str]:
        """Register that many bundles."""
        return [self.register(self.make(f"m{index}", threshold=120.5 - 4 * index)).version for index in range(count)]

    def aliases(self) -> dict[str, str]:
        connection = connect(self.settings, self.root)
        found = connection.client.get_registered_model(MODEL).aliases
        return {alias: str(version) for alias, version in found.items()}


@pytest.fixture
def project(root: Path) -> Project:
    return Project(root, RegistrySettings())
