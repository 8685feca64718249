"""Object detection: boxes with classes."""

from visionloop.tasks.detection.task import DetectionTask

TASK = DetectionTask()

__all__ = ["TASK"]
