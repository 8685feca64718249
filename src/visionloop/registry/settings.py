"""Where experiments and models are kept; apart from the rest, so that reading a configuration loads little."""

from __future__ import annotations

from pydantic import Field, field_validator

from visionloop.core.settings import Settings


class RegistrySettings(Settings):
    """Where experiments and models are kept."""

    tracking_uri: str = "sqlite:///mlruns/mlflow.db"
    """MLflow tracking URI: `sqlite:///<path>` (relative to the project), `postgresql://...`, `http(s)://...`."""
    artifacts: str = "mlruns/artifacts"
    """Folder or URI of artifacts; a tracking server decides itself."""
    audit: str = "mlruns/audit.jsonl"
    """One line for every change of a champion; the registry's lock lies beside it."""
    pointer: str = "mlruns/deployment.json"
    """The deployment pointer, which every promotion and rollback rewrites; bundles that serve lie beside it."""
    experiment: str = Field(default="visionloop", min_length=1)
    """Name of the MLflow experiment."""
    model_name: str = "{dataset}-{task}"
    """Pattern of a registered model's name; `{dataset}` and `{task}` are filled in."""
    timeout_s: float = Field(default=5.0, gt=0, le=120)
    """Seconds a tracking server has to answer at all."""

    @field_validator("model_name")
    @classmethod
    def _fillable(cls, pattern: str) -> str:
        """Without the task two tasks of one dataset would share a model."""
        try:
            pattern.format(dataset="d", task="t")
        except (KeyError, IndexError, ValueError):
            raise ValueError("must have no other fields than {dataset} and {task}") from None
        if "{task}" not in pattern:
            raise ValueError("must contain {task}")
        return pattern
