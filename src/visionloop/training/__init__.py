"""The generic training loop: Lightning around a task's learner. Knows no task, no platform tool."""
