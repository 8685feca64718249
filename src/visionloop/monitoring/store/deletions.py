"""Taking out of the store what a person does not want kept."""

from __future__ import annotations

import sqlalchemy as sa

from visionloop.monitoring.store.errors import store_errors
from visionloop.monitoring.store.tables import FEEDBACK, PREDICTIONS


class Deletions:
    """The part of the prediction store that forgets. Its errors are `StoreError`s."""

    def __init__(self, engine: sa.Engine, where: str) -> None:
        """On a migrated database; `PredictionStore.deletions` has one."""
        self._engine, self._where = engine, where

    def of_image(self, sha256: str) -> dict[str, str]:
        """Task by prediction of an image, shadows' answers too."""
        query = sa.select(PREDICTIONS.c.id, PREDICTIONS.c.task).where(PREDICTIONS.c.image_sha256 == sha256)
        with store_errors(self._where, "read"), self._engine.connect() as connection:
            return {str(id_): str(task) for id_, task in connection.execute(query)}

    def feedback(self, prediction_id: str, key_id: str | None = None) -> int:
        """Remove what was said of a prediction, by everybody or with one key (empty: without one).

        Returns:
            Words removed.
        """
        said = [FEEDBACK.c.prediction_id == prediction_id]
        if key_id is not None:
            said.append(FEEDBACK.c.key_id == key_id)
        with store_errors(self._where, "written"), self._engine.begin() as connection:
            return connection.execute(sa.delete(FEEDBACK).where(*said)).rowcount

    def predictions(self, sha256: str) -> int:
        """Remove every prediction of an image, with feedback, comparisons and choices.

        Returns:
            Predictions removed.
        """
        of_image = PREDICTIONS.c.image_sha256 == sha256
        with store_errors(self._where, "written"), self._engine.begin() as connection:
            return connection.execute(sa.delete(PREDICTIONS).where(of_image)).rowcount
