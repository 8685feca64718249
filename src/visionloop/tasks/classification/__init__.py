"""Image classification: one label an image."""

from visionloop.tasks.classification.task import ClassificationTask

TASK = ClassificationTask()

__all__ = ["TASK"]
