"""Batch jobs: many images in one request, worked on in the background and answered with one file.

A job is a folder below the state folder, which all workers share: any of them answers for it, and whichever holds
the job's lock works on it. The operating system frees the lock of a worker that dies, so that another one goes on
after the last image whose row is whole.
"""

from visionloop.serving.batches.jobs import BatchJobs
from visionloop.serving.batches.results import MEDIA_TYPES, ResultForm
from visionloop.serving.batches.state import JobState, Status

__all__ = ["MEDIA_TYPES", "BatchJobs", "JobState", "ResultForm", "Status"]
