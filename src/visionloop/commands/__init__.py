"""The `visionloop` commands, a module for each group. Imports of work happen inside the commands."""
