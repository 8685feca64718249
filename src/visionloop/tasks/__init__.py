"""The tasks, one folder each; `visionloop.task.load_task` finds them by name."""
