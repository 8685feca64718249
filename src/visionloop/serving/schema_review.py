"""Types of the routes by which people check predictions and decide what serves; see `schema`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from visionloop.serving.schema import Shape, StoredPrediction


class ListedPrediction(StoredPrediction):
    """A stored prediction among others."""

    has_image: bool
    """Whether its image is kept."""


class PredictionsAnswer(Shape):
    """Answer of `/v1/predictions`."""

    predictions: list[ListedPrediction]
    """Newest first; answers of the last moments may be missing yet."""
    next: str | None
    """The `cursor` of the next page; null on the last."""


class QueueItem(Shape):
    """A prediction to look at."""

    reason: Literal["uncertain", "novel", "disagreement", "balance", "random"]
    """Why: the model was unsure, it is unlike all that is known, another model answered otherwise, the class has few
    labels, or by chance."""
    usefulness: float
    """0 to 1, by that reason; of chance, how unsure the model was."""
    prediction: ListedPrediction
    """The prediction."""


class QueueAnswer(Shape):
    """Answer of `/v1/queue`."""

    items: list[QueueItem]
    """In the order in which they were chosen; the reasons take turns."""
    waiting: int
    """Images among the latest predictions (`serving.labelling.pool`) of which nobody has said anything, kept or not."""
    left_today: int
    """How many more may be chosen today (UTC), by `serving.labelling.per_day`."""


class CheckBody(Shape):
    """One thing the gate looked at."""

    name: str
    """Stable name."""
    passed: bool
    """Whether it held."""
    found: float | int | str | None
    """What was found."""
    required: float | int | str | None
    """What was required."""
    explanation: str
    """One sentence."""


class VerdictBody(Shape):
    """The gate's answer on a version."""

    decision: Literal["promote", "refuse", "insufficient_evidence"]
    """What it says."""
    summary: str
    """One line."""
    checks: list[CheckBody]
    """In the order in which they were made."""


class VersionBody(Shape):
    """A registered version of a model."""

    version: str
    """Its number."""
    aliases: list[str]
    """`champion`, `challenger`, and your own."""
    created: datetime
    """When it was registered."""
    digest: str
    """The bundle's identity."""
    dataset: str
    """What it was evaluated on."""
    dataset_hash: str
    """That dataset's version."""
    primary_metric: str
    """The metric that models are compared by; higher is better."""
    metrics: dict[str, float]
    """On its test split."""
    intervals: dict[str, tuple[float, float]]
    """95% intervals of those metrics that are means over images."""
    verdict: VerdictBody | None
    """What the gate said; null before it was asked."""
    rolled_back: datetime | None
    """When it was taken back, if it has not been promoted since."""
    report: str | None = None
    """Id of its report, for `/v1/models/reports/{id}`; null where there is none."""


class CatalogModel(Shape):
    """A registered model."""

    model: str
    """Its name."""
    task: str
    """Its task."""
    versions: list[VersionBody]
    """Newest first."""


class ChampionChangeBody(Shape):
    """A promotion or a rollback."""

    when: datetime
    """When."""
    who: str
    """User, or key."""
    action: Literal["promote", "rollback"]
    """Which."""
    model: str
    """Model's name."""
    from_version: str | None
    """The champion before; null for the first."""
    to_version: str
    """The champion after."""
    why: str
    """The verdict's summary, or the person's words."""
    forced: bool
    """Whether it was against the gate."""


class HistoryAnswer(Shape):
    """Answer of `/v1/models/history`."""

    models: list[CatalogModel]
    """By name."""
    changes: list[ChampionChangeBody]
    """Newest first."""


class ChangeBody(BaseModel):
    """What shall serve."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    action: Literal["promote", "rollback", "canary", "shadow", "stop"]
    """`promote`: make the version champion. `rollback`: the champion before. `canary`: let the version answer a share.
    `shadow`: let it answer unseen. `stop`: end both."""
    model: str = Field(min_length=1, max_length=200)
    """Model's name."""
    version: str | None = Field(default=None, pattern=r"^\d{1,9}$")
    """Its version; the challenger by default. Not of `rollback` and `stop`."""
    share: float | None = Field(default=None, ge=0, le=1)
    """Share of the sessions that a canary answers; 0 ends it."""
    why: str = Field(default="by hand", min_length=1, max_length=500)
    """Reason, for the audit."""
    force: bool = False
    """Promote, or start a canary, although the gate refused; the audit says so."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.action == "canary") != (self.share is not None):
            raise ValueError("a canary needs a share, and only a canary has one")
        if self.action in ("rollback", "stop") and self.version is not None:
            raise ValueError(f"{self.action} takes no version")
        if self.force and self.action not in ("promote", "canary"):
            raise ValueError("only a promotion and a canary can be forced")
        return self


class ChangeAnswer(Shape):
    """Answer of `/v1/models/change`."""

    summary: str
    """One line that says what serves, or who is champion, now."""
